//! Many simulations, on several threads. Each run has a runtime and a world of its own, so that nothing is shared but the
//! next seed.

use std::ops::Range;
use std::sync::Mutex;

use crate::coverage::Coverage;
use crate::simulation::{Broken, Report, simulate};

/// What many runs added up to.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many were carried out.
    pub runs: u64,
    /// What occurred in those in which all invariants held.
    pub coverage: Coverage,
    /// The others, in the order of their seeds; no more are begun after this many.
    pub broken: Vec<Broken>,
}

/// After so many broken runs no more are begun: what is left would say the same.
const ENOUGH: usize = 20;

/// Carries out the runs of all these seeds on this many threads.
pub fn simulate_many(seeds: Range<u64>, jobs: usize) -> Summary {
    let next = Mutex::new(seeds);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| work(&next, &summary));
        }
    });
    let mut summary = summary.into_inner().expect("no simulation panics with it");
    summary.broken.sort_by_key(|broken| broken.seed);
    summary
}

fn work(next: &Mutex<Range<u64>>, summary: &Mutex<Summary>) {
    while let Some(seed) = next.lock().expect("no simulation panics with it").next() {
        let result = simulate(seed);
        if !summary.lock().expect("no simulation panics with it").take(result) {
            return;
        }
    }
}

impl Summary {
    fn take(&mut self, result: Result<Report, Box<Broken>>) -> bool {
        self.runs += 1;
        match result {
            Ok(report) => self.coverage.add(&report.coverage),
            Err(broken) => self.broken.push(*broken),
        }
        self.broken.len() < ENOUGH
    }
}
