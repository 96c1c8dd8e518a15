//! The engine in a simulated world, once per seed.

use cutover_testkit::soak::simulate_many;

use super::row;

/// Runs so many seeds on two threads. Each that fails is named; `simulate --seed N` replays it.
pub fn run(seeds: u64) -> Result<(), String> {
    let summary = simulate_many(0..seeds, 2);
    row("simulated runs", summary.runs);
    row("runs in which an invariant was broken", summary.broken.len());
    println!("\n```text\n{}\n```\n", summary.coverage);
    for broken in &summary.broken {
        println!("{broken}\n");
    }
    match summary.broken.len() {
        0 => Ok(()),
        broken => Err(format!("{broken} of {} simulated runs broke an invariant", summary.runs)),
    }
}
