//! The examples, brought up and deployed as their READMEs say, with strict clients on them: nginx points once at cutover's proxy, or cutover
//! switches that nginx.
//!
//! One at a time: each is a whole set-up, and two of them beside each other only slow both down.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use cutover_meter::{Load, Meter, Report, Running};
use cutover_testkit::host::{answers, free_port, until};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An example that is up.
struct Example {
    folder: PathBuf,
    variables: Vec<(String, String)>,
    /// The port that clients use.
    port: u16,
    /// Where its applications write down the orders they took, below its run's folder.
    ledger: Option<&'static str>,
}

/// Which way nginx is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Proxy,
    Reload,
    /// Like `Proxy`, a part of the clients first.
    Canary,
}

impl Mode {
    /// What the examples call it.
    fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Reload => "nginx-reload",
            Self::Canary => "canary",
        }
    }
}

/// What differs between the examples.
struct Kind {
    folder: &'static str,
    /// The variables for ports; the first is the one that clients use.
    ports: &'static [&'static str],
    /// The variable for the two ports of the application, if it has them.
    app_ports: bool,
    ledger: Option<&'static str>,
    websockets: usize,
    /// Whether its ports or addresses are few: then nothing may linger on an old release while the next one is to start.
    few_places: bool,
    /// Whether it has the page of a thousand events.
    events: bool,
}

impl Example {
    fn up(kind: &Kind, mode: Mode) -> Self {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(kind.folder).canonicalize().unwrap();
        let name = format!("{}-{}-{}", kind.folder, std::process::id(), &mode.name()[..1]);
        let ports: Vec<u16> = (0..kind.ports.len() + 2).map(|_| free_port()).collect();
        let (own, app) = ports.split_at(kind.ports.len());
        let mut variables: Vec<(String, String)> =
            kind.ports.iter().zip(own).map(|(name, port)| ((*name).to_owned(), port.to_string())).collect();
        // cargo xtask soak names the one that it built as users get it.
        let given = std::env::var_os("CUTOVER");
        let binary = given.as_deref().map_or(Path::new(env!("CARGO_BIN_EXE_cutover")), Path::new);
        let mut set = |name: &str, value: String| variables.push((name.to_owned(), value));
        set("EXAMPLE", name);
        set("MODE", mode.name().to_owned());
        set("WATCH", "1s".to_owned());
        set("CUTOVER", binary.display().to_string());
        if kind.app_ports {
            set("APP_PORTS", format!("{} {}", app[0], app[1]));
        }
        let sample = binary.with_file_name("sample");
        if sample.is_file() {
            set("SAMPLE", sample.display().to_string());
        }
        let example = Self { folder, variables, port: own[0], ledger: kind.ledger };
        example.says("up", &[]);
        example.says("deploy", &["1"]);
        example
    }

