//! Benchmarks. Each measures us and our peers alternately on the same machine, so that what disturbs one disturbs all.

pub mod backend;
pub mod load;
pub mod peer;
mod proxy;
mod services;
pub mod site;
mod slow;
mod switch;
mod table;
mod usage;
pub mod work;

use std::error::Error;
use std::net::SocketAddr;

/// What can be measured.
#[derive(clap::Subcommand)]
pub enum What {
    /// Processor time per request, latency and memory of the proxy, against nginx, HAProxy and Caddy where they are installed
    Proxy(proxy::Arguments),
    /// A table of 1,000 services with 10,000 instances: what a request costs, how long a change takes, memory
    Services(services::Arguments),
    /// What a switch does to the slowest requests
    Switch(switch::Arguments),
    /// What ten thousand slow clients do to the others
    Slow(slow::Arguments),
    /// A proxy that only copies bytes, which `proxy` starts
    #[command(hide = true)]
    Copy {
        /// Where it listens.
        listen: SocketAddr,
        /// Where it sends everything.
        to: SocketAddr,
        /// Its threads.
        threads: usize,
    },
}

/// Measures.
pub fn run(what: What) -> Result<(), Box<dyn Error>> {
    match what {
        What::Proxy(arguments) => proxy::proxy(&arguments),
        What::Services(arguments) => services::services(&arguments),
        What::Switch(arguments) => switch::switch(&arguments),
        What::Slow(arguments) => slow::slow(&arguments),
        What::Copy { listen, to, threads } => peer::copy(listen, to, threads),
    }
}

/// More open files than a bench needs: two for each connection are open in a proxy, and one here.
const FILES: u64 = 100_000;

/// Allows that many open files, or as many as may be; the proxies inherit it.
pub fn raise_limit() -> Result<(), Box<dyn Error>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let enough = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    if maximum.is_some_and(|maximum| maximum < FILES) && setrlimit(Resource::Nofile, enough).is_ok() {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
