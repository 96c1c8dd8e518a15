//! The fault sweeps: a scenario is run without faults to see which calls it makes; then it is run again for each call and
//! each thing that can go wrong with it.

use crate::coverage::Coverage;
use crate::faults::{Fault, Faults};
use crate::scenario::Scenario;
use crate::seed::Seed;
use crate::simulation::{Broken, Report, Run};
use crate::world::Call;

/// What goes wrong with each call in turn.
pub const EACH: [Fault; 8] = [
    Fault::Fail,
    Fault::SlowFail(3),
    Fault::FailFor(700),
    Fault::FailFor(45_000),
    Fault::LoseAnswer,
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Twice,
];

/// The seed of all sweeps: they differ by what is written down.
const SEED: u64 = 7;

/// How many polls in a row are swept before they begin to be skipped.
const POLLS: usize = 2;

/// A fault that broke a scenario.
#[derive(Debug)]
pub struct Found {
    /// The scenario.
    pub scenario: String,
    /// What went wrong with which calls.
    pub faults: Vec<(u64, Fault)>,
    /// What did not hold.
    pub broken: Box<Broken>,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nscenario {:?} with {:?}", self.broken, self.scenario, self.faults)
    }
}

/// Runs a scenario with these faults.
pub fn run(scenario: &Scenario, faults: &[(u64, Fault)], downtime: u64) -> Result<Report, Box<Found>> {
    let at_call = faults.iter().copied().collect();
    let faults_of_run = Faults { at_call, downtime, ..Faults::none() };
    let run = Run { seed: SEED, script: scenario.script.clone(), faults: faults_of_run };
    let found = |broken| Box::new(Found { scenario: scenario.name.clone(), faults: faults.to_vec(), broken });
    run.carry_out().map_err(found)
}

/// What a sweep added up to.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many runs there were.
    pub runs: u64,
    /// What occurred in those in which all invariants held.
    pub coverage: Coverage,
    /// The others.
    pub found: Vec<Found>,
}

impl Swept {
    /// Adds what another sweep found.
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.coverage.add(&other.coverage);
        self.found.extend(other.found);
    }

    fn take(&mut self, result: Result<Report, Box<Found>>) {
        self.runs += 1;
        match result {
            Ok(report) => self.coverage.add(&report.coverage),
            Err(found) => self.found.push(*found),
        }
    }
}

/// Sweeps one fault over all calls of a scenario: all pairs of a call and a fault, or every `stride`th of them. A stride that
/// has no factor in common with the number of faults meets each fault and, every so often, each call.
pub fn one_fault(scenario: &Scenario, stride: usize) -> Swept {
    let mut swept = Swept::default();
    let calls = worth_sweeping(&calls_of(scenario));
    let pairs = calls.iter().flat_map(|number| EACH.map(|fault| (*number, fault)));
    for pair in pairs.step_by(stride.max(1)) {
        swept.take(run(scenario, &[pair], 0));
    }
    swept
}

fn calls_of(scenario: &Scenario) -> Vec<Call> {
    run(scenario, &[], 0).map(|report| report.calls).unwrap_or_default()
}

/// Sweeps pairs: one call fails, and at a later one the agent dies or another fails. Of all pairs, `sample` are drawn.
pub fn two_faults(scenario: &Scenario, sample: u64, seed: &mut Seed) -> Swept {
    let worth = worth_sweeping(&calls_of(scenario));
    let mut swept = Swept::default();
    for _ in 0..sample {
        let first = (*seed.pick(&worth), *seed.pick(&EACH));
        // The run goes another way after the first fault: the second is counted from it.
        let second = (first.0 + seed.between(1, 40), *seed.pick(&EACH));
        let downtime = *seed.pick(&[0, 0, 5000, 90_000]);
        swept.take(run(scenario, &[first, second], downtime));
    }
    swept
}

/// All calls but the most of those that poll: one poll is like the next.
fn worth_sweeping(calls: &[Call]) -> Vec<u64> {
    let mut polls = 0;
    let mut worth = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        polls = if matches!(call, Call::Probe | Call::Stats | Call::Look) { polls + 1 } else { 0 };
        if polls <= POLLS || polls.is_multiple_of(25) {
            worth.push(number as u64);
        }
    }
    worth
}
