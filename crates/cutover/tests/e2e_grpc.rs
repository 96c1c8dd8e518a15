//! gRPC with the implementation that people use, on both sides: deployed by the real binary, called through its proxy.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

#[path = "config/certificate.rs"]
mod certificate;

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use cutover_testkit::host::{App, Host, until};
use serde::Deserialize;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc").join(name)
}

/// A service that is a server of gRPC. What belongs to a host lies in its directory.
fn app(host: &Host) -> App {
    let server = host.root().join("server.py");
    std::fs::copy(script("server.py"), &server).unwrap();
    App {
        check: "grpc = true\ngrpc_service = \"shop.Echo\"".to_owned(),
        route: "protocol = \"h2c\"".to_owned(),
        // Longer than a call takes to become a stream.
        drain: "30s",
        ..App::running(&["/usr/bin/python3", &server.display().to_string()])
    }
}

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

fn client(host: &Host, arguments: &[&str]) -> Command {
    let mut client = Command::new("/usr/bin/python3");
    client.arg(script("client.py")).arg(arguments[0]).arg(host.address().to_string()).args(&arguments[1..]);
    client
}

/// What a client says when it has ended well.
#[track_caller]
fn said(mut client: Command) -> String {
    let run = client.output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// Unary calls, streams in every direction, metadata behind them, errors, cancellation and deadlines. And when nobody is there any more, a
/// status that clients understand.
#[test]
fn every_kind_of_call_passes() {
    let host = host();
    host.configure(&app(&host));
    host.done(&["deploy"]);
    assert_eq!(said(client(&host, &["kinds"])), "all kinds of calls are well\n");
    host.done(&["stop", "sample"]);
    let said = said(client(&host, &["refused", "UNAVAILABLE"]));
    assert!(said.starts_with("cutover: "), "{said}");
}

/// The same inside TLS to instances that want to see a certificate.
#[test]
fn every_kind_of_call_passes_inside_tls() {
    let host = host();
    certificate::write(host.root(), "server", &["web.internal"], 90);
    certificate::write(host.root(), "proxy", &["proxy.internal"], 90);
    let (app, folder) = (app(&host), host.root().display().to_string());
    let shown = format!("certificate = \"{folder}/proxy.pem\", key = \"{folder}/proxy.key\"");
    let tls = format!("instance_tls = {{ ca_file = \"{folder}/server.pem\", name = \"web.internal\", {shown} }}");
    let mut command = app.command.clone().unwrap();
    command.extend(["{port}", "serving", &folder].map(str::to_owned));
    host.configure(&App { route: format!("protocol = \"h2\"\n{tls}"), command: Some(command), ..app });
    host.done(&["deploy"]);
    assert_eq!(said(client(&host, &["kinds"])), "all kinds of calls are well\n");
}

/// Clients that call without end.
struct Load {
    child: Child,
    words: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What came of it.
#[derive(Debug, Deserialize)]
struct Report {
    calls: u64,
    failed: Vec<String>,
    releases: Vec<String>,
    chat: Vec<String>,
}

impl Load {
    fn on(host: &Host, clients: &str) -> Self {
        let mut load = client(host, &["load", clients]);
        let mut child = load.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (words, lines) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child, words, lines }
    }

    /// Says a word on the stream that lasts, and tells how it goes.
    fn say(&mut self, word: &str) -> Report {
        writeln!(self.words, "{word}").unwrap();
        self.report()
    }

    fn report(&mut self) -> Report {
        serde_json::from_str(&self.lines.next().expect("it has ended").unwrap()).unwrap()
    }

    fn end(self) -> Report {
        let Self { mut child, words, mut lines } = self;
        drop(words);
        let report = serde_json::from_str(&lines.next().expect("it has ended").unwrap()).unwrap();
        assert!(child.wait().unwrap().success());
        report
    }
}

/// No call fails while one release takes the place of another, and a stream in both directions stays where it is until it ends.
#[test]
fn deployments_lose_no_call_and_cut_no_stream() {
    let host = host();
    host.configure(&app(&host));
    host.done(&["deploy"]);
    let mut load = Load::on(&host, "8");
    assert_eq!(load.say("first").chat, ["first from 1"]);
    for release in 2..=4 {
        host.build(&format!("build {release}"));
        host.done(&["deploy"]);
        let number = release.to_string();
        let report = until("the new release answers", || {
            let report = load.say("still here");
            report.releases.contains(&number).then_some(report)
        });
        assert_eq!(report.chat.last().unwrap(), "still here from 1", "the stream has moved");
        assert!(report.failed.is_empty(), "{report:?}");
    }
    let before = load.say("again").calls;
    until("calls are answered", || (load.say("and again").calls > before + 50).then_some(()));
    let report = load.end();
    assert!(report.failed.is_empty() && report.calls > 200, "{report:?}");
    until("the first release leaves when its stream has ended", || (host.service().instances.len() == 1).then_some(()));
    let story = host.story().summary;
    assert_eq!(story.proof.map(|proof| proof.failed), Some(0), "the proxy itself counted a failure");
}

/// A stream whose time is up ends with a status, and a client that goes on elsewhere needs nobody's help.
#[test]
fn a_stream_is_kept_for_as_long_as_was_said_and_not_longer() {
    let host = host();
    let app = app(&host);
    host.configure(&App { stream_drain: "1s", ..app });
    host.done(&["deploy"]);
    let mut load = Load::on(&host, "2");
    assert_eq!(load.say("first").chat, ["first from 1"]);
    host.build("another");
    host.done(&["deploy"]);
    until("the first release has left", || (host.service().instances.len() == 1).then_some(()));
    let Load { child, words, .. } = load;
    drop(words);
    // The stream that lasts did not end as it wanted to: this client says so.
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains("StatusCode.UNAVAILABLE") && said.contains("sample.r1.i1 is leaving"), "{said}");
}

/// A release whose health service says no gets no traffic, and its answer is told.
#[test]
fn a_release_that_is_not_serving_is_not_let_in() {
    let host = host();
    let app = app(&host);
    host.configure(&app);
    host.done(&["deploy"]);
    let sick = |word: &str| App {
        command: app.command.clone().map(|mut c| {
            c.extend(["{port}".to_owned(), word.to_owned()]);
            c
        }),
        within: "2s",
        ..app.clone()
    };
    host.configure(&sick("sick"));
    host.run(&["deploy"]).expect(4).says(&["NOT_SERVING"]);
    host.configure(&sick("none"));
    host.run(&["deploy"]).expect(4).says(&["UNIMPLEMENTED", "tcp = true"]);
    assert_eq!(said(client(&host, &["kinds"])), "all kinds of calls are well\n");
}
