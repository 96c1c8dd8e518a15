//! The engine in a simulated world, once per seed.

use cutover_testkit::soak::simulate_many;

use super::row;

/// Runs so many seeds on two threads. One that fails is named; `simulate --seed N` replays it.
pub fn run(seeds: u64) -> Result<(), String> {
    let summary = simulate_many(0..seeds, 2);
    row("simulated runs", summary.runs);
    row("runs in which an invariant was broken", summary.broken.len());
    println!("\n```text\n{}\n```\n", summary.coverage);
    match summary.broken.first() {
        None => Ok(()),
        Some(broken) => Err(format!("{broken}")),
    }
}
