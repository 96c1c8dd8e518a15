//! Measures the strategies, on processes and on containers; for docs/measurements.md: `cargo xtask soak --part strategies`. The checks of
//! `e2e_strategies` are made here as well, over many deployments.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // It prints what it measures.

mod docker_support;

use std::path::Path;
use std::time::Duration;

use cutover_core::machine::Event;
use cutover_meter::{Load, Running};
use cutover_testkit::host::{App, Host, answers, until};
use docker_support::shop::{Service, Shop};

/// A number that `cargo xtask soak` sets.
fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What differs between strategies.
struct Strategy {
    name: &'static str,
    /// The lines of the `rollout` table.
    lines: &'static str,
    replicas: u16,
    /// Whether streams can outlive a deployment.
    streams: bool,
}

const STRATEGIES: [Strategy; 4] = [
    Strategy { name: "blue_green", lines: "strategy = \"blue_green\"", replicas: 1, streams: true },
    Strategy {
        name: "rolling, in place",
        lines: "strategy = \"rolling\"\nmax_surge = 0\nmax_unavailable = 1\nmin_ready = 1",
        replicas: 2,
        streams: false,
    },
    Strategy {
        name: "canary",
        lines: "strategy = \"canary\"\nsteps = [\"10% for 200ms\", \"50% for 200ms\", \"100%\"]",
        replicas: 2,
        streams: true,
    },
    Strategy { name: "recreate", lines: "strategy = \"recreate\"", replicas: 1, streams: false },
];

/// Something that is deployed again and again.
trait Deployed {
    fn host(&self) -> &Host;
    /// Makes the next release, with these lines of the `rollout` table.
    fn next(&self, strategy: &Strategy, number: u32);
}

impl Deployed for Host {
    fn host(&self) -> &Host {
        self
    }

    fn next(&self, strategy: &Strategy, number: u32) {
        let more = format!("{}\n", strategy.lines);
        self.configure(&App { replicas: strategy.replicas, more, drain: "5s", ..App::default() });
        self.build(&number.to_string());
    }
}

impl Deployed for Shop {
    fn host(&self) -> &Host {
        &self.host
    }

    fn next(&self, strategy: &Strategy, number: u32) {
        self.write(&Service {
            lines: self.sample(1 + number % 2, &format!("replicas = {}", strategy.replicas)),
            rollout: format!("watch = \"300ms\"\ndrain = \"5s\"\n{}", strategy.lines),
            ..Service::default()
        });
    }
}

fn next(deployed: &impl Deployed, strategy: &Strategy, meter: &Running, number: u32) {
    deployed.next(strategy, number);
    let (old, new) = ((number - 1).to_string(), number.to_string());
    meter.allow_releases(&[&old, &new]);
    deployed.host().done(&["deploy"]);
    meter.expect_release(&new);
    answers(meter, 20);
    until("the old ones have gone", || {
        let instances = deployed.host().service().instances;
        (strategy.streams || instances.len() == usize::from(strategy.replicas)).then_some(())
    });
}

/// Deploys so often by this strategy, and prints a row of the table.
fn many(deployed: &impl Deployed, runtime: &str, strategy: &Strategy) {
    let (rounds, rate) = (number("CUTOVER_ROUNDS", 3), number("CUTOVER_RATE", 300));
    let host = deployed.host();
    deployed.next(strategy, 1);
    host.done(&["deploy"]);
    let streams = if strategy.streams { 10 } else { 0 };
    let uploads = usize::from(strategy.streams);
    let load = Load { sse: streams, websockets: streams, uploads, ..host.load(rate.into()) };
    let meter = host.meter(load);
    let mut fewest = usize::MAX;
    for number in 2..=rounds + 1 {
        next(deployed, strategy, &meter, number);
        fewest = fewest.min(host.fewest_serving());
    }
    let report = host.report(meter);
    assert!(report.clean(), "{} on {runtime}: {report}\n{:#?}", strategy.name, report.failures);
    println!(
        "| {} | {runtime} | {rounds} | {} | {} | {} | {} | {fewest} | {} ms | {} ms |",
        strategy.name,
        report.requests.answered,
        report.requests.failed,
        report.sse.kept + report.websockets.kept,
        report.sse.cut + report.websockets.cut,
        report.latency.p99.as_millis(),
        report.latency.max.as_millis(),
    );
}

#[test]
#[ignore = "part of `cargo xtask soak`"]
fn many_deployments_by_each_strategy() {
    println!(
        "| strategy | runtime | deployments | answered | lost | streams kept | cut | fewest serving | p99 | longest |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for strategy in &STRATEGIES {
        many(&Host::new(env!("CARGO_BIN_EXE_cutover")), "processes", strategy);
        many(&Shop::new(), "containers", strategy);
    }
}

