//! The table that a bench prints, in the Markdown of docs/measurements.md.

use super::proxy::{Sample, Samples};
use super::work::Work;

/// Minimum, median, maximum.
type Spread = [f64; 3];

/// The head.
pub fn head() {
    println!(
        "| work | who | CPU per request | ours to it, median (min to max) | aim | p50 | p99 | requests a second | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

/// The rows of one work: each peer, then the better of nginx and HAProxy in each round.
pub fn rows(work: Work, samples: &Samples) {
    let Some(ours) = samples.get("cutover") else { return };
    for name in work.peers() {
        let Some(theirs) = samples.get(name) else {
            println!("| {} | {name} | not installed | | | | | | |", work.title());
            continue;
        };
        let aim = match *name {
            "caddy" => format!("{}", work.aim().caddy),
            "copy" => "1.2".to_owned(),
            _ => String::new(),
        };
        let ratio = if *name == "cutover" { String::new() } else { text(ratios(work, ours, theirs)) };
        print(work, name, theirs, &ratio, &aim);
    }
    if let Some(best) = best(work, samples) {
        let (ratio, p99) = (text(ratios(work, ours, &best)), text(spread(pairs(ours, &best, |sample| sample.p99))));
        println!(
            "| {} | **better of nginx and HAProxy** | | **{ratio}** | {} | | {p99} | | |",
            work.title(),
            work.aim().best
        );
    }
}

fn print(work: Work, name: &str, samples: &[Sample], ratio: &str, aim: &str) {
    let median = |figure: fn(&Sample) -> f64| spread(samples.iter().map(figure))[1];
    let time = |us: f64| if us < 1000.0 { format!("{us:.0} µs") } else { format!("{:.1} ms", us / 1000.0) };
    let memory = format!("{:.1} MiB", median(|sample| sample.memory) / f64::from(1 << 20));
    if work == Work::Idle {
        println!("| {} | {name} | | {ratio} | {aim} | | | | {memory} |", work.title());
        return;
    }
    println!(
        "| {} | {name} | {:.1} µs | {ratio} | {aim} | {} | {} | {:.0} | {memory} |",
        work.title(),
        median(|sample| sample.cpu),
        time(median(|sample| sample.p50)),
        time(median(|sample| sample.p99)),
        median(|sample| sample.rate),
    );
}

/// What is compared: processor time, and memory where nothing is asked.
fn figure(work: Work) -> fn(&Sample) -> f64 {
    match work {
        Work::Idle => |sample| sample.memory,
        _ => |sample| sample.cpu,
    }
}

fn ratios(work: Work, ours: &[Sample], theirs: &[Sample]) -> Spread {
    spread(pairs(ours, theirs, figure(work)))
}

fn pairs(ours: &[Sample], theirs: &[Sample], figure: fn(&Sample) -> f64) -> impl Iterator<Item = f64> {
    ours.iter().zip(theirs).map(move |(our, their)| figure(our) / figure(their))
}

/// In each round and for each figure, the better of both.
fn best(work: Work, samples: &Samples) -> Option<Vec<Sample>> {
    let mut both =
        ["nginx", "haproxy"].into_iter().filter(|name| work.peers().contains(name)).map(|name| samples.get(name));
    let first = both.next()??.clone();
    let Some(second) = both.next() else { return Some(first) };
    let better = |a: &Sample, b: &Sample| Sample {
        cpu: a.cpu.min(b.cpu),
        p50: a.p50.min(b.p50),
        p99: a.p99.min(b.p99),
        rate: a.rate.max(b.rate),
        memory: a.memory.min(b.memory),
    };
    Some(first.iter().zip(second?).map(|(a, b)| better(a, b)).collect())
}

fn text(spread: Spread) -> String {
    format!("{:.2} ({:.2} to {:.2})", spread[1], spread[0], spread[2])
}

/// As people read it: the median, and the others in parentheses.
pub fn told([low, middle, high]: Spread, digits: usize) -> String {
    format!("{middle:.digits$} ({low:.digits$} to {high:.digits$})")
}

/// Of some values.
pub fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values.first(), values.get(values.len() / 2), values.last()].map(|value| value.copied().unwrap_or(f64::NAN))
}
