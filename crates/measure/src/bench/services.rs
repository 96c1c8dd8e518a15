//! `bench services`: what many services cost. Three proxies of ours: one with a single service, one with as many as are asked, and one with
//! a thousand, of which no more are asked. Between the last two nothing differs but what has to be looked through; between the first
//! two, how many instances share the requests, and so how many connections are used in turn.

use std::error::Error;
use std::time::Duration;

use cutover_core::table::{Mode, Table};
use cutover_core::{Generation, ServiceName};

use super::peer::{Ours, listener, route, service};
use super::site::Site;
use super::table::{spread, told};
use super::{backend, load};

/// How to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Services of the large table.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Instances of each service.
    #[arg(long, default_value_t = 10)]
    instances: usize,
    /// Rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of load in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

const CONNECTIONS: usize = 64;

/// Measures and prints.
pub fn services(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    super::raise_limit()?;
    let (program, backends, dir) = (crate::binary()?, backend::start()?, tempfile::tempdir()?);
    let site = Site::new(dir.path(), backends, 2, CONNECTIONS, false)?;
    let one = Large::start(&site, &program, "one", 1, arguments.instances)?;
    let few = Large::start(&site, &program, "few", CONNECTIONS, arguments.instances)?;
    let many = Large::start(&site, &program, "many", arguments.services, arguments.instances)?;
    let time = Duration::from_secs_f64(arguments.seconds);
    let (mut breadth, mut lookup) = (Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        let costs = [one.cost(time)?, few.cost(time)?, many.cost(time)?];
        // The first only warms up.
        if round > 0 {
            breadth.push(costs[1] / costs[0]);
            lookup.push(costs[2] / costs[1]);
        }
    }
    let publish = |large: &Large| -> Result<[f64; 3], Box<dyn Error>> {
        let times: Result<Vec<f64>, _> = (0..20).map(|turn| large.change(turn)).collect();
        Ok(spread(times?.into_iter()))
    };
    let ratio = |ratios: Vec<f64>| told(spread(ratios.into_iter()), 2);
    let (services, instances) = (arguments.services, arguments.instances);
    println!("processor time per request, {instances} instances each:");
    println!("{CONNECTIONS} services, all asked, to one: {}", ratio(breadth));
    println!("{services} services, {CONNECTIONS} of them asked, to {CONNECTIONS}: {}, aim 1.1", ratio(lookup));
    for (name, large) in [("one service", &one), ("all", &many)] {
        let (times, memory) = (publish(large)?, large.ours.peer.usage().memory as f64 / f64::from(1 << 20));
        println!(
            "{name}: a change is published in {:.1} ms ({:.1} to {:.1}), {memory:.1} MiB",
            times[1], times[0], times[2]
        );
    }
    Ok(())
}

/// A proxy with many services, told apart by host.
struct Large {
    ours: Ours,
    table: Table,
}

impl Large {
    fn start(
        site: &Site,
        program: &std::path::Path,
        name: &str,
        services: usize,
        instances: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let ours = Ours::bare(site, program, name)?;
        let mut routes = Vec::new();
        let mut all = Vec::new();
        for index in 0..services {
            let name = ServiceName::new(format!("s{index}"))?;
            all.push(service(name.clone(), &vec![site.backends.http; instances])?);
            routes.push(route(&name, vec![host(index)]));
        }
        let listeners = vec![listener(ours.peer.doors.http, routes)];
        let table = Table { generation: Generation(1), listeners, services: all, ..Table::default() };
        ours.publish(&table)?;
        Ok(Self { ours, table })
    }

    /// Processor time per request, over as many services as there are clients.
    fn cost(&self, time: Duration) -> Result<f64, Box<dyn Error>> {
        let before = self.ours.peer.usage().cpu;
        let services = self.table.services.len();
        let hosts = |client: usize| host(client * 7 % services);
        let seen = load::small(self.ours.peer.doors.http, &hosts, CONNECTIONS, time)?;
        let spent = self.ours.peer.usage().cpu - before;
        Ok(spent.as_secs_f64() * 1e6 / seen.requests().max(1) as f64)
    }

    /// Changes one weight, and gives the milliseconds until that is acknowledged.
    fn change(&self, turn: u16) -> Result<f64, Box<dyn Error>> {
        let mut table = self.table.clone();
        table.generation = Generation(u64::from(turn) + 2);
        table.services[0].targets[0].mode = Mode::Serving { weight: 1 + turn % 2 };
        Ok(self.ours.publish(&table)?.as_secs_f64() * 1e3)
    }
}

fn host(index: usize) -> String {
    format!("s{index}.example")
}
