//! Counters as Prometheus reads them, judged by Prometheus's own client library for Python.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use cutover_core::listen::ListenAddress;
use cutover_core::table::{Listener, Traffic};

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, name, service};
use super::support::{comes_to, free_address};

/// A listener where the counters of these services are read.
pub fn metrics(address: impl Into<ListenAddress>, services: &[&str]) -> Listener {
    let traffic = Traffic::Metrics { services: services.iter().map(|service| name(service)).collect() };
    Listener { address: address.into(), traffic, identities: vec![] }
}

/// Reads them.
pub fn scrape(address: SocketAddr, accept: &str) -> String {
    let mut conn = Conn::to(address);
    let answer = conn.get_with("/metrics", &format!("Accept: {accept}\r\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = answer.field("content-type").unwrap();
    assert_eq!(kind.starts_with("application/openmetrics-text"), accept.contains("openmetrics"), "{kind}");
    answer.text().to_owned()
}

/// The value of a series; zero if it is not told.
pub fn value(text: &str, series: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0.0)
}

/// Reads a text with the given parser, as strictly as that is, and gives the number of series.
fn parsed(parser: &str, text: &str) -> usize {
    let script = format!(
        "import sys\nfrom {parser} import text_string_to_metric_families as parse\n\
         print(sum(len(family.samples) for family in parse(sys.stdin.read())))"
    );
    // Debian's own Python has the library: python3-prometheus-client.
    let mut python = Command::new("/usr/bin/python3");
    let python = python.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().expect("python3 with the package python3-prometheus-client");
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Seen to fail with `requests` counted where a request is chosen, and with `cut` left out of the reasons. Seen to fail (the parser) with
/// a counter described under its full name.
#[test]
fn what_happened_is_told_and_can_be_read() {
    let web = Backend::scripted(|mut peer| {
        while let Some(head) = peer.request() {
            match head.split(' ').nth(1) {
                Some("/bad") => peer.conn.send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
                Some("/cut") => return peer.conn.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
                _ => peer.ok("hello"),
            }
        }
    });
    let (proxy, at) = (Proxy::start(), free_address());
    let services = vec![
        service("web", &[("web.r7.i1", web.address, SERVING)]),
        service("down", &[("down.r1.i1", free_address(), SERVING)]),
        service("other", &[]),
    ];
    let down = free_address();
    let quick = |mut services: Vec<cutover_core::table::Service>| {
        services[1].limits.connect = std::time::Duration::from_millis(50);
        services
    };
    let listeners = vec![http(proxy.address, "web"), http(down, "down"), metrics(at, &["web", "down"])];
    proxy.publish(listeners, quick(services));
    for path in ["/", "/?secret=1", "/bad"] {
        proxy.connect().get(path);
    }
    let mut cut = proxy.connect();
    cut.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = cut.rest();
    assert_eq!(Conn::to(down).get("/").status, 502);
    let mut bad = proxy.connect();
    bad.send("GET / HTTP/3.0\r\n\r\n");
    assert_eq!(bad.answer().status, 505);

    let open = "application/openmetrics-text; version=1.0.0";
    let requests = |code: &str| format!("cutover_requests_total{{service=\"web\",code=\"{code}\"}}");
    let told = |series: &str| value(&scrape(at, open), series);
    comes_to(3.0, || told(&requests("2xx")));
    comes_to(1.0, || told(&requests("5xx")));
    comes_to(1.0, || told("cutover_proxy_errors_total{service=\"web\",reason=\"cut\"}"));
    comes_to(1.0, || told("cutover_proxy_errors_total{service=\"down\",reason=\"unreachable\"}"));
    comes_to(1.0, || told("cutover_unrouted_total{reason=\"bad-request\"}"));
    let instance = "{service=\"web\",release=\"7\",instance=\"web.r7.i1\"}";
    comes_to(1.0, || told(&format!("cutover_instance_errors_total{instance}")));
    let text = scrape(at, open);
    for (series, least) in [
        ("cutover_request_duration_seconds_count{service=\"web\"}".to_owned(), 4.0),
        ("cutover_sent_bytes_total{service=\"web\"}".to_owned(), 4.0 * 38.0),
        ("cutover_received_bytes_total{service=\"web\"}".to_owned(), 4.0 * 30.0),
        ("cutover_upstream_connects_total{service=\"web\"}".to_owned(), 2.0),
        (format!("cutover_instance_weight{instance}"), 1.0),
        ("process_resident_memory_bytes".to_owned(), 1e6),
        ("process_open_fds".to_owned(), 5.0),
        ("process_start_time_seconds".to_owned(), 1.6e9),
    ] {
        assert!(value(&text, &series) >= least, "{series}\n{text}");
    }
    assert!(!text.contains("secret") && !text.contains("other"), "only what the table says becomes a label\n{text}");
    let series = parsed("prometheus_client.openmetrics.parser", &text);
    assert!(series > 60, "{series} series");
    assert_eq!(
        parsed("prometheus_client.parser", &scrape(at, "*/*")),
        parsed("prometheus_client.openmetrics.parser", &scrape(at, open))
    );
}

/// Seen to fail with the listener left to the workers.
#[test]
fn an_address_may_change_its_purpose() {
    let web = Backend::named("web");
    let (proxy, at) = (Proxy::start(), free_address());
    let web = || vec![service("web", &[("web.r1.i1", web.address, SERVING)])];
    proxy.publish(vec![http(at, "web"), metrics(proxy.address, &["web"])], web());
    assert_eq!(Conn::to(at).get("/metrics").text(), "web");
    assert!(scrape(proxy.address, "*/*").contains("cutover_table_generation 1"));
    proxy.publish(vec![http(proxy.address, "web"), metrics(at, &["web"])], web());
    assert_eq!(proxy.connect().get("/metrics").text(), "web");
    comes_to(true, || scrape(at, "*/*").contains("cutover_table_generation 2"));
    assert_eq!(Conn::to(at).get("/").status, 404);
    assert_eq!(Conn::to(at).post("/metrics", "x").status, 405);
    let proxy = proxy.crash_and_start();
    assert!(scrape(at, "*/*").contains("cutover_table_generation 2"));
    proxy.publish(vec![http(proxy.address, "web")], web());
    comes_to(true, || std::net::TcpStream::connect(at).is_err());
}
