//! How long things take when nothing goes wrong, and how much memory lies idle.

use std::time::Duration;

use cutover_core::machine::Event;
use cutover_core::plan::Step;
use cutover_testkit::host::{App, Host, Role, until};

use super::{row, spread};

const DEPLOYMENTS: usize = 30;
const KILLS: usize = 20;

/// When the sample begins to pass its probe, counted from its start.
const READY_AFTER: Duration = Duration::from_millis(500);

/// Measures, and prints.
pub fn run(host: &Host) {
    let ready_after = READY_AFTER.as_millis().to_string();
    let eager = App { stable_for: "0s", passes: 1, watch: "100ms", ..App::with(&["--ready-after", &ready_after]) };
    host.configure(&eager);
    host.done(&["deploy"]);
    let (mut to_traffic, mut to_seen) = (Vec::new(), Vec::new());
    for _ in 0..DEPLOYMENTS {
        host.done(&["deploy", "--again"]);
        to_traffic.extend(host.story().summary.proof.and_then(|proof| proof.ready_to_traffic_ms).map(|ms| ms as f64));
        to_seen.extend(seen_late(host));
    }
    row("instance ready → all new requests on it", spread(to_traffic));
    row("started → ready seen, less the 500 ms that the program takes (its own start is in it)", spread(to_seen));
    let down = (0..KILLS).map(|_| {
        let down = host.proxy_killed().as_secs_f64() * 1000.0;
        until("the agent has noticed", || host.only(Role::Proxy).filter(|_| host.table().is_some()));
        down
    });
    row("proxy killed → a new client is answered", spread(down.collect()));
    let status = host.status();
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    row("agent, resident", mib(status.agent.memory));
    row("proxy, resident", status.proxy.map_or("?".to_owned(), |proxy| mib(proxy.memory)));
}

/// From the start of the instance to the end of the readiness step, less what the program itself takes.
fn seen_late(host: &Host) -> Option<f64> {
    let story = host.story();
    let ready = story.events.iter().find_map(|record| match &record.event {
        Event::Planned { plan, .. } => plan.steps.iter().position(|step| matches!(step, Step::Ready { .. })),
        _ => None,
    })?;
    let at = |of: &dyn Fn(&Event) -> bool| story.events.iter().find(|record| of(&record.event)).map(|record| record.at);
    let started = at(&|event| matches!(event, Event::InstanceStarted { .. }))?;
    let seen = at(&|event| matches!(event, Event::StepDone { step } if *step == ready))?;
    Some(seen.since(started).as_secs_f64() * 1000.0 - READY_AFTER.as_secs_f64() * 1000.0)
}
