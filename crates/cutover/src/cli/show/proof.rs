//! The proof at the end of a deployment.

use std::time::Duration;

use console::style;
use cutover_core::proof::Proof;

use super::time::{length, number};

/// The end of a deployment that did what it should: what is live, after how long, and the proof.
pub fn done(live: &str, proof: Option<&Proof>) -> String {
    let took =
        proof.map(|proof| format!(", after {}", length(Duration::from_millis(proof.took_ms)))).unwrap_or_default();
    format!("{} {live}{took}\n{}", style("✓").green().bold(), text(proof))
}

/// The proof in a line or three; that nothing was counted is said too.
pub fn text(proof: Option<&Proof>) -> String {
    let Some(proof) = proof else {
        return "  nothing came by cutover's own proxy, so it has nothing to count".to_owned();
    };
    let mut lines = vec![counts(proof)];
    if proof.p50_us.is_some() {
        lines.push(latency(proof));
    }
    if let Some(millis) = proof.ready_to_traffic_ms {
        lines.push(format!("ready to all traffic in {}", length(Duration::from_millis(millis))));
    }
    if proof.proxy_restarts > 0 {
        lines.push(format!("the proxy was gone and came back {} times: counts begin anew there", proof.proxy_restarts));
    }
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn counts(proof: &Proof) -> String {
    let mut text = format!(
        "{} requests served meanwhile, {} failed, {} retried",
        number(proof.served),
        number(proof.failed),
        number(proof.retried)
    );
    if proof.errors > 0 {
        text.push_str(&format!(", {} answered with an error by the application", number(proof.errors)));
    }
    if proof.streams_kept > 0 {
        text.push_str(&format!(", {} streams kept", number(proof.streams_kept)));
    }
    text
}

fn latency(proof: &Proof) -> String {
    let micros = |value: Option<u64>| value.map_or("?".to_owned(), |micros| length(Duration::from_micros(micros)));
    let mut text = format!("p50 {}, p99 {}", micros(proof.p50_us), micros(proof.p99_us));
    if proof.p50_before_us.is_some() {
        let before = (micros(proof.p50_before_us), micros(proof.p99_before_us));
        text.push_str(&format!(" (the minute before: {}, {})", before.0, before.1));
    }
    text.push_str(&format!(" · longest gap {}", length(Duration::from_micros(proof.longest_gap_us))));
    text
}
