//! What counts as a figure, and what as none: the real adapters, against a real server and real commands.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::engine::port::{Metrics, Subject};
use cutover::metric::NetMetrics;
use cutover_core::rule::verdict::Bounds;
use cutover_core::spec::{MetricSource, MetricSpec};
use cutover_core::{ReleaseNo, ServiceName};

/// A server that gives every request the same answer, and keeps what was asked. Its thread ends with the test's process.
struct Server {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn answering(status: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { at: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = server.asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(count @ 1..) => head.extend(&buffer[..count]),
                        _ => break,
                    }
                }
                let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
                asked.lock().unwrap().push(line);
                let length = body.len();
                let _ =
                    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            }
        });
        server
    }
}

fn ask(source: MetricSource, timeout: Duration) -> Result<Option<f64>, String> {
    let bounds = Bounds { min: None, max: Some(1.0) };
    let metric = MetricSpec { name: "errors".into(), source, bounds, every: Duration::from_secs(15), timeout };
    let service = ServiceName::new("web").unwrap();
    let of = Subject { service, release: ReleaseNo(7), previous: Some(ReleaseNo(6)) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(NetMetrics.ask(&metric, &of))
}

/// The figure, or a part of what is said instead.
type Expected = Result<Option<f64>, &'static str>;

const SOON: Duration = Duration::from_secs(10);

/// Seen to fail with a status other than 200 let through, and with `null` taken for zero.
#[test]
fn an_endpoint_answers_with_a_number_or_with_nothing() {
    let cases: &[(&str, &str, Option<&str>, Expected)] = &[
        ("200 OK", " 0.25\n", None, Ok(Some(0.25))),
        ("200 OK", "1e3", None, Ok(Some(1000.0))),
        ("200 OK", "", None, Ok(None)),
        ("200 OK", "none", None, Err("\"none\", which is no number")),
        ("503 Service Unavailable", "0.25", None, Err("answered 503")),
        ("302 Found", "0.25", None, Err("answered 302")),
        ("200 OK", r#"{"data": {"errors": 3}}"#, Some("/data/errors"), Ok(Some(3.0))),
        ("200 OK", r#"{"data": [{"errors": "3.5"}]}"#, Some("/data/0/errors"), Ok(Some(3.5))),
        ("200 OK", r#"{"data": {"errors": null}}"#, Some("/data/errors"), Ok(None)),
        ("200 OK", r#"{"data": {}}"#, Some("/data/errors"), Ok(None)),
        ("200 OK", r#"{"data": {}}"#, Some("/data"), Err("is no number")),
        ("200 OK", "<html>", Some("/data"), Err("is no JSON")),
    ];
    for (status, body, field, expected) in cases {
        let server = Server::answering(status, body);
        let url = format!("http://{}/figures/{{service}}/{{release}}?before={{previous}}", server.at);
        let answer = ask(MetricSource::Http { url, field: field.map(str::to_owned) }, SOON);
        match (&answer, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected, "{status} {body}"),
            (Err(said), Err(part)) => assert!(said.contains(part), "{status} {body}: {said}"),
            _ => panic!("{status} {body}: {answer:?}"),
        }
        assert_eq!(server.asked.lock().unwrap().as_slice(), ["GET /figures/web/7?before=6 HTTP/1.1"]);
    }
}

/// Seen to fail with the first of several series taken, and with an empty answer taken for zero.
#[test]
fn a_prometheus_answers_with_one_value_or_with_nothing() {
    let vector = |series: &str| {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#);
        &*Box::leak(body.into_boxed_str())
    };
    let one = |value: &str| format!(r#"{{"metric":{{"job":"web"}},"value":[1700000000.5,"{value}"]}}"#);
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.5,"4"]}}"#;
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#;
    let cases: Vec<(&str, &str, Expected)> = vec![
        ("200 OK", vector(&one("0.02")), Ok(Some(0.02))),
        ("200 OK", vector(&one("+Inf")), Ok(Some(f64::INFINITY))),
        ("200 OK", vector(""), Ok(None)),
        ("200 OK", vector(&format!("{},{}", one("1"), one("2"))), Err("finds 2 series")),
        ("200 OK", scalar, Ok(Some(4.0))),
        ("200 OK", matrix, Err("gives a matrix")),
        ("400 Bad Request", refused, Err("parse error at char 3")),
        ("502 Bad Gateway", "<html>", Err("answered 502")),
    ];
    for (status, body, expected) in cases {
        let server = Server::answering(status, body);
        let query = "rate(e{r=\"{release}\"}[1m])".to_owned();
        let answer = ask(MetricSource::Prometheus { url: format!("http://{}/", server.at), query }, SOON);
        match (&answer, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(*value, expected, "{body}"),
            (Err(said), Err(part)) => assert!(said.contains(part), "{body}: {said}"),
            _ => panic!("{body}: {answer:?}"),
        }
        let asked = server.asked.lock().unwrap();
        assert_eq!(asked.as_slice(), ["GET /api/v1/query?query=rate%28e%7Br%3D%227%22%7D%5B1m%5D%29 HTTP/1.1"]);
    }
    // Not a number is how it says that there was nothing to divide.
    let server = Server::answering("200 OK", vector(&one("NaN")));
    let answer = ask(MetricSource::Prometheus { url: format!("http://{}", server.at), query: "x".to_owned() }, SOON);
    assert!(answer.unwrap().is_some_and(f64::is_nan));
}

/// Seen to fail with a command's last line taken whatever its status.
#[test]
fn a_command_answers_with_its_last_line() {
    let run = |script: &str| {
        let words = ["sh", "-c", script].map(str::to_owned).to_vec();
        ask(MetricSource::Command(words), SOON)
    };
    assert_eq!(run("echo asking; echo 0.5"), Ok(Some(0.5)));
    assert_eq!(run("echo $CUTOVER_RELEASE$CUTOVER_PREVIOUS"), Ok(Some(76.0)));
    assert_eq!(run("test $CUTOVER_SERVICE = web"), Ok(None));
    assert!(run("echo 0.5; exit 3").unwrap_err().contains("exited with status 3"));
    assert!(run("echo soon").unwrap_err().contains("no number"));
    let missing = ask(MetricSource::Command(vec!["/nowhere/figures".to_owned()]), SOON);
    assert!(missing.unwrap_err().contains("could not be run"));
}

/// Seen to fail (for ever) without the limit.
#[test]
fn who_does_not_answer_in_time_gives_no_figure() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let late = ask(MetricSource::Http { url: url.clone(), field: None }, Duration::from_millis(200));
    assert_eq!(late, Err("no answer within 200ms".to_owned()));
    drop(silent);
    assert!(ask(MetricSource::Http { url, field: None }, SOON).unwrap_err().to_lowercase().contains("refused"));
    let words = ["sleep", "60"].map(str::to_owned).to_vec();
    assert!(ask(MetricSource::Command(words), Duration::from_millis(200)).is_err());
}
