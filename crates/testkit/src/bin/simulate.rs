//! Runs simulations and says what they reached: `simulate --seeds 0..10000`, or `simulate --seed 17` with its trace, or
//! `simulate --sweep 1` for the full fault sweep (5 for every fifth of its runs).

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program whose purpose is to print")]

use std::ops::Range;
use std::process::ExitCode;

use cutover_testkit::Run;
use cutover_testkit::scenario;
use cutover_testkit::seed::Seed;
use cutover_testkit::soak::simulate_many;
use cutover_testkit::sweep::{Swept, one_fault, two_faults};

enum Wanted {
    Many { seeds: Range<u64>, jobs: usize },
    One(u64),
    Sweep(usize),
}

fn main() -> ExitCode {
    match wanted(std::env::args().skip(1)) {
        Some(Wanted::One(seed)) => one(seed),
        Some(Wanted::Sweep(stride)) => sweep(stride),
        Some(Wanted::Many { seeds, jobs }) => many(seeds, jobs),
        None => {
            eprintln!("usage: simulate --seeds A..B [--jobs N] | --seed N | --sweep STRIDE");
            ExitCode::from(2)
        }
    }
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> Option<Wanted> {
    let (mut seeds, mut jobs) = (None, 1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next()?;
        match argument.as_str() {
            "--seed" => return value.parse().ok().map(Wanted::One),
            "--sweep" => return value.parse().ok().map(Wanted::Sweep),
            "--jobs" => jobs = value.parse().ok()?,
            "--seeds" => {
                let (from, to) = value.split_once("..")?;
                seeds = Some(from.parse().ok()?..to.parse().ok()?);
            }
            _ => return None,
        }
    }
    seeds.map(|seeds| Wanted::Many { seeds, jobs })
}

fn one(seed: u64) -> ExitCode {
    match Run::drawn(seed).traced() {
        Ok(report) => {
            report.trace.iter().for_each(|line| println!("{line}"));
            println!("{}", report.coverage);
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
    }
}

fn sweep(stride: usize) -> ExitCode {
    let (mut swept, mut seed) = (Swept::default(), Seed::new(1));
    for scenario in scenario::all() {
        swept.add(one_fault(&scenario, stride));
        swept.add(two_faults(&scenario, 200 / stride as u64, &mut seed));
    }
    println!("{}", swept.coverage);
    println!("{} runs, {} broken", swept.runs, swept.found.len());
    for found in swept.found.iter().take(20) {
        println!(
            "{:?} with {:?} breaks {:?}: {}",
            found.scenario, found.faults, found.broken.invariant, found.broken.how
        );
    }
    if swept.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(seeds: Range<u64>, jobs: usize) -> ExitCode {
    let began = std::time::Instant::now();
    let summary = simulate_many(seeds, jobs);
    println!("{}", summary.coverage);
    println!("{} seeds in {:.1} s", summary.runs, began.elapsed().as_secs_f64());
    match summary.broken.first() {
        None => ExitCode::SUCCESS,
        Some(_) => {
            summary.broken.iter().for_each(|b| println!("seed {} breaks {:?}: {}", b.seed, b.invariant, b.how));
            println!("replay with: simulate --seed {}", summary.broken[0].seed);
            ExitCode::FAILURE
        }
    }
}
