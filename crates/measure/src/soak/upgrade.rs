//! The proxy replaced again and again, under load, with streams that are open from the first process to the last.

use cutover_proxy::client::Upgraded;
use cutover_testkit::host::{App, Host, answers, until};

use super::{row, spread, under_load};

const STREAMS: usize = 100;

/// How many requests are answered between two upgrades: a second of them.
const BETWEEN: f64 = 1.0;

/// Upgrades so often, under so many requests a second.
pub fn run(host: &Host, upgrades: u32, rate: f64) -> Result<(), String> {
    host.configure(&App { replicas: 2, ..App::default() });
    host.done(&["deploy"]);
    let meter = under_load(host, STREAMS, rate);
    let mut took = Vec::new();
    for _ in 0..upgrades {
        let upgraded: Upgraded = host.done(&["--json", "proxy", "upgrade"]).json();
        took.push(upgraded.took_ms as f64);
        answers(&meter, (rate * BETWEEN) as u64);
    }
    until("only the streams are left behind", || {
        (host.status().proxy.is_some_and(|proxy| proxy.leaving.len() == 1)).then_some(())
    });
    let report = host.report(meter);
    row("upgrades of the proxy under load", upgrades);
    row("asked for → the successor accepts", spread(took));
    row("requests answered", format!("{}, at {rate:.0} a second asked for", report.requests.answered));
    row("refused, reset, lost, duplicated", report.requests.failed);
    let (sse, websockets) = (&report.sse, &report.websockets);
    row("streams open from the first process to the last", format!("{} + {}", sse.kept, websockets.kept));
    row("streams cut", sse.cut + websockets.cut);
    println!("\n```text\n{report}\n```\n");
    if report.clean() { Ok(()) } else { Err(format!("something was lost: {:#?}", report.failures)) }
}
