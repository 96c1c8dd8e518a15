//! The proxy is replaced by `cutover proxy upgrade`, while strict clients use it and deployments go on.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::runtime::process::identity::ProcessId;
use cutover_core::machine::Event;
use cutover_meter::Load;
use cutover_proxy::client::Upgraded;
use cutover_testkit::host::{App, Host, Role, answers, kill, until};

const UPGRADE: [&str; 3] = ["--json", "proxy", "upgrade"];

fn host(app: &App) -> Host {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    host.configure(app);
    host.done(&["deploy"]);
    host
}

fn router_returned(host: &Host) -> bool {
    host.events(None).iter().any(|record| matches!(record.event, Event::RouterReturned { .. }))
}

/// Deployments and upgrades, each in the middle of the other. Seen to fail with an agent that takes a replaced proxy for one that was lost.
#[test]
fn deployments_and_upgrades_do_not_disturb_each_other() {
    let host = host(&App::default());
    let meter = host.meter(Load { sse: 10, websockets: 10, ..host.load(300.0) });
    until("all streams are open", || {
        let seen = meter.snapshot();
        (seen.sse.open + seen.websockets.open == 20).then_some(())
    });
    let first = host.only(Role::Proxy).expect("one proxy");
    for number in 2..=4_u32 {
        let (old, new) = ((number - 1).to_string(), number.to_string());
        host.build(&format!("build {number}"));
        meter.allow_releases(&[&old, &new]);
        let deploying = host.begin(&["deploy"]);
        for _ in 0..2 {
            host.done(&UPGRADE);
        }
        deploying.wait().expect(0);
        meter.expect_release(&new);
        answers(&meter, 20);
    }
    host.rests_on(Some(4), 1);
    let proxy = host.status().proxy.expect("the proxy answers");
    assert!(proxy.leaving.contains(&first.pid.unsigned_abs()), "the first process has the streams: {proxy:?}");
    let retiring = host.service().instances.into_iter().find(|found| found.instance.release.0 == 1);
    assert_eq!(retiring.map(|found| found.streams), Some(20), "they are seen through the process that leaves");
    let report = host.clean_report(meter);
    assert_eq!((report.sse.kept, report.websockets.kept), (10, 10), "{report}");
    assert!(!router_returned(&host), "nobody lost the proxy");
    until("the first process leaves with its streams", || (!first.lives()).then_some(()));
    host.rests_on(Some(4), 1);
}

/// The program dies at once when it is told to stop, so that only the order saves the upload that the process which leaves has in hand. The
/// successor has nothing in hand.
///
/// Seen to fail with a proxy that counts only what it has in hand itself.
#[test]
fn no_instance_is_stopped_while_a_process_that_leaves_works_with_it() {
    let host = host(&App { stable_for: "800ms", ..App::with(&["--on-term", "exit"]) });
    for number in 2..=3_u32 {
        host.build(&format!("build {number}"));
        let mut deploying = host.begin(&["deploy", "--json"]);
        // While the new one has to prove itself: by the time of the shift the old process is leaving.
        deploying.read_to("instance_started");
        let mut upload = TcpStream::connect(host.address()).expect("it serves");
        let half = vec![b'x'; 512 << 10];
        let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 2 * half.len());
        upload.write_all(&[head.as_bytes(), &half].concat()).expect("half of it is sent");
        until("it is in hand", || host.service().instances.iter().any(|found| found.in_flight == 1).then_some(()));
        host.done(&UPGRADE);
        let old = host.serving();
        until("the old one drains", || {
            host.serving().iter().all(|found| found.instance.release.0 == number).then_some(())
        });
        // Longer than the watch, after which it is stopped.
        std::thread::sleep(Duration::from_secs(1));
        upload.write_all(&half).expect("the rest is sent");
        let mut answer = [0; 12];
        upload.read_exact(&mut answer).expect("it is answered");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200", "to {old:?}");
        deploying.wait().expect(0);
    }
    host.rests_on(Some(3), 1);
}