/// From the order to go back to the end of the step that moved the traffic.
fn back_after(host: &Host) -> Option<Duration> {
    let (shift, events) = (host.plan().last_shift(), host.story().events);
    let at = |of: &dyn Fn(&Event) -> bool| events.iter().find(|record| of(&record.event)).map(|record| record.at);
    let decided = at(&|event| matches!(event, Event::AbortAsked { .. }))?;
    Some(at(&|event| matches!(event, Event::UndoDone { step } if *step == shift))?.since(decided))
}

#[test]
#[ignore = "part of `cargo xtask soak`"]
fn how_long_it_takes_to_go_back() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(&App { watch: "100ms", ..App::default() });
    host.done(&["deploy"]);
    host.configure(&App { watch: "60s", ..App::default() });
    let meter = host.meter(Load { uploads: 0, ..host.load(number("CUTOVER_RATE", 300).into()) });
    let mut took = Vec::new();
    for round in 0..2 * number("CUTOVER_ROUNDS", 3) {
        host.build(&format!("round {round}"));
        host.done(&["deploy", "--detach"]);
        until("it is observed", || (host.service().at_work.as_deref() == Some("watch")).then_some(()));
        host.done(&["abort"]);
        until("it has gone back", || host.service().deployment.is_none().then_some(()));
        took.push(back_after(&host).unwrap().as_secs_f64() * 1000.0);
    }
    let report = host.report(meter);
    assert_eq!(report.requests.failed, 0, "{report}\n{:#?}", report.failures);
    took.sort_by(f64::total_cmp);
    println!(
        "| decided to go back → all traffic on the old release, {} times | median {:.0} ms, worst {:.0} ms, {} requests, 0 lost |",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1],
        report.requests.answered,
    );
}

#[test]
#[ignore = "part of `cargo xtask soak`"]
fn how_long_requests_wait_for_a_program_that_starts_anew() {
    const RESTART: Duration = Duration::from_millis(2000);
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let arguments = ["--listen-after", &RESTART.as_millis().to_string()].map(str::to_owned).to_vec();
    let more = "strategy = \"recreate\"\n".to_owned();
    let app = App { arguments, more, stable_for: "0s", passes: 1, ..App::default() };
    host.configure(&app);
    host.done(&["deploy"]);
    let mut waits = Vec::new();
    for number in 2..=11 {
        let meter = host.meter(Load { sse: 0, websockets: 0, uploads: 0, ..host.load(200.0) });
        host.build(&format!("{number}"));
        meter.allow_releases(&[&(number - 1).to_string(), &number.to_string()]);
        host.done(&["deploy"]);
        meter.expect_release(&number.to_string());
        answers(&meter, 20);
        let report = host.report(meter);
        assert!(report.clean(), "{report}\n{:#?}", report.failures);
        waits.push(report.longest_gap.length.saturating_sub(RESTART).as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    println!(
        "| recreate of a program that starts for 2 s, 200 requests a second: longest wait beyond these 2 s | median {:.0} ms, worst {:.0} ms, 0 lost |",
        waits[waits.len() / 2],
        waits[waits.len() - 1],
    );
}

/// Draws a deployment by each strategy into docs/strategies.md, if `UPDATE_DOCS` is set.
#[test]
#[ignore = "part of `cargo xtask soak`; writes a page"]
fn pictures_of_the_strategies() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/strategies.md");
    let mut text = std::fs::read_to_string(&page).unwrap();
    for strategy in &STRATEGIES {
        let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
        let more = strategy.lines.replace("200ms", "1s") + "\n";
        let slow = App::with(&["--ready-after", "1500"]);
        host.configure(&App { replicas: strategy.replicas, more, watch: "1500ms", ..slow });
        host.build("1");
        host.done(&["deploy"]);
        let meter = host.meter(Load { sse: 0, websockets: 0, uploads: 1, ..host.load(50.0) });
        host.build("2");
        meter.allow_releases(&["1", "2"]);
        host.done(&["deploy"]);
        meter.expect_release("2");
        host.clean_report(meter);
        let told = host.done(&["show", "--chart"]);
        let (begin, end) = (format!("<!-- picture: {} -->\n", strategy.name), "<!-- end -->");
        let from = text.find(&begin).unwrap() + begin.len();
        let to = from + text[from..].find(end).unwrap();
        text.replace_range(from..to, &format!("```\n{}\n```\n", told.stdout.trim_end()));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, text).unwrap();
    }
}
