//! The proxy as a process, with real sockets on both sides.
//!
//! Clients and instances are plain threads with blocking sockets, so that a test says exactly which bytes go where and when.
//! Nothing waits for a time to pass: every wait is for a condition, with a limit after which the test fails.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod answers;
mod body;
mod control;
mod drain;
mod headers;
mod hold;
mod limits;
mod pin;
mod process;
mod retry;
mod routing;
mod rules;
mod streams;
mod strict;
mod support;
mod tcp;

/// Not a test: the process that the tests start. It is this same program, called with a state directory in its environment.
#[test]
fn proxy_process() {
    let Some(state) = std::env::var_os("CUTOVER_TEST_STATE") else { return };
    let options = cutover_proxy::Options { state: state.into(), threads: Some(2) };
    if let Err(error) = cutover_proxy::run(options) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
