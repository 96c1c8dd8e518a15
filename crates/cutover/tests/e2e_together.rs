//! Several services in one command: in their order, and all of them or none.

use cutover::agent::api::ServiceStatus;
use cutover_core::machine::{Event, Record};
use cutover_meter::{Load, Running};
use cutover_testkit::host::{App, Host, answers, until};
use rustix::process::Signal;

/// The service `sample`, which clients use, and `worker`, which is deployed after it and is ready while its flag is there.
struct Pair {
    host: Host,
}

impl Pair {
    fn new() -> Self {
        let pair = Self { host: Host::new(env!("CARGO_BIN_EXE_cutover")) };
        pair.configure("");
        pair.allow(true);
        pair.host.done(&["deploy"]);
        pair
    }

    fn configure(&self, top: &str) {
        let worker = format!(
            "\n[service.worker]\ndepends_on = [\"sample\"]\ncommand = [\"sleep\", \"86400\"]\nartifact = {:?}\n\
             [service.worker.ready]\ncommand = [\"test\", \"-e\", {:?}]\nstable_for = \"50ms\"\nwithin = \"3s\"\n\
             [service.worker.rollout]\nwatch = \"300ms\"\n",
            self.host.artifact(),
            self.flag(),
        );
        self.host.configure(&App { more: worker, ..App::default() });
        // The worker first, so that the order is not that of the file.
        let text = std::fs::read_to_string(self.host.config()).expect("the configuration");
        let (sample, worker) = text.split_once("\n[service.worker]").expect("two services");
        let (project, sample) = sample.split_once('\n').expect("the project first");
        let text = format!("{top}\n{project}\n[service.worker]{worker}\n{sample}\n");
        std::fs::write(self.host.config(), text).expect("write the configuration");
    }

    fn flag(&self) -> std::path::PathBuf {
        self.host.root().join("ready")
    }

    /// Whether the worker's next instances are ready.
    fn allow(&self, ready: bool) {
        match ready {
            true => std::fs::write(self.flag(), "").expect("write the flag"),
            false => std::fs::remove_file(self.flag()).expect("remove the flag"),
        }
    }

    fn meter(&self) -> Running {
        self.host.meter(Load { uploads: 0, ..self.host.load(200.0) })
    }

    #[track_caller]
    fn service(&self, name: &str) -> ServiceStatus {
        self.host.status().services.into_iter().find(|found| found.name.as_str() == name).expect("it is known")
    }

    /// The releases of both that are live.
    #[track_caller]
    fn live(&self) -> [Option<u32>; 2] {
        ["sample", "worker"].map(|name| self.service(name).live.map(|release| release.0))
    }

    /// Waits until a deployment of this service has begun since these events.
    #[track_caller]
    fn has_begun(&self, name: &str, before: usize) {
        until("its deployment has begun", || {
            let begun =
                |record: &Record| record.service.as_str() == name && matches!(record.event, Event::Planned { .. });
            self.host.events(None).iter().skip(before).any(begun).then_some(())
        });
    }

    /// Nothing runs, and each service has so many instances.
    #[track_caller]
    fn rests(&self) {
        until("both are at rest", || {
            let rests = |found: &ServiceStatus| found.deployment.is_none() && found.instances.len() == 1;
            self.host.status().services.iter().all(rests).then_some(())
        });
    }
}

/// The order in which services began since these events.
fn order(events: &[Record]) -> Vec<&str> {
    let begun = events.iter().filter(|record| matches!(record.event, Event::Planned { .. }));
    begun.map(|record| record.service.as_str()).collect()
}

/// Seen to fail with the order of the file.
#[test]
fn those_that_others_depend_on_are_deployed_first() {
    let pair = Pair::new();
    assert_eq!(order(&pair.host.events(None)), ["sample", "worker"]);
    pair.host.build("2");
    pair.allow(false);
    pair.host.run(&["deploy"]).expect(4).says(&["worker"]);
    assert_eq!(pair.live(), [Some(2), Some(1)], "what was deployed before stays");
}

/// Seen to fail with a commit that does not wait: the first one then stayed on its new release.
#[test]
fn all_go_back_if_the_last_one_does() {
    let pair = Pair::new();
    let meter = pair.meter();
    pair.host.build("2");
    pair.allow(false);
    meter.allow_releases(&["1", "2"]);
    let told = pair.host.run(&["deploy", "--all-or-nothing"]).expect(4);
    told.says(&["was not ready within 3s", "all or nothing: sample goes back as well", "release 1 of worker is live"]);
    meter.expect_release("1");
    answers(&meter, 20);
    pair.host.clean_report(meter);
    assert_eq!(pair.live(), [Some(1), Some(1)]);
    pair.allow(true);
    pair.rests();
    // What went back because of another was not at fault.
    pair.host.done(&["deploy", "--all-or-nothing"]);
    assert_eq!(pair.live(), [Some(3), Some(3)]);
}

