//! `cargo xtask soak`: what takes too long for the tests. Each part prints rows for docs/measurements.md, and fails if anything
//! was lost.

mod day;
mod kills;
mod latency;
mod simulation;
mod switch;
mod upgrade;
mod verdict;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cutover_meter::{Load, Running};
use cutover_testkit::host::{Host, until};

/// What is to be run, and how much of it.
#[derive(Args)]
pub struct Soak {
    /// Only this part
    #[arg(long)]
    part: Option<Part>,
    /// Deployments under load
    #[arg(long, default_value_t = 200)]
    deployments: u32,
    /// Upgrades of the proxy under load
    #[arg(long, default_value_t = 100)]
    upgrades: u32,
    /// Requests a second
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Seconds of each kind of load in each hour of the day
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Simulated runs
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Deployments under load
    Switch,
    /// Upgrades of the proxy under load
    Upgrade,
    /// The agent killed at each event
    Kills,
    /// The simulation
    Simulation,
    /// A day of mixed load in minutes: what the proxy holds at rest
    Day,
    /// How long things take, and how much memory
    Latency,
    /// The five examples, both ways with nginx
    Examples,
    /// Fifty deployments by each strategy, and the ways back
    Strategies,
    /// The verdict rule against random traffic
    Verdict,
}

/// Runs the parts.
pub fn run(soak: &Soak) -> Result<(), String> {
    if soak.part == Some(Part::Verdict) {
        return verdict::run();
    }
    let binary = crate::binary()?;
    let wanted = |part| soak.part.is_none_or(|only| only == part);
    println!("| what | figure |\n|---|---|");
    if wanted(Part::Latency) {
        latency::run(&Host::new(&binary));
    }
    if wanted(Part::Switch) {
        switch::run(&Host::new(&binary), soak.deployments, soak.rate)?;
    }
    if wanted(Part::Upgrade) {
        upgrade::run(&Host::new(&binary), soak.upgrades, soak.rate)?;
    }
    if wanted(Part::Kills) {
        kills::run(&binary)?;
        kills::of_containers(&binary)?;
    }
    if wanted(Part::Examples) {
        examples(&binary)?;
    }
    if wanted(Part::Strategies) {
        let variables = [("CUTOVER_ROUNDS", "50"), ("CUTOVER_RATE", "1000")];
        tests("strategies_measure", &binary, &variables).map_err(|()| "a strategy lost something".to_owned())?;
    }
    if wanted(Part::Day) {
        day::run(soak.seconds).map_err(|error| error.to_string())?;
    }
    if wanted(Part::Simulation) {
        simulation::run(soak.seeds)?;
    }
    if wanted(Part::Verdict) {
        verdict::run()?;
    }
    Ok(())
}

/// Twenty deployments of each example, and of each way with nginx, under 500 requests a second.
fn examples(binary: &Path) -> Result<(), String> {
    let variables = [("CUTOVER_EXAMPLE_ROUNDS", "10"), ("CUTOVER_EXAMPLE_RATE", "500")];
    tests("examples", binary, &variables).map_err(|()| "an example lost something".to_owned())
}

/// Runs the tests of a file to their full length, with these variables.
fn tests(name: &str, binary: &Path, variables: &[(&str, &str)]) -> Result<(), ()> {
    let mut command = Command::new("cargo");
    command.args(["test", "--release", "--quiet", "--package", "cutover", "--test", name]);
    command.args(["--", "--include-ignored", "--nocapture"]);
    command.envs(variables.iter().copied()).env("CUTOVER", binary);
    if command.status().is_ok_and(|status| status.success()) { Ok(()) } else { Err(()) }
}

/// Clients of all kinds at a host, so many requests a second, with so many streams of each kind open.
fn under_load(host: &Host, streams: usize, rate: f64) -> Running {
    let upload_for = Duration::from_millis(700);
    let load = Load { sse: streams, websockets: streams, uploads: 1, upload_for, ..host.load(rate) };
    let meter = host.meter(Load { reused: 16, peek: 8, fresh: 8, ..load });
    until("all streams are open", || {
        let seen = meter.snapshot();
        (seen.sse.open + seen.websockets.open == 2 * streams as u64).then_some(())
    });
    meter
}

/// A row of the table.
fn row(what: &str, figure: impl std::fmt::Display) {
    println!("| {what} | {figure} |");
}

/// The smallest, the middle and the largest.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match (values.first(), values.get(values.len() / 2), values.last()) {
        (Some(least), Some(median), Some(most)) => {
            format!("median {median:.1} ms ({least:.1} to {most:.1}, {} times)", values.len())
        }
        _ => "nothing was measured".to_owned(),
    }
}
