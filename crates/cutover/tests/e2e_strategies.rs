//! Rolling, canary and recreate on real processes, under strict clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use cutover_core::machine::{Duty, Event, Outcome};
use cutover_meter::{Load, Running};
use cutover_testkit::host::{App, Host, LIMIT, answers, until};

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

/// So many instances that are replaced by this strategy, given as lines of the `rollout` table.
fn app(replicas: u16, strategy: &str) -> App {
    App { replicas, more: format!("strategy = {strategy}\n"), ..App::default() }
}

/// Two ports for two instances: one makes room before its successor starts.
fn on_two_ports(host: &Host, strategy: &str) -> App {
    let (first, second) = (host.another_port(), host.another_port());
    // Streams have to make room, too: as long as a request may take.
    App { own: format!("ports = [{first}, {second}]\n"), drain: "1s", ..app(2, strategy) }
}

fn load(host: &Host) -> Load {
    Load { uploads: 0, ..host.load(300.0) }
}

#[track_caller]
fn both_then(meter: &Running, host: &Host, new: &str, deploy: impl FnOnce()) {
    let old = (new.parse::<u32>().expect("a number") - 1).to_string();
    host.build(new);
    meter.allow_releases(&[&old, new]);
    deploy();
    meter.expect_release(new);
    answers(meter, 20);
}

/// In place on fixed ports, as small machines need it. Seen to fail with the old instance stopped without a drain, and with
/// `first_out` left empty: the deployment is refused then, because three instances would need three ports.
#[test]
fn rolling_in_place_on_two_fixed_ports_loses_nothing() {
    let host = host();
    host.configure(&on_two_ports(&host, "\"rolling\"\nmax_surge = 0\nmax_unavailable = 1"));
    host.done(&["deploy"]);
    let meter = host.meter(load(&host));
    both_then(&meter, &host, "2", || {
        let told = host.done(&["deploy"]);
        told.says(&["rest"]);
    });
    assert_eq!(host.fewest_serving(), 1);
    both_then(&meter, &host, "3", || drop(host.done(&["deploy"])));
    host.clean_report(meter);
    host.rests_on(Some(3), 2);
}

/// The batch that is done goes back, too, and on the same ports. Seen to fail with an undo that does not wait for the room.
#[test]
fn a_failing_batch_takes_the_finished_one_back() {
    let host = host();
    host.configure(&on_two_ports(&host, "\"rolling\"\nmax_surge = 0\nmax_unavailable = 1"));
    host.done(&["deploy"]);
    let meter = host.meter(load(&host));
    host.build("bad");
    let flag = host.root().join("second");
    let app = on_two_ports(&host, "\"rolling\"\nmax_surge = 0\nmax_unavailable = 1");
    let check =
        format!("command = [\"sh\", \"-c\", \"test ! -e {0} || test $(cat {0}) = $CUTOVER_PORT\"]", flag.display());
    host.configure(&App { check, within: "2s", ..app });
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    let first = until("the first batch serves", || {
        let new =
            |found: &cutover::agent::api::InstanceStatus| found.instance.release.0 == 2 && found.duty == Duty::Serving;
        host.service().instances.into_iter().find(new)?.address
    });
    std::fs::write(&flag, first.port().to_string()).expect("write the flag");
    deploying.wait().expect(4);
    meter.expect_release("1");
    answers(&meter, 20);
    host.clean_report(meter);
    host.rests_on(Some(1), 2);
}

/// Each release has its share while it is held, and `promote` ends the holds. Seen to fail with a canary that weighs as much as
/// each of the others: it then got a third.
#[test]
fn a_canary_gets_its_share_and_is_promoted() {
    let host = host();
    host.configure(&app(2, "\"canary\"\nsteps = [\"10% for 10m\", \"60% for 10m\", \"100%\"]"));
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 0, websockets: 0, ..load(&host) });
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    until("the canary has traffic", || {
        host.service().instances.iter().any(|i| matches!(i.duty, Duty::Canary { percent: 10 })).then_some(())
    });
    let of = |name: &str| {
        let report = meter.snapshot();
        let new = report.releases.iter().find(|release| release.name == name).map_or(0, |r| r.span.answers);
        (new, report.requests.answered)
    };
    let (new, all) = of("2");
    answers(&meter, 2000);
    let (new, all) = (of("2").0 - new, of("2").1 - all);
    let share = 100.0 * new as f64 / all as f64;
    assert!((share - 10.0).abs() < 2.0, "{new} of {all} answers are {share:.1} %");
    host.done(&["pause"]).says(&["goes no further"]);
    host.done(&["promote"]);
    deploying.wait().expect(0);
    meter.expect_release("2");
    answers(&meter, 20);
    host.clean_report(meter);
    host.rests_on(Some(2), 2);
    let promoted = host.story().events.iter().any(|record| matches!(record.event, Event::PromoteAsked { .. }));
    assert!(promoted, "who promoted it is not told");
}

/// A canary that fails its probes while it is held goes back by itself. Seen to fail with canaries that nobody watches meanwhile.
#[test]
fn a_canary_that_turns_bad_goes_back() {
    let host = host();
    let bad = host.root().join("bad");
    let check = format!("command = [\"sh\", \"-c\", \"test $CUTOVER_RELEASE = 1 || test ! -e {}\"]", bad.display());
    host.configure(&App { check, ..app(2, "\"canary\"\nsteps = [\"20% for 10m\", \"100%\"]") });
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 0, websockets: 0, ..load(&host) });
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    until("the canary has traffic", || {
        host.service().instances.iter().any(|i| matches!(i.duty, Duty::Canary { .. })).then_some(())
    });
    std::fs::write(&bad, "").expect("write the flag");
    deploying.wait().expect(4);
    meter.expect_release("1");
    answers(&meter, 20);
    host.clean_report(meter);
    host.rests_on(Some(1), 2);
}

