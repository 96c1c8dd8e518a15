//! What goes wrong on request, before a route sees the request.

use hyper::StatusCode;

use crate::reply::{Reply, text};
use crate::state::{Phase, State};

/// The status that a crash on purpose exits with; the one a Rust panic has.
pub(crate) const CRASHED: u8 = 101;

/// The answer to a health probe.
pub(crate) fn health(state: &State) -> Reply {
    if state.options.fail_health {
        text(StatusCode::SERVICE_UNAVAILABLE, "unhealthy, as asked\n")
    } else if !state.is_ready() {
        not_ready()
    } else {
        text(StatusCode::OK, "ok\n")
    }
}

/// Waits, fails or crashes as asked. `None` lets the request through.
pub(crate) async fn strike(state: &State) -> Option<Reply> {
    let number = state.next_request();
    if state.options.crash_after_requests.is_some_and(|limit| number > limit) {
        state.enter(Phase::Crashed);
        std::future::pending::<()>().await;
    }
    let is_cold = state.options.latency_first.is_none_or(|first| number <= first);
    let waits = is_cold && is_unlucky(number, state.options.latency_rate);
    if let Some(latency) = state.options.latency.filter(|_| waits) {
        tokio::time::sleep(latency).await;
    }
    if !state.is_ready() {
        return Some(not_ready());
    }
    let fails = number <= state.options.fail_first || is_unlucky(number, state.options.error_rate);
    fails.then(|| text(StatusCode::INTERNAL_SERVER_ERROR, "failed, as asked\n"))
}

fn not_ready() -> Reply {
    text(StatusCode::SERVICE_UNAVAILABLE, "not ready yet\n")
}

/// Spreads `percent` evenly over the request numbers, so that the share is exact and a run can be repeated.
fn is_unlucky(number: u64, percent: f64) -> bool {
    let failed_by = |count: u64| (count as f64 * percent / 100.0).floor();
    failed_by(number) > failed_by(number - 1)
}

#[cfg(test)]
mod tests {
    use super::is_unlucky;

    #[test]
    fn the_error_rate_is_exact() {
        for (percent, expected) in [(0.0, 0), (0.1, 1), (12.5, 125), (50.0, 500), (100.0, 1000)] {
            let failed = (1..=1000).filter(|number| is_unlucky(*number, percent)).count();
            assert_eq!(failed, expected, "{percent} %");
        }
    }
}
