//! The verdict rule against random traffic: how often it raises a false alarm, how soon it finds a release that is worse, and what
//! a fixed threshold makes of the same traffic.

mod run;
mod stream;
mod threshold;

use cutover_core::rule::verdict::Outcome;

use run::{Ran, Setup};
use stream::Release;

/// Seconds of a step.
const SECONDS: u64 = 300;
/// Seconds before a switch that are the baseline of a watch.
const BEFORE: u64 = 60;
/// Runs of each row.
const RUNS: u64 = 2_000;
/// Requests a second. At 35, a canary with one in ten has just about as many as are needed.
const RATES: [f64; 5] = [1.0, 10.0, 35.0, 100.0, 1_000.0];

/// Prints the tables. Without optimisation that would take half an hour.
pub fn run() -> Result<(), String> {
    let tables = [
        ("Canary, one request in ten to the new release", Setup::Canary { share: 0.1 }),
        ("Canary, every second request to the new release", Setup::Canary { share: 0.5 }),
        ("Watch after a switch, compared with the minute before", Setup::Watch),
    ];
    let wrong: Vec<String> = tables.into_iter().flat_map(|(title, setup)| table(title, setup)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Prints one, and says what is wrong with it.
fn table(title: &str, setup: Setup) -> Vec<String> {
    println!("\n{title}: {SECONDS} s, a look each second, {RUNS} runs a row\n");
    println!(
        "| requests a second | new release | fail | pass | not enough data | its requests until then | after, median | fixed threshold: fail | its requests until then |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for rate in RATES {
        for release in Release::ALL {
            let runs = run::many(setup, release, rate);
            println!("| {rate} | {} | {}", release.name(), cells(&runs));
            wrong.extend(objection(release, &runs).map(|what| format!("{title}, {rate}/s: {what}")));
        }
    }
    wrong
}

fn cells(runs: &[Ran]) -> String {
    let percent = |outcome| format!("{:.2} %", 100.0 * share(runs, outcome));
    let found: Vec<&Ran> = runs.iter().filter(|ran| ran.outcome == Outcome::Fail).collect();
    let exposed = quantiles(found.iter().map(|ran| ran.requests));
    let (after, _) = quantiles(found.iter().map(|ran| ran.seconds)).unwrap_or_default();
    let crossed: Vec<u64> = runs.iter().filter_map(|ran| ran.threshold).collect();
    let crossed_share = 100.0 * crossed.len() as f64 / runs.len() as f64;
    let (exposed, after) = match exposed {
        Some((median, most)) => (format!("{median} ({most})"), format!("{after} s")),
        None => ("–".to_owned(), "–".to_owned()),
    };
    let crossed =
        quantiles(crossed.into_iter()).map_or("–".to_owned(), |(median, most)| format!("{median} ({most})"));
    let [fail, pass, open] = [Outcome::Fail, Outcome::Pass, Outcome::NotEnoughData].map(percent);
    format!("{fail} | {pass} | {open} | {exposed} | {after} | {crossed_share:.1} % | {crossed} |")
}

/// What must not be: more false alarms than allowed (with three standard errors for luck), or too many that are worse and pass.
fn objection(release: Release, runs: &[Ran]) -> Option<String> {
    let alarms = share(runs, Outcome::Fail);
    if release == Release::Same {
        let allowed = 0.01 + 3.0 * (0.01 * 0.99 / runs.len() as f64).sqrt();
        return (alarms > allowed).then(|| format!("{alarms} of the runs raised a false alarm"));
    }
    let missed = share(runs, Outcome::Pass);
    (missed > 0.05).then(|| format!("{}: {missed} of the runs passed", release.name()))
}

fn share(runs: &[Ran], outcome: Outcome) -> f64 {
    runs.iter().filter(|ran| ran.outcome == outcome).count() as f64 / runs.len() as f64
}

/// The middle and the 95th of 100.
fn quantiles(values: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    Some((*values.get(values.len() / 2)?, values[values.len() * 95 / 100]))
}