#[test]
fn a_successor_that_is_broken_is_told_and_changes_nothing() {
    let host = host(&App::default());
    let meter = host.meter(Load { sse: 2, websockets: 2, uploads: 0, ..host.load(200.0) });
    let before = host.only(Role::Proxy);
    let broken = program(&host, "echo cannot begin >&2; exit 7");
    let hanging = program(&host, "exec sleep 1000");
    let with = |binary: &Path, more: &[&str]| {
        let binary = binary.display().to_string();
        host.run(&[&["proxy", "upgrade", "--binary", &binary], more].concat()).expect(3)
    };
    with(&broken, &[]).says(&["exit status: 7", "cannot begin", "serves as before"]);
    with(&hanging, &["--within", "300ms"]).says(&["says nothing in the time it had", "serves as before"]);
    with(Path::new("/nonexistent"), &[]).says(&["there is no program /nonexistent", "nothing has changed"]);
    // An agent of another state directory: nobody is there.
    let elsewhere = host.root().join("elsewhere");
    host.run_on(&elsewhere, &["proxy", "upgrade"]).expect(1).says(&["no proxy runs with this state directory"]);
    assert_eq!(host.only(Role::Proxy), before);
    host.build("next");
    meter.allow_releases(&["1", "2"]);
    host.done(&["deploy"]);
    host.rests_on(Some(2), 1);
    host.clean_report(meter);
}

/// After an upgrade the agent looks after the successor. Seen to fail with an agent that watches the first process only: nobody starts another
/// one.
#[test]
fn a_successor_that_is_killed_comes_back_from_its_disk() {
    let host = host(&App::default());
    let meter = host.meter(Load { sse: 5, websockets: 5, uploads: 0, ..host.load(100.0) });
    until("all streams are open", || {
        let seen = meter.snapshot();
        (seen.sse.open + seen.websockets.open == 10).then_some(())
    });
    let upgraded: Upgraded = host.done(&UPGRADE).json();
    until("the agent knows the successor", || {
        let said = std::fs::read_to_string(host.state().join("agent.log")).unwrap_or_default();
        said.contains(&format!("process {} is the proxy now", upgraded.to)).then_some(())
    });
    kill(ProcessId::of(upgraded.to.cast_signed()).expect("it runs"));
    until("the agent has brought another one", || {
        host.status().proxy.filter(|proxy| ![upgraded.from, upgraded.to].contains(&proxy.pid))
    });
    until("the journal tells of it", || router_returned(&host).then_some(()));
    answers(&meter, 50);
    let report = host.report(meter);
    assert_eq!((report.sse.cut, report.websockets.cut), (0, 0), "the first process went on with its streams: {report}");
    host.rests_on(Some(1), 1);
}

/// A package puts another file in the place of the program. `status` says so, with the command to run, until that was run.
#[test]
fn a_proxy_whose_program_was_replaced_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let binary = place.path().join("cutover");
    install(&binary);
    let host = Host::new(&binary);
    host.configure(&App { command: Some(sample(&binary)), ..App::default() });
    host.done(&["deploy"]);
    assert_eq!(host.status().proxy.and_then(|proxy| proxy.outdated), None);
    install(&binary);
    host.done(&["status"]).says(&["was replaced since it began", "proxy upgrade` replaces it while it runs"]);
    let told = host.done(&["proxy", "upgrade"]).says(&["is the proxy after"]);
    assert!(told.stderr.is_empty(), "{}", told.stderr);
    assert_eq!(host.status().proxy.and_then(|proxy| proxy.outdated), None);
}

