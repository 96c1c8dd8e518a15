//! `bench proxy`: CPU time per request, memory and throughput.
//!
//! CPU time per request is what a proxy costs the machine it shares with the application; unlike throughput it hardly depends
//! on how fast load and backend are. All peers run at once, but only one has load at any time; rounds alternate, and each
//! round gives one ratio to nginx, so that slow drifts of the machine cancel out.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use super::peers::{self, Peer};
use super::{backend, load, usage};

/// How to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Rounds; each measures every peer once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of load for each peer in each round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Client connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Threads of each proxy.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Bytes in the body of an answer.
    #[arg(long, default_value_t = 64)]
    body: usize,
    /// Only these peers, beside us.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The proxy to measure, called as `PROGRAM STATE_DIRECTORY THREADS`; built from the proxy's example if not given.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    cpu_us: f64,
    per_second: f64,
    memory: u64,
}

/// Measures and prints.
pub fn proxy(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let program = arguments.program.clone().map_or_else(build, Ok)?;
    let backend = backend::start(arguments.body)?;
    let mut peers = peers::start(dir.path(), &program, arguments.threads, backend)?;
    let wanted = |peer: &Peer| peer.name == "cutover" || arguments.only.iter().any(|name| name == peer.name);
    peers.retain(|peer| arguments.only.is_empty() || wanted(peer));
    let idle: Vec<u64> = peers.iter().map(|peer| usage::of(peer.pid()).memory).collect();
    let mut samples = vec![Vec::new(); peers.len()];
    for peer in &peers {
        measure(peer, arguments, 0.5)?;
    }
    for round in 0..arguments.rounds {
        for index in 0..peers.len() {
            // Each round begins with another peer.
            let index = (index + round) % peers.len();
            samples[index].push(measure(&peers[index], arguments, arguments.seconds)?);
        }
    }
    report(&peers, &idle, &samples);
    Ok(())
}

/// Builds the example as it would be released.
fn build() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["build", "--release", "-p", "cutover-proxy", "--example", "proxy"];
    if !std::process::Command::new(cargo).args(arguments).status()?.success() {
        return Err("the proxy does not build".into());
    }
    // We lie in <target>/<profile>/.
    let ours = std::env::current_exe()?;
    let target = ours.ancestors().nth(2).ok_or("no target directory")?;
    Ok(target.join("release/examples/proxy"))
}

fn measure(peer: &Peer, arguments: &Arguments, seconds: f64) -> Result<Sample, Box<dyn Error>> {
    let before = usage::of(peer.pid()).cpu;
    let time = Duration::from_secs_f64(seconds);
    let seen = load::run(peer.address, arguments.connections, time, arguments.body)
        .map_err(|error| format!("{} gave a wrong answer: {error}", peer.name))?;
    let after = usage::of(peer.pid());
    let requests = seen.requests.max(1) as f64;
    Ok(Sample {
        cpu_us: (after.cpu - before).as_secs_f64() * 1e6 / requests,
        per_second: requests / seen.time.as_secs_f64(),
        memory: after.memory,
    })
}

fn report(peers: &[Peer], idle: &[u64], samples: &[Vec<Sample>]) {
    let reference = peers.iter().position(|peer| peer.name == "nginx").unwrap_or(0);
    println!(
        "{:<8} {:>10} {:>22} {:>10} {:>9} {:>9}",
        "", "CPU µs/req", "ratio (min..max)", "req/s", "idle MiB", "MiB"
    );
    for (index, peer) in peers.iter().enumerate() {
        let own = &samples[index];
        let ratios = own.iter().zip(&samples[reference]).map(|(own, other)| own.cpu_us / other.cpu_us);
        let ratio = spread(ratios);
        let text = format!("{:.2} ({:.2}..{:.2})", ratio[1], ratio[0], ratio[2]);
        let cpu = spread(own.iter().map(|sample| sample.cpu_us))[1];
        let rate = spread(own.iter().map(|sample| sample.per_second))[1];
        let memory = own.iter().map(|sample| sample.memory).max().unwrap_or(0) as f64 / f64::from(1 << 20);
        let idle = idle[index] as f64 / f64::from(1 << 20);
        println!("{:<8} {cpu:>10.1} {text:>22} {rate:>10.0} {idle:>9.1} {memory:>9.1}", peer.name);
    }
}

/// Minimum, median, maximum.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values.first(), values.get(values.len() / 2), values.last()].map(|value| value.copied().unwrap_or(f64::NAN))
}
