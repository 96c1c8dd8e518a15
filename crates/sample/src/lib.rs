//! The program that the demo and the tests deploy: a small HTTP service that can be asked to misbehave.
//!
//! Every answer names the service, the release and the instance that gave it, and the ledger says which orders were
//! processed, by whom and how often. That is what lets a load client tell a lost request from a duplicated or a
//! misrouted one. The faults are the ones that real applications have: slow starts, false readiness, crashes, and every
//! way to answer SIGTERM badly.
//!
//! It is a library so that the main binary can carry it as a hidden subcommand and a demo needs nothing else.
//! Deliberately absent: a log line per request (it would be the slowest part), TLS, and HTTP/2.

mod body;
mod connection;
mod faults;
mod ledger;
mod options;
mod reply;
mod routes;
mod server;
mod state;

pub use options::{OnTerm, Options};
pub use server::{run, run_on, run_to_exit};
