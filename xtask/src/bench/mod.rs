//! Benchmarks. Each measures us and our peers alternately on the same machine, so that what disturbs one disturbs all.

mod backend;
mod load;
mod peers;
mod proxy;
mod usage;

use std::error::Error;

/// What can be measured.
#[derive(clap::Subcommand)]
pub enum What {
    /// CPU time per request and memory of the proxy, against nginx, HAProxy and Caddy where they are installed.
    Proxy(proxy::Arguments),
}

/// Measures.
pub fn run(what: What) -> Result<(), Box<dyn Error>> {
    match what {
        What::Proxy(arguments) => proxy::proxy(&arguments),
    }
}
