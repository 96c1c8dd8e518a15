//! Deployments one after the other, under load, with streams that are open from the first to the last.

use cutover_testkit::host::{App, Host, answers};

use super::{row, spread, under_load};

const STREAMS: usize = 20;

/// Deploys so often, under so many requests a second.
pub fn run(host: &Host, deployments: u32, rate: f64) -> Result<(), String> {
    host.configure(&App::default());
    host.done(&["deploy"]);
    let meter = under_load(host, STREAMS, rate);
    let mut to_traffic = Vec::new();
    for number in 2..=deployments + 1 {
        let (old, new) = ((number - 1).to_string(), number.to_string());
        host.build(if number.is_multiple_of(2) { "even" } else { "odd" });
        meter.allow_releases(&[&old, &new]);
        host.done(&["deploy"]);
        meter.expect_release(&new);
        answers(&meter, 20);
        to_traffic.extend(host.story().summary.proof.and_then(|proof| proof.ready_to_traffic_ms).map(|ms| ms as f64));
    }
    let report = host.report(meter);
    row("deployments under load", deployments);
    row("requests answered", format!("{}, at {:.0} a second asked for", report.requests.answered, rate));
    row("lost, duplicated, misrouted", report.requests.failed);
    let (sse, websockets) = (&report.sse, &report.websockets);
    row("streams open from the first deployment to the last", format!("{} + {}", sse.kept, websockets.kept));
    row("streams cut", sse.cut + websockets.cut);
    row("instance ready → all new requests on it, under that load", spread(to_traffic));
    println!("\n```text\n{report}\n```\n");
    if report.clean() { Ok(()) } else { Err(format!("something was lost: {:#?}", report.failures)) }
}
