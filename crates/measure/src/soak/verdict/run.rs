//! One comparison from its beginning to its verdict, and many of them on all cores.

use std::time::Duration;

use cutover_core::rule::verdict::{Baseline, Counts, Limits, Memory, Moment, Outcome, Sample, judge};

use super::stream::{Dice, Release, Stream};
use super::threshold::Threshold;
use super::{BEFORE, RUNS, SECONDS};

/// How the two releases are compared.
#[derive(Clone, Copy)]
pub enum Setup {
    /// Both serve, the new one gets this share of the requests.
    Canary {
        /// From 0 to 1.
        share: f64,
    },
    /// The new one gets all, and is compared with what was before.
    Watch,
}

/// How a comparison ended.
pub struct Ran {
    /// The verdict.
    pub outcome: Outcome,
    /// What the candidate had got by then.
    pub requests: u64,
    /// When.
    pub seconds: u64,
    /// What the candidate had got when the fixed threshold was crossed.
    pub threshold: Option<u64>,
}

struct Traffic {
    new: Stream,
    old: Stream,
    concurrent: bool,
}

/// Runs so many, each with its own seed.
pub fn many(setup: Setup, release: Release, rate: f64) -> Vec<Ran> {
    let (to_new, to_old) = match setup {
        Setup::Canary { share } => (rate * share, rate * (1.0 - share)),
        Setup::Watch => (rate, rate),
    };
    let concurrent = matches!(setup, Setup::Canary { .. });
    let traffic = &Traffic { new: Stream::new(release, to_new), old: Stream::new(Release::Same, to_old), concurrent };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        let part = |first| (first..RUNS).step_by(threads as usize).map(|seed| once(traffic, seed)).collect::<Vec<_>>();
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("a run does not panic")).collect()
    })
}

fn once(traffic: &Traffic, seed: u64) -> Ran {
    let (mut dice, mut old) = (Dice::new(seed), Counts::default());
    if !traffic.concurrent {
        (0..BEFORE).for_each(|_| traffic.old.second(&mut dice, &mut old));
    }
    let baseline = if traffic.concurrent { Baseline::Concurrent(old) } else { Baseline::Earlier(old) };
    let mut sample = Sample { candidate: Counts::default(), baseline };
    let (mut memory, mut threshold) = (Memory::default(), Threshold::default());
    let (mut verdict, mut crossed) = (None, None);
    for second in 1..=SECONDS {
        traffic.new.second(&mut dice, &mut sample.candidate);
        if let Baseline::Concurrent(old) = &mut sample.baseline {
            traffic.old.second(&mut dice, old);
        }
        let requests = sample.candidate.requests;
        if crossed.is_none() && threshold.crossed(&sample.candidate) {
            crossed = Some(requests);
        }
        memory = look(&memory, second, &sample);
        verdict = verdict.or(memory.ended.map(|outcome| (outcome, requests, second)));
        if crossed.is_some() && verdict.is_some() {
            break;
        }
    }
    let (outcome, requests, seconds) = verdict.expect("the last look ends it");
    Ran { outcome, requests, seconds, threshold: crossed }
}

fn look(memory: &Memory, second: u64, sample: &Sample) -> Memory {
    let (elapsed, length) = (Duration::from_secs(second), Duration::from_secs(SECONDS));
    judge(&Limits::default(), memory, &Moment { elapsed, length, comparisons: 1 }, sample).1
}