    fn script(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.args(arguments).envs(self.variables.iter().cloned()).stdin(Stdio::null());
        // Its nginx and ssh lie where a service's search path does not look.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }

    /// Runs one of its scripts, which must succeed.
    #[track_caller]
    fn says(&self, name: &str, arguments: &[&str]) -> String {
        let (succeeded, said) = self.tries(name, arguments);
        assert!(succeeded, "{name} {arguments:?} failed:\n{said}");
        said
    }

    fn tries(&self, name: &str, arguments: &[&str]) -> (bool, String) {
        let output = self.script(name, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn meter(&self, load: Load) -> Running {
        let meter = Meter::start_on_thread(load).unwrap();
        answers(&meter, 20);
        meter
    }

    fn load(&self, kind: &Kind) -> Load {
        let url = format!("http://127.0.0.1:{}/", self.port).parse().unwrap();
        let rate = number("CUTOVER_EXAMPLE_RATE").map_or(150.0, f64::from);
        let load = Load { rate, timeout: std::time::Duration::from_secs(20), ..Load::sample(url) };
        match kind.few_places {
            true => Load { sse: 0, websockets: 0, ..load },
            false => Load { websockets: kind.websockets, ..load },
        }
    }

    /// What the newest deployment took beside what it waited for, as `cutover show` tells it.
    fn overhead(&self) -> String {
        let shown = self.says("cutover", &["show"]);
        let line = shown.lines().find(|line| line.contains("cutover's own")).unwrap_or_else(|| panic!("{shown}"));
        line.split("cutover's own").next().unwrap_or_default().trim().to_owned()
    }

    /// Waits until the old release has left, where its place is needed.
    fn settles(&self, kind: &Kind) {
        let alone = || {
            let status: serde_json::Value = serde_json::from_str(&self.says("cutover", &["--json", "status"])).unwrap();
            let instances = status["services"][0]["instances"].as_array().unwrap();
            // SERVICE.rRELEASE.NUMBER
            let releases: BTreeSet<&str> =
                instances.iter().filter_map(|instance| instance["instance"].as_str()?.split('.').nth(1)).collect();
            (releases.len() == 1).then_some(())
        };
        if kind.few_places {
            until("the old release has left", alone);
        }
    }

    fn report(&self, meter: Running) -> Report {
        let mut report = meter.stop_blocking();
        if let Some(ledger) = self.ledger {
            let run = self.folder.join(".run").join(self.variable("EXAMPLE"));
            report.check_ledger(&run.join(ledger)).unwrap();
        }
        report
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let (succeeded, said) = self.tries("down", &[]);
        assert!(succeeded || std::thread::panicking(), "down failed:\n{said}");
    }
}

/// How many events the page of S1 sends: at one a second, and here twenty times as fast.
const EVENTS: usize = 1000;

/// Opens the page of events, and returns when the first has come. What comes until its end is told by the thread.
fn events(port: u16) -> std::thread::JoinHandle<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /events?every=50&count={EVENTS} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.find(|line| line.starts_with("id: "));
    assert_eq!(first.as_deref(), Some("id: 1"));
    std::thread::spawn(move || lines.collect::<Vec<_>>().join("\n"))
}

/// All events have come, in their order, from the release that the stream began on, and then the farewell.
fn reaches_its_end(told: &str, release: &str) {
    let data: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (farewell, events) = data.split_last().unwrap();
    assert_eq!((*farewell, events.len()), ("end", EVENTS), "it was cut: {:?}", events.last());
    for (index, event) in events.iter().enumerate() {
        assert_eq!(*event, format!("{} {release}", index + 1));
    }
}

/// A number that `cargo xtask soak` sets.
fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

/// Up, twice forward, once back, and a broken release that is refused; all of it under load, and beside a stream that began before.
/// Seen to fail, with the stream cut, with `stream_drain = "5s"`.
#[expect(clippy::print_stdout, reason = "cargo xtask soak shows the reports")]
fn goes_through_its_paces(kind: &Kind, mode: Mode) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let example = Example::up(kind, mode);
    let kind = &Kind { few_places: kind.few_places || (mode == Mode::Reload && kind.app_ports), ..*kind };
    let mut load = example.load(kind);
    if mode == Mode::Reload {
        // A reload costs a client that reuses its connection a request now and then, also one that looks first: nginx may close between
        // the look and the request. How many is measured elsewhere (docs/nginx.md), and not nothing.
        load = Load { reused: 0, peek: 0, fresh: 12, websockets: 0, ..load };
    }
    let meter = example.meter(load);
    let long_stream = kind.events.then(|| events(example.port));
    let mut overheads = Vec::new();
    let rounds = number("CUTOVER_EXAMPLE_ROUNDS").unwrap_or(1);
    for round in 1..=rounds {
        meter.allow_releases(&["1", "2"]);
        example.says("deploy", &["2"]);
        overheads.push(example.overhead());
        meter.expect_release("2");
        answers(&meter, 20);
        example.settles(kind);
        meter.allow_releases(&["1", "2"]);
        // What was rolled back is not deployed again just so.
        match round == rounds {
            true => example.says("cutover", &["rollback"]),
            false => example.says("deploy", &["1"]),
        };
        overheads.push(example.overhead());
        meter.expect_release("1");
        answers(&meter, 20);
        example.settles(kind);
    }
    let (deployed, said) = example.tries("deploy", &["3"]);
    assert!(!deployed, "a broken release was deployed:\n{said}");
    assert!(said.contains("is live, as before"), "{said}");
    answers(&meter, 20);
    if let Some(stream) = long_stream {
        reaches_its_end(&stream.join().unwrap(), "1");
    }
    let report = example.report(meter);
    println!(
        "{}{}:\n{report}\ncutover's own time in each deployment: {}",
        kind.folder,
        if mode == Mode::Proxy { String::new() } else { format!(", {}", mode.name()) },
        overheads.join(", "),
    );
    assert!(report.clean(), "{report}\n{:#?}", report.failures);
}

const COMPOSE_FPM: Kind = Kind {
    folder: "compose-fpm",
    ports: &["HTTP_PORT", "REGISTRY_PORT"],
    app_ports: false,
    ledger: None,
    websockets: 0,
    few_places: false,
    events: true,
};

const DOCKER_JENKINS: Kind = Kind {
    folder: "docker-jenkins",
    ports: &["HTTP_PORT", "REGISTRY_PORT"],
    app_ports: false,
    ledger: Some("data/orders"),
    websockets: 0,
    few_places: true,
    events: false,
};

const JAR_ROLLING: Kind = Kind {
    folder: "jar-rolling",
    ports: &["HTTP_PORT", "PROXY_PORT"],
    app_ports: true,
    ledger: Some("orders"),
    websockets: 0,
    few_places: true,
    events: false,
};

const DOCKER_SET: Kind = Kind {
    folder: "docker-set",
    ports: &["HTTP_PORT", "ADMIN_PORT"],
    app_ports: false,
    ledger: Some("data/orders"),
    websockets: 0,
    few_places: false,
    events: false,
};

const DOCKER_HUB_PORTS: Kind = Kind {
    folder: "docker-hub-ports",
    ports: &["PLAIN_PORT", "HTTP_PORT", "HTTPS_PORT", "PROXY_PORT", "REGISTRY_PORT"],
    app_ports: true,
    ledger: Some("data/orders"),
    websockets: 2,
    few_places: false,
    events: false,
};

#[test]
fn compose_fpm() {
    goes_through_its_paces(&COMPOSE_FPM, Mode::Proxy);
}

#[test]
fn compose_fpm_with_reloads() {
    goes_through_its_paces(&COMPOSE_FPM, Mode::Reload);
}

#[test]
fn docker_jenkins() {
    goes_through_its_paces(&DOCKER_JENKINS, Mode::Proxy);
}

#[test]
#[ignore = "takes a minute, and is part of `cargo xtask soak --part examples`"]
fn docker_jenkins_with_reloads() {
    goes_through_its_paces(&DOCKER_JENKINS, Mode::Reload);
}

#[test]
fn jar_rolling() {
    goes_through_its_paces(&JAR_ROLLING, Mode::Proxy);
}

#[test]
#[ignore = "takes a minute, and is part of `cargo xtask soak --part examples`"]
fn jar_rolling_with_reloads() {
    goes_through_its_paces(&JAR_ROLLING, Mode::Reload);
}

#[test]
#[ignore = "takes a minute, and is part of `cargo xtask soak --part examples`"]
fn jar_rolling_as_canary() {
    goes_through_its_paces(&JAR_ROLLING, Mode::Canary);
}

#[test]
fn docker_set() {
    goes_through_its_paces(&DOCKER_SET, Mode::Proxy);
}

#[test]
#[ignore = "takes a minute, and is part of `cargo xtask soak --part examples`"]
fn docker_set_with_reloads() {
    goes_through_its_paces(&DOCKER_SET, Mode::Reload);
}

#[test]
fn docker_hub_ports() {
    goes_through_its_paces(&DOCKER_HUB_PORTS, Mode::Proxy);
}

#[test]
#[ignore = "takes a minute, and is part of `cargo xtask soak --part examples`"]
fn docker_hub_ports_with_reloads() {
    goes_through_its_paces(&DOCKER_HUB_PORTS, Mode::Reload);
}

const DOCKER_HUB_OWN: Kind = Kind {
    folder: "docker-hub-own",
    ports: &["HTTPS_PORT", "HTTP_PORT", "ACME_PORT", "ACME_ADMIN_PORT", "REGISTRY_PORT"],
    app_ports: false,
    ledger: None,
    websockets: 0,
    few_places: false,
    events: false,
};

/// No nginx at all. The meter does not speak TLS: curl is the client here, and believes nobody but the example's authority.
#[test]
fn docker_hub_own() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let example = Example::up(&DOCKER_HUB_OWN, Mode::Proxy);
    let root = example.folder.join(".run").join(example.variable("EXAMPLE")).join("root.pem");
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "-i", "--max-time", "20", "--cacert"]).arg(&root).args(arguments);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let site = format!("https://localhost:{}/", example.port);
    let is_served = |said: &str| said.contains(" 200 ") || said.contains(" 200\r");
    until("there is a certificate", || is_served(&curl(&[&site])).then_some(()));
    let plain = format!("http://localhost:{}/privacy/", example.variable("HTTP_PORT"));
    let page = curl(&["-L", &plain]);
    assert!(page.contains(" 308 ") && page.contains("the proxy's own"), "{page}");
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _finally = Finally(&done);
        for keeps in [true, false] {
            let (curl, done, asked, site) = (&curl, &done, &asked, &site);
            scope.spawn(move || {
                // Either many requests on one connection, or a connection for each.
                let many = vec![site.as_str(); if keeps { 20 } else { 1 }];
                while !done.load(SeqCst) {
                    let said = curl(&many);
                    let served = said.lines().filter(|line| line.starts_with("HTTP/") && line.contains(" 200")).count();
                    assert_eq!(served, many.len(), "{said}");
                    asked.fetch_add(served, SeqCst);
                }
            });
        }
        for (release, live) in [("2", true), ("3", false)] {
            let before = asked.load(SeqCst);
            assert_eq!(example.tries("deploy", &[release]).0, live, "release {release}");
            until("the load goes on", || (asked.load(SeqCst) > before + 50).then_some(()));
        }
        example.says("cutover", &["rollback"]);
        assert!(curl(&[&site]).contains("x-sample-release: 1"), "{}", curl(&[&site]));
    });
}

/// Ends the load also when an assertion fails.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
