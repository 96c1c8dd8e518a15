//! What goes wrong, and when: written down call by call for a sweep, or drawn from the seed for a simulation.

use std::collections::BTreeMap;

use crate::seed::Seed;
use crate::world::Call;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It has no effect and fails.
    Fail,
    /// It has no effect, and fails after this many milliseconds.
    SlowFail(u64),
    /// It and all calls to the same port fail for this many milliseconds.
    FailFor(u64),
    /// It has its effect, but its caller is told that it failed.
    LoseAnswer,
    /// The agent dies before it has an effect.
    CrashBefore,
    /// The agent dies after it had its effect, before it hears of it.
    CrashAfter,
    /// It is done twice.
    Twice,
    /// It takes this many milliseconds longer, half before its effect and half after.
    Delay(u64),
}

/// What happens to the world at a time, whoever calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// A running instance dies; which one is counted among those that run.
    Kill(u64),
    /// The router is gone for this many milliseconds. `forgets` it comes back with the table before its last.
    RouterGone {
        /// For how long.
        time: u64,
        /// Whether its newest table is lost.
        forgets: bool,
    },
    /// The journal cannot be written for this many milliseconds.
    JournalFull(u64),
    /// The agent dies, wherever it is.
    Crash,
}

/// How often calls go wrong, in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Failing calls.
    pub fail: u64,
    /// Calls that begin a time of failure.
    pub fail_for: u64,
    /// Lost answers.
    pub lose: u64,
    /// Crashes around a call.
    pub crash: u64,
    /// Calls done twice.
    pub twice: u64,
    /// Slow calls.
    pub delay: u64,
}

/// All that goes wrong in one run.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// By the number of the call, counted from when the faults were armed.
    pub at_call: BTreeMap<u64, Fault>,
    /// At random.
    pub rates: Rates,
    /// By time, in milliseconds after the faults were armed.
    pub weather: Vec<(u64, Weather)>,
    /// How long the agent stays away after a crash, in milliseconds at most.
    pub downtime: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// One call goes wrong.
    pub fn one(call: u64, fault: Fault) -> Self {
        Self { at_call: BTreeMap::from([(call, fault)]), ..Self::default() }
    }

    /// Draws what goes wrong in a run of about this many milliseconds. Most runs have little of it: where everything fails at
    /// once, nothing gets far enough to be interesting.
    pub fn drawn(seed: &mut Seed, length: u64) -> Self {
        let level = *seed.pick(&[0, 1, 1, 1, 2, 2, 4, 10]);
        let mut rate = |most: u64| if seed.chance(600) { level * seed.between(0, most) } else { 0 };
        let rates =
            Rates { fail: rate(4), fail_for: rate(2), lose: rate(4), crash: rate(4), twice: rate(6), delay: rate(8) };
        let mut weather: Vec<(u64, Weather)> = Vec::new();
        for _ in 0..seed.between(0, 2 * level.min(2)) {
            weather.push((seed.between(0, length), draw_weather(seed)));
        }
        weather.sort_by_key(|(at, _)| *at);
        let downtime = *seed.pick(&[0, 50, 1000, 40_000]);
        Self { at_call: BTreeMap::new(), rates, weather, downtime }
    }

    /// Whether calls may take long that have begun before the faults stop.
    pub(crate) fn has_slow_calls(&self) -> bool {
        self.rates.delay > 0 || self.at_call.values().any(|fault| matches!(fault, Fault::Delay(_)))
    }

    /// What happens to the call with this number.
    pub(crate) fn draw(&self, number: u64, call: Call, seed: &mut Seed) -> Option<Fault> {
        if let Some(fault) = self.at_call.get(&number) {
            return Some(*fault);
        }
        let Rates { fail, fail_for, lose, crash, twice, delay } = self.rates;
        if fail + fail_for + lose + crash + twice + delay == 0 {
            return None;
        }
        // Those made by the hundred would otherwise take nearly all the faults.
        if matches!(call, Call::Probe | Call::Stats) && seed.chance(800) {
            return None;
        }
        let slow = *seed.pick(&[1, 2, 3, 4, 5, 800]);
        let mut dice = seed.between(0, 999);
        let mut falls = |share: u64| {
            let hit = dice < share;
            dice = if hit { u64::MAX } else { dice - share };
            hit
        };
        let choices = [
            (fail / 2, Fault::Fail),
            (fail - fail / 2, Fault::SlowFail(slow)),
            (lose, Fault::LoseAnswer),
            (crash / 2, Fault::CrashBefore),
            (crash - crash / 2, Fault::CrashAfter),
            (twice, Fault::Twice),
        ];
        if let Some((_, fault)) = choices.into_iter().find(|(share, _)| falls(*share)) {
            return Some(fault);
        }
        if falls(fail_for) {
            return Some(Fault::FailFor(*seed.pick(&[100, 1000, 5000, 45_000])));
        }
        falls(delay).then(|| Fault::Delay(*seed.pick(&[10, 300, 3000, 20_000])))
    }
}

fn draw_weather(seed: &mut Seed) -> Weather {
    match seed.between(0, 9) {
        0..=3 => Weather::Kill(seed.draw()),
        4..=5 => Weather::RouterGone { time: *seed.pick(&[10, 500, 4000, 35_000]), forgets: seed.chance(200) },
        6..=7 => Weather::JournalFull(*seed.pick(&[50, 1000, 8000, 70_000])),
        _ => Weather::Crash,
    }
}
