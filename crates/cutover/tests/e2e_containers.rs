//! Deployments of containers by the real binary, while strict clients use the service.

mod docker_support;

use cutover_core::machine::Outcome;
use cutover_meter::{Load, Running};
use cutover_testkit::host::answers;
use docker_support::docker;
use docker_support::shop::Shop;

/// Deploys under load: until it is done both may answer, from then on only the new one.
#[track_caller]
fn moves(shop: &Shop, meter: &Running, verb: &str, from: u32, to: u32) {
    meter.allow_releases(&[&from.to_string(), &to.to_string()]);
    shop.host.done(&[verb]);
    meter.expect_release(&to.to_string());
    answers(meter, 20);
}

/// Seen to fail with containers that are stopped in the same breath as the traffic moves.
#[test]
fn containers_move_to_their_next_release_and_back_without_a_loss() {
    let shop = Shop::new();
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    let meter = shop.host.meter(Load { sse: 5, websockets: 5, ..shop.host.load(200.0) });
    shop.configure(2, "");
    moves(&shop, &meter, "deploy", 1, 2);
    shop.configure(1, "replicas = 2");
    moves(&shop, &meter, "deploy", 2, 3);
    moves(&shop, &meter, "rollback", 3, 2);
    let story = shop.host.story().summary;
    assert_eq!(story.outcome, Some(Outcome::Done));
    let report = shop.host.clean_report(meter);
    assert_eq!((report.sse.kept, report.websockets.kept), (5, 5), "{report}");
    let logs = shop.host.done(&["logs"]).stdout;
    assert!(logs.contains("sample"), "{logs}");
}

/// Seen to fail when a container that exits was only noticed by the end of its time.
#[test]
fn a_container_that_exits_is_refused_with_its_last_words() {
    let shop = Shop::new();
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    let meter = shop.host.meter(shop.host.load(100.0));
    shop.configure(2, "env = { SAMPLE_EXIT_AT_START = \"3\" }");
    let told = shop.host.run(&["deploy"]).expect(4);
    told.says(&["exited with status 3", "--exit-at-start was given", "release 1 of sample is live"]);
    shop.host.clean_report(meter);
    assert_eq!(shop.running().len(), 1, "something was left behind");
}

#[test]
fn an_image_that_is_nowhere_changes_nothing() {
    let shop = Shop::new();
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    let text = std::fs::read_to_string(shop.host.config()).expect("the configuration");
    std::fs::write(shop.host.config(), text.replace("cutover-test/sample:1", "localhost:1/no/such:9")).expect("write");
    shop.host.run(&["deploy"]).expect(1).says(&["localhost:1", "release 1 of sample is live"]);
    assert_eq!(shop.running().len(), 1);
}

/// A port that a container publishes is not taken from it: the plan says so before anything happens.
#[test]
fn a_port_that_a_container_publishes_is_refused_in_the_plan() {
    let shop = Shop::new();
    let publish = format!("{}:80", shop.host.address());
    let stranger =
        docker(&["run", "--detach", "--rm", "--publish", &publish, docker_support::busybox(), "sleep", "1000"]);
    shop.configure(1, "");
    let told = shop.host.run(&["plan"]).expect(3);
    told.says(&["could not listen", "a container publishes this port"]);
    shop.host.run(&["deploy"]).expect(3);
    assert_eq!(shop.running().len(), 0);
    docker(&["kill", &stranger]);
    // The port is free when Docker has taken its stand-in away.
    cutover_testkit::host::until("the port is free", || {
        std::net::TcpListener::bind(shop.host.address()).ok().map(drop)
    });
    shop.host.done(&["deploy"]);
}