/// Every counter and histogram that Prometheus would read.
fn counters(address: &str) -> BTreeMap<String, f64> {
    let mut stream = TcpStream::connect(address).expect("somebody tells");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it is asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it is told");
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    let grows = |name: &str| {
        let name = name.split('{').next().unwrap_or_default();
        ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
    };
    let series = series.filter(|(name, _)| grows(name));
    series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// Seen to fail with what those counted that have left not handed on to a successor, and with it not told.
#[test]
fn what_prometheus_reads_goes_on() {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let address = format!("127.0.0.1:{}", host.another_port());
    host.configure(&App { route: format!("metrics = \"{address}\""), ..App::default() });
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 2, websockets: 2, ..host.load(200.0) });
    answers(&meter, 50);
    let mut before = counters(&address);
    let mut grown = |what: &str| {
        let now = counters(&address);
        for (series, was) in &before {
            let is = now.get(series).copied().unwrap_or(0.0);
            assert!(is >= *was, "{what}, {series} went from {was} to {is}");
        }
        before = now;
        before["cutover_requests_total{service=\"sample\",code=\"2xx\"}"]
    };
    for _ in 0..3 {
        let asked = grown("before an upgrade");
        host.done(&UPGRADE);
        grown("right behind an upgrade");
        answers(&meter, 50);
        assert!(grown("some requests later") >= asked + 40.0, "what both count is told");
    }
    host.clean_report(meter);
    grown("when the load is over");
}

/// Takes whatever is posted, and keeps it.
fn receiver() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ours = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let ours = ours.clone();
            std::thread::spawn(move || {
                let (mut buffer, mut post) = ([0; 16 << 10], Vec::new());
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    post.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&post).to_lowercase();
                    let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
                    let length =
                        head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
                    let end = post.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0) + 4;
                    if post.len() < end + length.unwrap_or(0_usize) {
                        continue;
                    }
                    ours.lock().expect("nobody panicked").append(&mut post);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
            });
        }
    });
    (address, seen)
}

/// From the configuration to the receiver, over an upgrade; and no command shows what is sent along. Seen to fail with what is sent
/// along in the table.
#[test]
fn spans_arrive_from_both_processes_and_their_key_is_shown_nowhere() {
    let (host, (address, seen)) = (Host::new(env!("CARGO_BIN_EXE_cutover")), receiver());
    std::fs::write(host.root().join("collector.headers"), "Authorization: Bearer hunter2\n").expect("write the key");
    let spans = format!("spans = {{ endpoint = \"http://{address}\", headers_file = \"collector.headers\" }}");
    host.configure(&App { route: spans, ..App::default() });
    for command in [&["check"][..], &["plan"], &["deploy"], &["--json", "status"], &["history"], &["plan"]] {
        let told = host.done(command);
        assert!(!format!("{}{}", told.stdout, told.stderr).contains("hunter2"), "{command:?} shows it");
    }
    let post = |marker: &str| {
        let request = format!("GET /{marker} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(host.address()).expect("it serves");
        stream.write_all(request.as_bytes()).expect("it is asked");
        stream.read_to_end(&mut Vec::new()).expect("it answers");
        until(&format!("the span of /{marker} arrives"), || {
            let seen = seen.lock().expect("nobody panicked");
            seen.windows(marker.len()).any(|part| part == marker.as_bytes()).then_some(())
        });
    };
    post("before-the-upgrade");
    host.done(&UPGRADE);
    post("behind-the-upgrade");
    let seen = String::from_utf8_lossy(&seen.lock().expect("nobody panicked")).into_owned();
    for part in ["POST /v1/traces HTTP/1.1", "Bearer hunter2", "cutover.service", "sample.r1.i1"] {
        assert!(seen.contains(part), "{part:?} is not sent");
    }
    for entry in std::fs::read_dir(host.state()).expect("its state").flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "it lies in {:?}", entry.path());
    }
}

fn sample(binary: &Path) -> Vec<String> {
    let words = ["sample", "--port", "{port}", "--release", "{release}", "--instance", "{instance}"];
    std::iter::once(binary.display().to_string()).chain(words.map(str::to_owned)).collect()
}

/// Puts the program there, in place of another one.
fn install(binary: &Path) {
    let _ = std::fs::remove_file(binary);
    let built = env!("CARGO_BIN_EXE_cutover");
    std::fs::hard_link(built, binary).or_else(|_| std::fs::copy(built, binary).map(drop)).expect("install the program");
}

fn program(host: &Host, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = host.root().join(format!("program-{}", text.len()));
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("write a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    path
}
