//! `bench slow`: what many slow clients do to the others. In each round the same load of small requests is measured without and with slow
//! clients around it, the one first in one round and the other in the next.
//!
//! Half of the slow ones send a byte of a head each second and never come to its end; half take 1 KiB a second of an answer of 1 MiB. Those
//! who are sent away, for a head that takes longer than it may, come again at once. What they cost the proxy is counted to the requests of the
//! others.

use std::error::Error;
use std::time::Duration;

use cutover_core::table::Table;
use cutover_core::{Generation, ServiceName};

use super::backend;
use super::load::{self, SLOW_HOST, Slow};
use super::peer::{Ours, listener, route, service};
use super::site::{HOST, Site};
use super::table::{spread, told};

/// How to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Slow clients.
    #[arg(long, default_value_t = 10_000)]
    slow: usize,
    /// Rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of each half of a round.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Connections of the others.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Their requests a second, each timed from when it was due; 0 for as many as they get answered, which fills both cores.
    #[arg(long, default_value_t = 0)]
    rate: u32,
}

/// How long everything has to settle after slow clients have come or gone.
const SETTLE: Duration = Duration::from_secs(2);

/// What the others saw.
struct Sample {
    rate: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
}

/// What is taken of a sample.
type Figure = fn(&Sample) -> f64;

/// Measures and prints.
pub fn slow(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    super::raise_limit()?;
    let (program, backends, dir) = (crate::binary()?, backend::start()?, tempfile::tempdir()?);
    let site = Site::new(dir.path(), backends, 2, arguments.connections + arguments.slow, false)?;
    let ours = start(&site, &program)?;
    let time = Duration::from_secs_f64(arguments.seconds);
    sample(&ours, arguments, Duration::from_secs(1))?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        let odd = !round.is_multiple_of(2);
        for is_with in [odd, !odd] {
            let slow = is_with.then(|| Slow::hold(ours.peer.doors.http, arguments.slow)).transpose()?;
            std::thread::sleep(SETTLE);
            let taken = sample(&ours, arguments, time)?;
            match slow {
                None => without.push(taken),
                Some(slow) => {
                    held(&ours, arguments.slow)?;
                    slow.release()?;
                    with.push(taken);
                }
            }
        }
    }
    tell(arguments, &without, &with);
    Ok(())
}

fn start(site: &Site, program: &std::path::Path) -> Result<Ours, Box<dyn Error>> {
    let ours = Ours::bare(site, program, "slow")?;
    let (name, large) = (ServiceName::new("bench")?, ServiceName::new("large")?);
    let routes = vec![route(&name, vec![HOST.to_owned()]), route(&large, vec![SLOW_HOST.to_owned()])];
    let services = vec![service(name, &[site.backends.http])?, service(large, &[backend::large()?])?];
    let listeners = vec![listener(ours.peer.doors.http, routes)];
    ours.publish(&Table { generation: Generation(1), listeners, services, ..Table::default() })?;
    Ok(ours)
}

fn sample(ours: &Ours, arguments: &Arguments, time: Duration) -> Result<Sample, Box<dyn Error>> {
    let (address, connections) = (ours.peer.doors.http, arguments.connections);
    let before = ours.peer.usage().cpu;
    let seen = match arguments.rate {
        0 => load::small(address, &|_| HOST.to_owned(), connections, time)?,
        rate => load::paced(address, HOST, rate, connections, time)?,
    };
    let spent = ours.peer.usage().cpu - before;
    let requests = seen.requests().max(1) as f64;
    Ok(Sample {
        rate: requests / seen.time.as_secs_f64(),
        cpu: spent.as_secs_f64() * 1e6 / requests,
        p50: seen.quantile(0.5),
        p99: seen.quantile(0.99),
    })
}

/// A figure without the clients that it is about would say nothing.
fn held(ours: &Ours, wanted: usize) -> Result<(), Box<dyn Error>> {
    let open = ours.connections()?;
    if open * 100 < wanted * 99 {
        return Err(format!("only {open} of {wanted} slow clients are connected").into());
    }
    Ok(())
}

fn tell(arguments: &Arguments, without: &[Sample], with: &[Sample]) {
    println!(
        "{} connections with small requests, without and with {} slow clients around them; medians (minimum to maximum)",
        arguments.connections, arguments.slow
    );
    let figures: [(&str, &str, Figure); 4] = [
        ("requests a second", "at least 0.9", |sample| sample.rate),
        ("processor time per request, µs", "at most 1.1", |sample| sample.cpu),
        ("median time, µs", "at most 1.1", |sample| sample.p50),
        ("p99, µs", "at most 1.1", |sample| sample.p99),
    ];
    for (what, aim, figure) in figures {
        let of = |samples: &[Sample]| told(spread(samples.iter().map(figure)), 1);
        let ratio = spread(with.iter().zip(without).map(|(with, without)| figure(with) / figure(without)));
        println!("{what}: {} without, {} with; ratio {}, aim {aim}", of(without), of(with), told(ratio, 2));
    }
}
