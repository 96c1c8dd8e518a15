//! The proxy as a process, with real sockets on both sides.
//!
//! Clients and instances are plain threads with blocking sockets, so that a test says exactly which bytes go where and when.
//! Nothing waits for a time to pass: every wait is for a condition, with a limit after which the test fails.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod acme;
mod answers;
mod body;
mod carried;
mod control;
mod drain;
mod h2c;
mod h2c_life;
mod headers;
mod hold;
mod http2;
mod http2_strict;
mod ident;
mod instance_tls;
mod instance_tls_bad;
mod limits;
mod log;
mod metrics;
mod pin;
mod preamble;
mod process;
mod retry;
mod routing;
mod rules;
mod slow;
mod spans;
mod spread;
mod streams;
mod strict;
mod support;
mod tcp;
mod tls;
mod tls_life;
mod unix;
mod unix_listener;
mod upgrade;
mod waits;
mod websocket_h2;

/// Not a test: the process that the tests start. It is this same program, called with a state directory in its environment.
#[test]
fn proxy_process() {
    let Some(state) = std::env::var_os("CUTOVER_TEST_STATE") else { return };
    let successor = ["--exact", "proxy_process", "--nocapture", "succeed"].map(Into::into).to_vec();
    let options = cutover_proxy::Options {
        threads: Some(2),
        succeed: std::env::args().any(|argument| argument == "succeed"),
        successor,
        stay: std::env::var_os("CUTOVER_TEST_STAY").is_some(),
        ..cutover_proxy::Options::of(state.into())
    };
    if let Err(error) = cutover_proxy::run(options) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
