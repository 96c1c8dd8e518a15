//! The agent is killed at points of a deployment of containers, under load. Every fifth point here; every one in
//! `cargo xtask soak --part kills`.

mod docker_support;

use cutover_meter::Load;
use cutover_testkit::host::{Scene, answers, until};
use docker_support::shop::{Service, Shop};

/// How many points lie between two kills.
fn every() -> usize {
    std::env::var("CUTOVER_KILL_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(5)
}

/// What is deployed in a scene; the second image is no other program than the first.
fn configure(shop: &Shop, scene: Scene, round: u32) {
    let flag = shop.host.flag();
    let probe = match scene {
        Scene::Failure => format!("command = [\"test\", \"!\", \"-e\", {flag:?}]"),
        _ => "http = \"/healthz\"".to_owned(),
    };
    let watch = if scene == Scene::Deployment { "300ms" } else { "20s" };
    shop.write(&Service {
        lines: shop.sample(1 + round % 2, ""),
        ready: format!("{probe}\nstable_for = \"50ms\"\nwithin = \"20s\""),
        rollout: format!("watch = \"{watch}\"\ndrain = \"10s\""),
        ..Service::default()
    });
}

/// Seen to fail when a repeated start did not look for the container that the first had made, and when a removal left the containers that it had
/// stopped itself.
#[track_caller]
fn killed_at_points_of(scene: Scene) {
    let shop = Shop::new();
    configure(&shop, Scene::Deployment, 0);
    shop.host.done(&["deploy"]);
    let meter = shop.host.meter(Load { sse: 2, websockets: 2, ..shop.host.load(100.0) });
    // The fourth is the one that announces the start.
    let mut at = if every() > 1 { 4 } else { 1 };
    let mut round = 1;
    loop {
        configure(&shop, scene, round);
        if !shop.host.agent_killed_as_configured(scene, at, &meter) {
            break;
        }
        (at, round) = (at + every(), round + 1);
    }
    assert!(at > 9, "hardly any events: {at}");
    answers(&meter, 20);
    let report = shop.host.clean_report(meter);
    assert_eq!((report.sse.cut, report.websockets.cut), (0, 0), "{report}");
    until("only what serves is left running", || (shop.running().len() == 1).then_some(()));
    shop.host.done(&["remove"]);
    assert_eq!(shop.containers(), Vec::<String>::new(), "somebody is left behind");
}

#[test]
fn a_deployment_of_containers_survives_its_agent() {
    killed_at_points_of(Scene::Deployment);
}

#[test]
fn a_failing_deployment_of_containers_is_undone_by_the_next_agent() {
    killed_at_points_of(Scene::Failure);
}

#[test]
fn an_aborted_deployment_of_containers_is_undone_by_the_next_agent() {
    killed_at_points_of(Scene::Abort);
}
