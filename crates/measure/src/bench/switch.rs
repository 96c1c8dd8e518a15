//! `bench switch`: what a switch does to the slowest requests. Requests come at a fixed rate, whatever the answers do, and each
//! is timed from when it was due; in each round, some seconds without a switch are compared with as many in which the traffic goes
//! back and forth once a second, in the order of a deployment: registered, serving and draining, gone.

use std::error::Error;
use std::thread;
use std::time::Duration;

use cutover_core::table::{Mode, Table, Target};
use cutover_core::{Generation, ServiceName};

use super::peer::{Ours, listener, route, service};
use super::site::{HOST, Site};
use super::table::{spread, told};
use super::{backend, load};

/// How to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of each half of a round.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Requests a second.
    #[arg(long, default_value_t = 2000)]
    rate: u32,
}

const CONNECTIONS: usize = 32;

/// Measures and prints.
pub fn switch(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    super::raise_limit()?;
    let (program, dir) = (crate::binary()?, tempfile::tempdir()?);
    let (first, second) = (backend::start()?, backend::start()?);
    let site = Site::new(dir.path(), first, 2, CONNECTIONS, false)?;
    let mut pair = Pair::start(&site, &program, [first.http, second.http])?;
    let time = Duration::from_secs(u64::from(arguments.seconds));
    let (mut before, mut during, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let address = pair.ours.peer.doors.http;
        let quiet = load::paced(address, HOST, arguments.rate, CONNECTIONS, time)?.quantile(0.999);
        let busy = thread::scope(|scope| {
            let load = scope.spawn(|| load::paced(address, HOST, arguments.rate, CONNECTIONS, time));
            for _ in 1..arguments.seconds {
                thread::sleep(Duration::from_secs(1));
                pair.switch()?;
            }
            let seen = load.join().expect("the load does not panic")?;
            Ok::<_, Box<dyn Error>>(seen.quantile(0.999))
        })?;
        before.push(quiet / 1e3);
        during.push(busy / 1e3);
        ratios.push(busy / quiet);
    }
    let text = |values: Vec<f64>| told(spread(values.into_iter()), 2);
    println!("p99.9 without a switch {} ms, with one each second {} ms", text(before), text(during));
    println!("with to without, by round: {}, aim 1.1; no request failed", text(ratios));
    Ok(())
}

/// A proxy with two releases of a service, of which one serves.
struct Pair {
    ours: Ours,
    table: Table,
    serving: usize,
}

impl Pair {
    fn start(
        site: &Site,
        program: &std::path::Path,
        instances: [std::net::SocketAddr; 2],
    ) -> Result<Self, Box<dyn Error>> {
        let (ours, name) = (Ours::bare(site, program, "switch")?, ServiceName::new("bench")?);
        let service = service(name.clone(), &instances)?;
        let listeners = vec![listener(ours.peer.doors.http, vec![route(&name, vec![])])];
        let table = Table { generation: Generation(0), listeners, services: vec![service], ..Table::default() };
        let mut pair = Self { ours, table, serving: 1 };
        pair.switch()?;
        Ok(pair)
    }

    fn switch(&mut self) -> Result<(), Box<dyn Error>> {
        let (old, new) = (self.serving, 1 - self.serving);
        let serving = Mode::Serving { weight: 1 };
        self.publish([(old, serving), (new, Mode::Registered)])?;
        self.publish([(old, Mode::Draining), (new, serving)])?;
        self.serving = new;
        let mut gone = self.table.clone();
        gone.services[0].targets.remove(old);
        gone.generation = self.next();
        self.ours.publish(&gone).map(|_| ())
    }

    fn publish(&mut self, modes: [(usize, Mode); 2]) -> Result<(), Box<dyn Error>> {
        for (index, mode) in modes {
            let target: &mut Target = &mut self.table.services[0].targets[index];
            target.mode = mode;
        }
        self.next();
        self.ours.publish(&self.table).map(|_| ())
    }

    fn next(&mut self) -> Generation {
        self.table.generation.0 += 1;
        self.table.generation
    }
}