/// A browser that keeps its cookies, as far as this needs one. Asks on a new connection each time.
#[derive(Default)]
struct Browser {
    cookie: Option<String>,
}

impl Browser {
    /// The status, and the release that answered.
    fn get(&mut self, at: SocketAddr) -> (u16, String) {
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(at).expect("somebody listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        write!(stream, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{cookie}\r\n").expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let field = |name: &str| {
            let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        if let Some(set) = field("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        (answer[9..12].parse().expect("a status"), field("x-sample-release").unwrap_or_default())
    }
}

fn wait_for_share(host: &Host, wanted: u8) {
    until("the canary has its share", || {
        let has = |duty| matches!(duty, Duty::Canary { percent } if percent == wanted);
        host.service().instances.iter().any(|instance| has(instance.duty)).then_some(())
    });
}

/// People with cookies stay with their release while its share grows, and nobody goes back. Seen to fail with a canary by request,
/// and with another point for each table.
#[test]
fn a_canary_by_cookie_keeps_its_clients() {
    let host = host();
    let steps = "steps = [\"20% for 4s\", \"60% for 10m\", \"100%\"]";
    host.configure(&app(1, &format!("\"canary\"\n{steps}\nby = \"cookie\"")));
    host.done(&["deploy"]);
    host.build("2");
    let deploying = host.begin(&["deploy"]);
    wait_for_share(&host, 20);
    // Not a number that shares by request divide evenly: everybody would seem to stay where they are.
    let mut people: Vec<Browser> = (0..47).map(|_| Browser::default()).collect();
    let mut who = || -> Vec<String> { people.iter_mut().map(|person| person.get(host.address()).1).collect() };
    let new = |releases: &[String]| releases.iter().filter(|release| *release == "2").count();
    let first = who();
    assert!((7..=12).contains(&new(&first)), "{} of 47 are not about 20 %", new(&first));
    wait_for_share(&host, 60);
    let second = who();
    assert!((24..=33).contains(&new(&second)), "{} of 47 are not about 60 %", new(&second));
    assert!(first.iter().zip(&second).all(|(before, now)| before == "1" || now == "2"), "{first:?}\n{second:?}");
    assert_eq!(who(), second);
    host.done(&["abort"]);
    deploying.wait().expect(4);
    assert_eq!(new(&who()), 0, "it is taken back");
    host.rests_on(Some(1), 1);
}

/// Seen to fail with a preview that stays open once the release serves, and with one that shows whoever serves.
#[test]
fn a_new_release_can_be_looked_at_before_it_has_everybody() {
    let host = host();
    let at = SocketAddr::from(([127, 0, 0, 1], host.another_port()));
    let app = app(1, "\"canary\"\nsteps = [\"1% for 10m\", \"100%\"]\nby = \"address\"");
    host.configure(&App { route: format!("preview = \"{at}\"\n"), ..app });
    host.done(&["deploy"]);
    let mut person = Browser::default();
    until("there is nothing to look at", || (person.get(at).0 == 503).then_some(()));
    host.build("2");
    host.done(&["plan"]).says(&[&format!("the new release can be looked at on http://{at}/")]);
    let deploying = host.begin(&["deploy"]);
    wait_for_share(&host, 1);
    assert_eq!(person.get(at), (200, "2".to_owned()));
    host.done(&["status"]).says(&[&format!("release 2 can be looked at on http://{at}/")]);
    host.done(&["promote"]);
    deploying.wait().expect(0).says(&[&format!("the new release can be looked at on http://{at}/")]);
    until("there is nothing to look at", || (person.get(at).0 == 503).then_some(()));
    assert_eq!(person.get(host.address()), (200, "2".to_owned()));
    host.rests_on(Some(2), 1);
}

/// Two releases never overlap, and nobody is turned away: requests wait. Seen to fail without the hold in the table: 503.
#[test]
fn recreate_lets_requests_wait() {
    let host = host();
    let recreate = |arguments: &[&str]| App {
        arguments: arguments.iter().map(ToString::to_string).collect(),
        stable_for: "0s",
        passes: 1,
        ..app(1, "\"recreate\"")
    };
    host.configure(&recreate(&["--listen-after", "2000"]));
    host.done(&["deploy"]);
    let meter = host.meter(Load { rate: 200.0, ..load(&host) });
    both_then(&meter, &host, "2", || drop(host.done(&["deploy"])));
    let story = host.story();
    assert_eq!(story.summary.outcome, Some(Outcome::Done));
    let at = |wanted: fn(&Event) -> bool| story.events.iter().find(|r| wanted(&r.event)).map(|record| record.at);
    let started = at(|event| matches!(event, Event::InstanceStarted { .. })).expect("it started");
    let rested = host.plan().steps.iter().position(|step| step.name() == "rest").expect("the old one rests");
    let stopped = story.events.iter().find(|r| r.event == Event::StepDone { step: rested }).expect("it was stopped");
    assert!(stopped.at <= started, "the new one started beside the old one");
    // One that fails: the old one starts again, and serves those that waited.
    host.configure(&recreate(&["--exit-at-start", "3"]));
    host.build("3");
    host.run(&["deploy"]).expect(4);
    answers(&meter, 20);
    let report = host.report(meter);
    assert!(report.requests.failed == 0, "{report}\n{:#?}", report.failures);
    assert!(report.longest_gap.length >= Duration::from_secs(2), "nobody waited: {report}");
    host.rests_on(Some(2), 1);
}
