//! Every verb that changes something, against the real binary under load.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use cutover_core::machine::Outcome;
use cutover_testkit::host::{App, Following, Host, answers};
use rustix::process::Signal;

/// A host with the first release live.
fn live() -> Host {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    host.done(&["deploy"]);
    host
}

/// Begins a deployment of something new that will not get far for a minute.
#[track_caller]
fn begin_a_long_one(host: &Host) -> Following {
    host.configure(&App { stable_for: "50s", within: "60s", ..App::default() });
    host.build("something new");
    let mut deploy = host.begin(&["--json", "deploy"]);
    deploy.read_to("instance_started");
    deploy
}

/// Each of them starts an agent, and one agent stays. Seen to fail with commands that give up when theirs has ended: "an agent was started, but does not
/// answer".
#[test]
fn commands_that_are_given_at_once_share_an_agent() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App::default());
    for _ in 0..3 {
        let commands: Vec<Following> = (0..8).map(|_| host.begin(&["status"])).collect();
        for command in commands {
            command.wait().expect(0);
        }
        host.done(&["agent", "stop"]);
    }
}

#[test]
fn an_interrupt_turns_the_deployment_back() {
    let host = live();
    let meter = host.meter(host.load(50.0));
    let deploy = begin_a_long_one(&host);
    deploy.signal(Signal::INT);
    deploy.wait().expect(4).says(&["aborted", "interrupted at the terminal", "release 1 of sample is live, as before"]);
    host.rests_on(Some(1), 1);
    let deploy = begin_a_long_one(&host);
    deploy.signal(Signal::TERM);
    deploy.wait().expect(4);
    host.rests_on(Some(1), 1);
    host.clean_report(meter);
}

#[test]
fn abort_turns_it_back_and_both_sides_are_told() {
    let host = live();
    let deploy = begin_a_long_one(&host);
    host.done(&["abort", "-m", "it was the wrong one"]);
    deploy.wait().expect(4).says(&["it was the wrong one"]);
    host.rests_on(Some(1), 1);
    host.run(&["abort"]).expect(3).says(&["no deployment of sample is running"]);
}

#[test]
fn a_roll_back_during_a_deployment_turns_that_back() {
    let host = live();
    let deploy = begin_a_long_one(&host);
    host.done(&["rollback"]);
    deploy.wait().expect(4);
    host.rests_on(Some(1), 1);
}

#[test]
fn a_second_deployment_is_refused_by_name_or_waits() {
    let host = live();
    let meter = host.meter(host.load(50.0));
    let first = begin_a_long_one(&host);
    host.run(&["deploy"]).expect(3).says(&["sample is busy", "began deployment 2", "hint:", "abort sample"]);
    for verb in ["restart", "stop", "remove"] {
        host.run(&[verb]).expect(3).says(&["sample is busy"]);
    }
    host.configure(&App::default());
    host.build("the one that waits");
    let mut second = host.begin(&["--json", "deploy", "--wait"]);
    host.done(&["abort"]);
    first.wait().expect(4);
    second.read_to("planned");
    second.wait().expect(0);
    host.rests_on(Some(3), 1);
    host.clean_report(meter);
}

#[test]
fn a_lock_keeps_others_out_until_it_is_released() {
    let host = live();
    host.done(&["lock", "-m", "the database is being moved"]);
    host.build("second");
    host.run(&["deploy"]).expect(3).says(&[
        "sample is locked by",
        "the database is being moved",
        "lock sample --release",
    ]);
    host.run(&["restart"]).expect(3);
    host.done(&["status"]).says(&["the database is being moved"]);
    host.done(&["lock", "--release"]);
    host.done(&["deploy"]);
    host.done(&["lock", "--for", "1s"]);
    host.build("third");
    cutover_testkit::host::until("the lock has ended by itself", || {
        (host.run(&["deploy"]).code == Some(0)).then_some(())
    });
    host.rests_on(Some(3), 1);
}