/// Nothing lies between them in the journal, so nothing can. Seen to fail with one entry for each of them.
#[test]
fn all_count_at_the_same_moment() {
    let pair = Pair::new();
    pair.configure("all_or_nothing = true");
    let meter = pair.meter();
    pair.host.build("2");
    pair.host.done(&["plan"]).says(&["it waits until all have been observed"]);
    meter.allow_releases(&["1", "2"]);
    let told = pair.host.done(&["deploy"]);
    assert_eq!(told.stdout.matches("release 2 is live").count(), 2, "{}", told.stdout);
    meter.expect_release("2");
    answers(&meter, 20);
    pair.host.clean_report(meter);
    let events = pair.host.events(None);
    let agreed = |record: &Record| matches!(record.event, Event::Agreed { .. });
    let first = events.iter().position(agreed).expect("they count together");
    let last = events.iter().rposition(agreed).expect("they count together");
    assert_ne!(events[first].service, events[last].service);
    let between = &events[first..=last];
    assert!(between.iter().all(|record| agreed(record) || matches!(record.event, Event::StepStarted { .. })));
    assert_eq!(between[0].at, between[between.len() - 1].at);
}

/// Seen to fail with an agent that forgets who waits.
#[test]
fn an_agent_that_is_killed_while_they_wait_changes_nothing() {
    let pair = Pair::new();
    let meter = pair.meter();
    pair.host.build("2");
    pair.allow(false);
    meter.allow_releases(&["1", "2"]);
    let before = pair.host.events(None).len();
    let deploying = pair.host.begin(&["deploy", "--all-or-nothing"]);
    pair.has_begun("worker", before);
    pair.host.kill_agent();
    pair.allow(true);
    deploying.wait().expect(0);
    meter.expect_release("2");
    answers(&meter, 20);
    pair.host.clean_report(meter);
    assert_eq!(pair.live(), [Some(2), Some(2)]);
}

/// Whoever finds them later can end them. Seen to fail with a `promote` that changes nothing while it waits.
#[test]
fn a_command_that_is_killed_leaves_what_can_be_ended() {
    let pair = Pair::new();
    let meter = pair.meter();
    pair.host.build("2");
    meter.allow_releases(&["1", "2"]);
    pair.allow(false);
    let before = pair.host.events(None).len();
    let deploying = pair.host.begin(&["deploy", "--all-or-nothing"]);
    pair.has_begun("worker", before);
    deploying.signal(Signal::KILL);
    deploying.hang_up();
    pair.allow(true);
    pair.host.done(&["status"]).says(&["waits for those that it is deployed together with"]);
    pair.host.done(&["abort", "worker"]);
    pair.host.done(&["promote", "sample"]);
    meter.expect_release("2");
    answers(&meter, 20);
    pair.host.clean_report(meter);
    pair.rests();
    assert_eq!(pair.live(), [Some(2), Some(1)]);
}

/// Seen to fail with the abort of the first one only.
#[test]
fn ctrl_c_turns_all_of_them_back() {
    let pair = Pair::new();
    pair.host.build("2");
    pair.allow(false);
    let before = pair.host.events(None).len();
    let deploying = pair.host.begin(&["deploy", "--all-or-nothing"]);
    pair.has_begun("worker", before);
    deploying.signal(Signal::INT);
    deploying.wait().says(&["all or nothing: sample goes back as well"]);
    pair.allow(true);
    pair.rests();
    assert_eq!(pair.live(), [Some(1), Some(1)]);
}

#[test]
fn a_wrong_dependency_is_told_before_anything_is_done() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let check = |depends: &str, more: &str| {
        let own = format!("depends_on = {depends}\n");
        host.configure(&App { own, more: more.to_owned(), ..App::default() });
        host.run(&["check"]).expect(2)
    };
    let second = "[service.second]\ncommand = [\"sleep\", \"9\"]\ndepends_on = [\"sample\"]\n";
    check("[\"secnod\"]", second).says(&["there is no service \"secnod\"", "did you mean \"second\"?"]);
    check("[\"second\"]", second).says(&["sample, second wait for each other"]);
}
