//! A strict, non-retrying load client that tells lost, duplicated and misrouted requests apart.
//!
//! It is the proof that a deployment dropped nothing, so it is built to be believed: raw TCP, a parser of its own, no code
//! shared with what it measures, and no second attempt at anything. A careless ("naive") client's failure on a connection
//! that it reused is a failure, because real clients are careless.
//!
//! * **lost**: a request without a valid answer, or answered but missing in the server's ledger;
//! * **duplicated**: an id that the ledger has more than once ([`Report::check_ledger`]);
//! * **misrouted**: answered by another service, by a release that is not allowed any more
//!   ([`Running::expect_release`]), or with the answer to another request.
//!
//! At a given rate, requests are sent on schedule whatever the answers do, and latency counts from when a request was due.
//! Without a rate, each client waits for its answer, and a stall shows in the longest gap rather than in the latencies.
//!
//! Deliberately absent: TLS, HTTP/2, redirects, compression. Unix only.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use cutover_meter::{Load, Meter};
//!
//! let running = Meter::start(Load::sample("http://127.0.0.1:8080/".parse()?))?;
//! // … deploy …
//! running.expect_release("2");
//! let report = running.stop().await;
//! println!("{report}");
//! assert!(report.clean());
//! # Ok(()) }
//! ```

mod address;
mod chance;
mod client;
mod context;
mod during;
mod expectation;
mod failure;
mod judge;
mod ledger;
mod load;
mod pace;
pub mod report;
mod running;
mod tally;
mod wire;

pub use address::{Url, UrlError};
pub use during::{RunError, run_during};
pub use failure::{Class, Failure, Kind};
pub use load::{Expect, Load, Paths};
pub use report::Report;
pub use running::{Meter, Running, StartError};
