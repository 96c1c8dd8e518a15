//! The sample as a process, on a free port, spoken to in plain HTTP.
#![allow(clippy::unwrap_used, reason = "a test may panic, in the functions around it too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

/// A running sample; killed when dropped.
struct Sample {
    child: Child,
    address: String,
}

impl Sample {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit(' ').next().unwrap().to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Sends one request on a connection of its own and gives all that comes back.
    fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = self.connect();
        let length = body.len();
        write!(stream, "{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        // A crash may reset the connection; what came before is the answer.
        let _ = stream.read_to_string(&mut answer);
        answer.to_ascii_lowercase()
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1"), "")
    }

    fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn ended(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "the sample does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sample"));
    command.args(arguments).env_remove("PORT");
    command
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_answer_says_who_gave_it() {
    let sample = Sample::start(&["--service", "shop", "--release", "r7", "--instance", "a"]);
    for path in ["/", "/healthz", "/fail", "/nowhere", "/headers", "/bytes?n=3"] {
        let answer = sample.get(path);
        for header in ["x-sample-service: shop\r\n", "x-sample-release: r7\r\n", "x-sample-instance: a\r\n"] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
}

#[test]
fn plain_routes() {
    let sample = Sample::start(&[]);
    assert_eq!(status(&sample.get("/")), "200");
    assert_eq!(status(&sample.get("/fail")), "500");
    assert_eq!(status(&sample.get("/nowhere")), "404");
    assert!(sample.get("/bytes?n=200000").split("\r\n\r\n").nth(1).unwrap().len() == 200_000);
    assert!(sample.get("/env?name=PATH").ends_with(&std::env::var("PATH").unwrap().to_ascii_lowercase()));
    assert!(sample.ask("GET /headers HTTP/1.1\r\nx-b: 2\r\na: 1", "").contains("\na: 1\nconnection: close\n"));
    let begun = Instant::now();
    assert_eq!(status(&sample.get("/slow?ms=50")), "200");
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[test]
fn orders_are_counted_by_id_in_memory_and_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let sample = Sample::start(&["--release", "3", "--ledger", ledger.to_str().unwrap()]);
    for id in ["a", "b", "a"] {
        let answer = sample.ask(&format!("POST /orders HTTP/1.1\r\nx-request-id: {id}"), "123456789");
        assert!(answer.contains(&format!("x-request-id: {id}\r\n")), "{answer}");
        // The check value of CRC-32 for these nine digits.
        assert!(answer.contains("x-sample-body: 9:cbf43926\r\n"), "{answer}");
    }
    assert!(sample.get("/orders/count").ends_with("{\"orders\":3,\"duplicates\":1}\n"));
    assert_eq!(std::fs::read_to_string(ledger).unwrap(), "a 3\nb 3\na 3\n");
}

#[test]
fn uploads_are_measured() {
    let sample = Sample::start(&[]);
    let body = "x".repeat(300_000);
    assert!(sample.ask("PUT /upload HTTP/1.1", &body).ends_with("\r\n\r\n300000\n"));
    assert!(sample.ask("POST /upload HTTP/1.1", &body).contains("x-sample-body: 300000:"));
}

#[test]
fn events_are_numbered_and_end_with_a_farewell() {
    let sample = Sample::start(&["--release", "r"]);
    let answer = sample.get("/events?every=1&count=3");
    assert!(answer.contains("content-type: text/event-stream\r\n"), "{answer}");
    for number in 1..=3 {
        assert!(answer.contains(&format!("id: {number}\ndata: {number} r\n\n")), "{answer}");
    }
    assert!(answer.ends_with("event: end\ndata: end\n\n\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn readiness_comes_later_than_the_port() {
    let sample = Sample::start(&["--ready-after", "300"]);
    assert_eq!(status(&sample.get("/healthz")), "503");
    assert_eq!(status(&sample.get("/")), "503");
    wait_for("readiness", || status(&sample.get("/healthz")) == "200");
    assert_eq!(status(&sample.get("/")), "200");
}

#[test]
fn failures_are_as_many_as_asked() {
    let sample = Sample::start(&["--fail-first", "2"]);
    let seen: Vec<_> = (0..4).map(|_| status(&sample.get("/")).to_owned()).collect();
    assert_eq!(seen, ["500", "500", "200", "200"]);
    let sample = Sample::start(&["--error-rate", "50"]);
    assert_eq!((0..10).filter(|_| status(&sample.get("/")) == "500").count(), 5);
    let sample = Sample::start(&["--fail-health"]);
    assert_eq!((status(&sample.get("/healthz")), status(&sample.get("/"))), ("503", "200"));
}

#[test]
fn it_dies_as_asked() {
    let output = command(&["--exit-at-start", "7"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).lines().count() >= 3);

    let begun = Instant::now();
    assert_eq!(Sample::start(&["--exit-after", "100", "--exit-code", "9"]).ended().code(), Some(9));
    assert!(begun.elapsed() >= Duration::from_millis(100));

    let sample = Sample::start(&["--crash-after-requests", "1"]);
    assert_eq!(status(&sample.get("/healthz")), "200");
    assert_eq!(status(&sample.get("/")), "200");
    assert_eq!(sample.get("/"), "");
    assert_eq!(sample.ended().code(), Some(101));
}

#[test]
fn a_graceful_stop_finishes_the_request_in_flight_and_ends_the_stream() {
    let sample = Sample::start(&[]);
    let mut slow = sample.connect();
    write!(slow, "GET /slow?ms=300 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut events = BufReader::new(sample.connect());
    write!(events.get_mut(), "GET /events?every=10 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // Once the first event is here, both requests have arrived or do so before the signal is handled.
    let mut line = String::new();
    while !line.starts_with("id: 1") {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0);
    }
    sample.terminate();
    let (mut answer, mut rest) = (String::new(), String::new());
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("after 300 ms\n"), "{answer}");
    events.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("event: end\ndata: end\n\n\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(sample.ended().code(), Some(0));
}

#[test]
fn idle_connections_stay_until_the_last_request_unless_asked_otherwise() {
    for (arguments, stays) in [(&[][..], true), (&["--close-idle-on-term"][..], false)] {
        let sample = Sample::start(arguments);
        let mut slow = sample.connect();
        write!(slow, "GET /slow?ms=400 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut idle = sample.connect();
        write!(idle, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        assert!(idle.read(&mut answer).unwrap() > 0);
        let begun = Instant::now();
        sample.terminate();
        assert_eq!(idle.read(&mut answer).unwrap(), 0);
        assert_eq!(begun.elapsed() > Duration::from_millis(200), stays, "{arguments:?}");
        assert_eq!(sample.ended().code(), Some(0));
    }
}

#[test]
fn sigterm_can_be_ignored_or_deadly() {
    let sample = Sample::start(&["--on-term", "ignore"]);
    sample.terminate();
    // The signal was handled when this later request is answered.
    assert_eq!(status(&sample.get("/slow?ms=100")), "200");
    let sample = Sample::start(&["--on-term", "exit"]);
    sample.terminate();
    assert_eq!(sample.ended().code(), Some(143));
}

#[test]
fn options_come_from_the_environment_too() {
    let output = command(&[]).env("SAMPLE_EXIT_AT_START", "5").env("SAMPLE_RELEASE", "r9").output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("release r9"));
}
