//! The counters as Prometheus reads them.
//!
//! A listener of its own, served by the control side: a scrape adds up what the workers have counted, each in memory of its own, and
//! stops none of them. How many series there are follows from the table alone: never from what a client sends.

mod family;
pub mod process;
mod server;
mod tell;

pub use server::Scrapes;

/// Instances beyond so many are left out, each of them with all of its series; `cutover_instances_left_out` says how many.
const MOST_INSTANCES: usize = 2000;
