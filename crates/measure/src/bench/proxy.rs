//! `bench proxy`: processor time per request, latency, memory and throughput, against the peers that are installed.
//!
//! Processor time per request is what a proxy costs the machine that it shares with the application; unlike throughput it hardly
//! depends on how fast load and instance are. All peers run at once, but only one has load at any time; rounds alternate, and
//! each round gives one ratio, so that slow drifts of the machine cancel out.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backend;
use super::load::{self, Idle};
use super::peer::{self, Peer};
use super::site::Site;
use super::table;
use super::work::Work;

/// How to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to measure; everything if not given.
    #[arg(long, value_delimiter = ',')]
    work: Vec<Work>,
    /// Rounds; each measures every peer once.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of load for each peer in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Client connections; as the work wants it if not given.
    #[arg(long)]
    connections: Option<usize>,
    /// Threads of each proxy.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Only these peers, beside us.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// No access logs.
    #[arg(long)]
    no_logs: bool,
    /// The cutover to measure; that which was built together with this program if not given.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// One measurement of one peer.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Processor time per request, in microseconds.
    pub cpu: f64,
    /// The median time of a request, in microseconds.
    pub p50: f64,
    /// What 99 of 100 requests did not exceed, in microseconds.
    pub p99: f64,
    /// Requests a second.
    pub rate: f64,
    /// Memory at the end, in bytes.
    pub memory: f64,
}

/// The measurements of each peer, one for each round.
pub type Samples = BTreeMap<&'static str, Vec<Sample>>;

/// Measures and prints.
pub fn proxy(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    super::raise_limit()?;
    let program = arguments.program.clone().map_or_else(crate::binary, Ok)?;
    let backends = backend::start()?;
    let works = if arguments.work.is_empty() { Work::ALL.to_vec() } else { arguments.work.clone() };
    table::head();
    for work in works {
        let connections = arguments.connections.unwrap_or_else(|| work.connections());
        let dir = tempfile::tempdir()?;
        let site = Site::new(dir.path(), backends, arguments.threads, connections, !arguments.no_logs)?;
        let samples = rounds(work, arguments, &site, &program)?;
        table::rows(work, &samples);
    }
    Ok(())
}

fn rounds(work: Work, arguments: &Arguments, site: &Site, program: &Path) -> Result<Samples, Box<dyn Error>> {
    let asked = |name: &&&str| {
        let ours = **name == "cutover";
        ours || arguments.only.is_empty() || arguments.only.iter().any(|only| only == **name)
    };
    let mut samples = Samples::new();
    let mut peers = start(work, &asked, site, program)?;
    // A warm-up, which idle connections do not need.
    for peer in peers.iter().filter(|_| work != Work::Idle) {
        measure(work, peer, site, 0.3)?;
    }
    for round in 0..arguments.rounds {
        if work == Work::Idle && round > 0 {
            // What a proxy once had it may keep: each round begins with new ones.
            peers.clear();
            peers = start(work, &asked, site, program)?;
        }
        for index in 0..peers.len() {
            // Each round begins with another peer.
            let peer = &peers[(index + round) % peers.len()];
            samples.entry(peer.name).or_default().push(measure(work, peer, site, arguments.seconds)?);
        }
    }
    Ok(samples)
}

fn start(
    work: Work,
    asked: &impl Fn(&&&str) -> bool,
    site: &Site,
    program: &Path,
) -> Result<Vec<Peer>, Box<dyn Error>> {
    let started = work.peers().iter().filter(asked).map(|name| peer::start(name, site, program));
    Ok(started.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn measure(work: Work, peer: &Peer, site: &Site, seconds: f64) -> Result<Sample, Box<dyn Error>> {
    let wrong = |error| format!("{} gave a wrong answer to {}: {error}", peer.name, work.title());
    if work == Work::Idle {
        let held = Idle::open(peer.doors.http, site.connections).map_err(wrong)?;
        let memory = peer.usage().memory as f64;
        drop(held);
        return Ok(Sample { cpu: f64::NAN, p50: f64::NAN, p99: f64::NAN, rate: f64::NAN, memory });
    }
    let before = peer.usage().cpu;
    let time = Duration::from_secs_f64(seconds);
    let seen = load::run(work, peer.doors, site, site.connections, time).map_err(wrong)?;
    let after = peer.usage();
    let requests = seen.requests().max(1) as f64;
    Ok(Sample {
        cpu: (after.cpu - before).as_secs_f64() * 1e6 / requests,
        p50: seen.quantile(0.5),
        p99: seen.quantile(0.99),
        rate: requests / seen.time.as_secs_f64(),
        memory: after.memory as f64,
    })
}