#[test]
fn back_and_forth_between_releases() {
    let host = live();
    host.run(&["rollback"]).expect(3).says(&["no earlier release"]);
    let meter = host.meter(host.load(100.0));
    host.build("second");
    host.done(&["deploy"]);
    meter.allow_releases(&["1", "2"]);
    host.done(&["rollback"]);
    meter.expect_release("1");
    answers(&meter, 20);
    host.rests_on(Some(1), 1);
    meter.allow_releases(&["1", "2"]);
    host.run(&["rollback", "--to", "7"]).expect(3).says(&["has no release 7"]);
    host.done(&["rollback", "--to", "2"]);
    meter.expect_release("2");
    answers(&meter, 20);
    host.rests_on(Some(2), 1);
    host.run(&["deploy"]).expect(0).says(&["already runs this"]);
    host.done(&["history"]).says(&["rollback", "deploy"]);
    host.clean_report(meter);
}

#[test]
fn restart_and_scale_lose_nothing() {
    let host = live();
    let meter = host.meter(host.load(100.0));
    meter.expect_release("1");
    host.done(&["restart"]);
    host.rests_on(Some(1), 1);
    host.done(&["scale", "3"]);
    host.rests_on(Some(1), 3);
    host.done(&["restart", "sample"]);
    host.done(&["scale", "sample=1"]);
    host.rests_on(Some(1), 1);
    host.run(&["scale", "0"]).expect(2);
    let report = host.clean_report(meter);
    assert_eq!(report.releases.len(), 1, "{report}");
}

#[test]
fn stop_deploy_and_remove() {
    let host = live();
    host.done(&["stop"]);
    host.rests_on(None, 0);
    host.run(&["restart"]).expect(3).says(&["sample is stopped"]);
    host.build("second");
    host.done(&["deploy"]);
    host.rests_on(Some(2), 1);
    let meter = host.meter(host.load(50.0));
    host.clean_report(meter);
    host.done(&["remove"]);
    assert!(host.status().services.is_empty());
    assert!(std::net::TcpStream::connect(host.address()).is_err(), "the proxy still listens for it");
    host.done(&["deploy"]);
    host.rests_on(Some(3), 1);
}

/// Seen to fail with a panic at the closed pipe.
#[test]
fn a_reader_that_goes_away_does_not_disturb_the_deployment() {
    let host = live();
    host.build("second");
    let mut deploy = host.begin(&["--json", "deploy"]);
    deploy.line();
    assert_eq!(deploy.hang_up(), Some(0));
    host.rests_on(Some(2), 1);
    assert_eq!(host.story().summary.outcome, Some(Outcome::Done));
}

/// The page comes from the proxy, which has it on its disk; who is let through, and the deployment, see the service.
#[test]
fn maintenance_shows_a_page_until_it_is_taken_back() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let page = host.root().join("soon.html");
    std::fs::write(&page, "<p>soon</p>").unwrap();
    host.configure(&App { route: "maintenance = { page = \"soon.html\" }".to_owned(), ..App::default() });
    host.run(&["maintenance", "on", "sample"]).expect(3).says(&["sample"]);
    host.done(&["deploy"]);
    let get = |path: &str| get(host.address(), path);
    assert_eq!(get("/").0, 200);
    host.run(&["maintenance", "on", "--page", "missing.html"]).expect(2).says(&["missing.html", "cannot be read"]);
    host.done(&["maintenance", "on", "-m", "moving house", "--retry-after", "5m"]);
    assert_eq!(get("/"), (503, "<p>soon</p>".to_owned()));
    host.run(&["status"]).expect(0).says(&["down for maintenance", "moving house"]);
    host.build("something new");
    host.done(&["deploy"]);
    assert_eq!(get("/").0, 503, "a deployment goes through and does not take it up");
    host.done(&["maintenance", "on", "--allow", "127.0.0.0/8"]);
    assert_eq!(get("/").0, 200, "who is let through is served");
    host.done(&["maintenance", "on"]);
    assert_eq!(get("/").0, 503);
    host.done(&["maintenance", "off"]);
    host.done(&["maintenance", "off"]);
    assert_eq!(get("/").0, 200);
}

/// Status and body.
fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: sample\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}
