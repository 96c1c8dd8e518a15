//! The meter against the sample service, and against servers that misbehave in one way each.
//!
//! A test of a failure class names, in its comment, the change to the meter with which it was seen to fail.
#![allow(clippy::unwrap_used, reason = "a test may panic, in the functions around it too")]

mod command;
mod misrouted;
mod parser;
mod requests;
mod rogue;
mod sample;
mod streams;

use std::time::Duration;

use cutover_meter::{Class, Expect, Load, Meter, Report, Running, Url};

/// What every wait in these tests is limited to.
const LIMIT: Duration = Duration::from_secs(20);

/// One careless client that asks every few milliseconds and checks ids.
fn load(url: Url) -> Load {
    Load {
        rate: 0.0,
        think: Duration::from_millis(2)..Duration::from_millis(5),
        reused: 1,
        peek: 0,
        fresh: 0,
        timeout: Duration::from_secs(5),
        expect: Expect { id_header: Some("x-request-id".into()), ..Expect::default() },
        ..Load::new(url)
    }
}

/// Waits until a running load has shown something.
async fn until(running: &Running, what: &str, condition: impl Fn(&Report) -> bool) {
    let wait = async {
        while !condition(&running.snapshot()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(LIMIT, wait).await.is_err() {
        panic!("waited in vain for {what}:\n{}", running.snapshot());
    }
}

/// Runs a load until it has met a failure of this class, and checks that it met no other.
async fn only(load: Load, class: Class) -> Report {
    let running = Meter::start(load).unwrap();
    until(&running, &class.to_string(), |report| report.count(class) > 0).await;
    let report = running.stop().await;
    let classes: Vec<_> = report.failures_by_class.keys().copied().collect();
    assert_eq!(classes, [class], "{report}");
    assert!(!report.clean());
    report
}
