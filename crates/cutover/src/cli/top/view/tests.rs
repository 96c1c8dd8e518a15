use cutover_core::machine::Duty;
use cutover_core::{Generation, Timestamp};

use super::*;
use crate::agent::api::{AgentStatus, InstanceStatus};

fn target(instance: &str, served: u64, errors: u64, millis: &[u64]) -> TargetStats {
    let mut latency = Histogram::default();
    millis.iter().for_each(|millis| latency.record(std::time::Duration::from_millis(*millis)));
    TargetStats {
        instance: instance.parse().unwrap(),
        in_flight: 1,
        streams: 2,
        idle: 0,
        served,
        failed: 0,
        errors,
        latency: Some(latency),
        ejected: false,
    }
}

fn service(served: u64, failed: u64) -> ServiceStats {
    let name = ServiceName::new("web").unwrap();
    let (errors, retried, held, longest_gap_us) = (0, 0, 3, 0);
    ServiceStats { name, served, failed, errors, retried, held, longest_gap_us, latency: Histogram::default() }
}

fn reading(started: u64, at: Instant, services: Vec<ServiceStats>, targets: Vec<TargetStats>) -> Reading {
    let instance = |target: &TargetStats| InstanceStatus {
        instance: target.instance.clone(),
        duty: Duty::Serving,
        down: None,
        restarts: 0,
        address: None,
        socket: None,
        pid: None,
        share: 50.0,
        in_flight: 0,
        streams: 0,
        ejected: target.instance.number == 2,
    };
    let web = ServiceStatus {
        name: ServiceName::new("web").unwrap(),
        project: "shop".to_owned(),
        live: Some(ReleaseNo(1)),
        address: None,
        instances: targets.iter().map(instance).collect(),
        deployment: None,
        at_work: None,
        progress: None,
        lock: None,
        last: None,
        served: 0,
        failed: 0,
        notes: Vec::new(),
        maintenance: None,
    };
    let agent = AgentStatus {
        version: String::new(),
        pid: 1,
        started: Timestamp(1),
        state: "/".into(),
        trouble: None,
        memory: 0,
    };
    let (started, generation) = (Timestamp(started), Generation(1));
    let stats =
        Stats { started, generation, connections: 7, services, targets, certificates: Vec::new(), further: None };
    Reading { at, status: Status { agent, proxy: None, services: vec![web] }, stats }
}

/// Seen to fail with the totals in place of what came since, and with counts of the life before subtracted.
#[test]
fn a_view_tells_of_the_time_between() {
    let at = Instant::now();
    let later = at + std::time::Duration::from_secs(2);
    let before = reading(1, at, vec![service(100, 5)], vec![target("web.r1.i1", 100, 0, &[1000; 90])]);
    let targets =
        || vec![target("web.r1.i1", 110, 5, &[&[1000; 90][..], &[3; 10]].concat()), target("web.r2.i2", 4, 0, &[])];
    let now = reading(1, later, vec![service(140, 15)], targets());
    let view = View::between(&before, &now, None);
    let web = &view.services[0];
    assert_eq!((view.connections, view.restarted, web.held), (7, false, 3));
    assert_eq!((web.all.per_second, web.all.errors), (25.0, Some(20.0)));
    assert_eq!((web.all.in_flight, web.all.streams), (2, 4));
    let first = &web.instances[0];
    assert_eq!((first.all.per_second, first.all.errors, first.trouble), (5.0, Some(50.0), None));
    assert!(first.all.p99_us.is_some_and(|p99| p99 < 5000), "{:?}", first.all);
    assert_eq!((web.instances[1].trouble, web.instances[1].all.p50_us), (Some("left out"), None));
    assert_eq!(web.releases.iter().map(|release| release.all.per_second).collect::<Vec<_>>(), [5.0, 2.0]);
    let anew =
        View::between(&now, &reading(2, later + std::time::Duration::from_secs(1), vec![service(8, 0)], vec![]), None);
    assert_eq!((anew.restarted, anew.services[0].all.per_second), (true, 8.0));
    let other = ServiceName::new("other").unwrap();
    assert!(View::between(&before, &now, Some(&other)).services.is_empty());
}

#[test]
fn it_is_drawn_in_columns() {
    console::set_colors_enabled(false);
    let at = Instant::now();
    let before = reading(1, at, vec![service(0, 0)], vec![target("web.r1.i1", 0, 0, &[])]);
    let now = reading(
        1,
        at + std::time::Duration::from_secs(1),
        vec![service(9, 1)],
        vec![target("web.r1.i1", 1234, 1, &[2; 1234]), target("web.r1.i2", 0, 0, &[])],
    );
    insta::assert_snapshot!(super::super::draw::text(&View::between(&before, &now, None)));
}
