//! Access logs, on disk and on a disk that is too slow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cutover_core::ByteSize;
use cutover_core::listen::Peer;
use cutover_core::table::{Listener, Service, Traffic};
use cutover_core::trail::{AccessLog, Format};
use rustix::process::Signal;

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, service, with};
use super::support::{comes_to, free_address, until};

fn log(file: PathBuf, format: &str) -> AccessLog {
    AccessLog { file, format: Format::parse(format).unwrap(), query: true, max_size: ByteSize(0), keep: 0 }
}

fn logged(web: &Backend, log: AccessLog) -> Service {
    with(service("web", &[("web.r3.i1", web.address, SERVING)]), |service| service.trail.log = Some(log))
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn trusting(mut listener: Listener) -> Listener {
    if let Traffic::Http { trusted, .. } = &mut listener.traffic {
        trusted.push(Peer::try_from("127.0.0.0/8".to_owned()).unwrap());
    }
    listener
}

/// Seen to fail with the peer's address in place of the client's, with the line written before the answer, and with refusals left out.
#[test]
fn each_request_is_a_line_in_the_order_of_its_end() {
    let web = Backend::scripted(|mut peer| {
        while let Some(head) = peer.request() {
            if head.starts_with("POST /reset") {
                return;
            }
            peer.ok("hello");
        }
    });
    let (proxy, dir) = (Proxy::start(), tempfile::tempdir().unwrap());
    let file = dir.path().join("made/access.log");
    let format = "$remote_addr|$request|$status|$body_bytes_sent|$instance|$failure|$http_user_agent|$retries";
    let service = with(logged(&web, log(file.clone(), format)), |service| service.limits.max_body = ByteSize(5));
    proxy.publish(vec![trusting(http(proxy.address, "web"))], vec![service]);
    let mut conn = proxy.connect();
    let fields = "User-Agent: x\" \\\t\u{1b}[31m\r\n".replace('\u{1b}', "\u{9b}");
    assert_eq!(conn.get_with("/a?b", &format!("X-Forwarded-For: 192.0.2.9, 127.0.0.3\r\n{fields}")).status, 200);
    assert_eq!(conn.post("/b", "larger").status, 413);
    // Another connection may be another worker's, whose lines are in no order with these.
    until("two lines are written", || lines(&file).len() == 2);
    let mut conn = proxy.connect();
    // What is not safe to repeat is not sent twice, whether its connection to the instance was new or not.
    assert_eq!(conn.post("/reset", "x").status, 502);
    assert_eq!(conn.get("/c").status, 200);
    until("four lines are written", || lines(&file).len() == 4);
    let expected = [
        "192.0.2.9|GET /a?b HTTP/1.1|200|5|web.r3.i1|-|x\\x22 \\x5C\\x09\\xC2\\x9B[31m|0",
        "127.0.0.1|POST /b HTTP/1.1|413|0|-|body-too-large|-|0",
        "127.0.0.1|POST /reset HTTP/1.1|502|0|web.r3.i1|no-answer|-|0",
        "127.0.0.1|GET /c HTTP/1.1|200|5|web.r3.i1|-|-|0",
    ];
    let found = lines(&file);
    for (found, expected) in found.iter().zip(expected) {
        // How long the proxy's own texts are is their business.
        let plain = |line: &str| {
            line.split('|')
                .enumerate()
                .map(|(i, f)| if i == 3 && expected.contains("|0|") { "0" } else { f }.to_owned())
                .collect::<Vec<_>>()
        };
        let own = !expected.contains("|5|");
        assert_eq!(if own { plain(found).join("|") } else { found.clone() }, expected);
    }
}

/// Seen to fail with the signal ignored, and with `reopen` on the control socket doing nothing.
#[test]
fn a_log_that_was_moved_is_begun_anew_when_told() {
    let web = Backend::named("web");
    let (mut proxy, dir) = (Proxy::start(), tempfile::tempdir().unwrap());
    let file = dir.path().join("access.log");
    proxy.publish(vec![http(proxy.address, "web")], vec![logged(&web, log(file.clone(), "$request_uri"))]);
    let mut conn = proxy.connect();
    let mut tell = |path: &str, tell: &dyn Fn()| {
        tell();
        conn.get(path);
        comes_to(vec![path.to_owned()], || lines(&file));
        fs::rename(&file, dir.path().join(&path[1..])).unwrap();
    };
    tell("/1", &|| {});
    tell("/2", &|| proxy.ask(|client| async move { client.reopen().await }).unwrap());
    // Without a line that is to be written: with one, it would be noticed after a second that the file was moved.
    proxy.signal(Signal::USR1);
    let moved = dir.path().canonicalize().unwrap().join("2");
    let open = |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.unwrap().path()).is_ok_and(|at| at == moved);
    until("the old file is closed", || !fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap().any(open));
    conn.get("/3");
    comes_to(vec!["/3".to_owned()], || lines(&file));
    conn.get("/last");
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    assert_eq!(lines(&file).last().map(String::as_str), Some("/last"), "the last lines are written before it leaves");
}

/// Seen to fail (to hang) with a ring that is waited for, and with the drops not counted.
#[test]
fn a_disk_that_stands_still_holds_nobody_up() {
    let web = Backend::named("web");
    let (proxy, dir) = (Proxy::start(), tempfile::tempdir().unwrap());
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let listener = vec![http(proxy.address, "web")];
    let service = logged(&web, log(pipe.clone(), "$request_uri"));
    let table = super::support::table::table(listener, vec![service]);
    let refused = proxy.try_publish(table.clone()).unwrap_err().to_string();
    assert!(refused.contains("the access log of web cannot be written to"), "{refused}");
    // It is open for reading, and nothing is read.
    let reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let at = free_address();
    let mut table = table;
    let traffic = Traffic::Metrics { services: vec![] };
    table.listeners.push(Listener { address: at.into(), traffic, identities: vec![] });
    proxy.try_publish(table).unwrap();
    let long = format!("/{}", "x".repeat(15_000));
    let mut conns = [proxy.connect(), proxy.connect(), proxy.connect(), proxy.connect()];
    let dropped = || {
        let text = Conn::to(at).get("/metrics").text().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("cutover_access_log_dropped_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    until("lines are dropped", || {
        conns.iter_mut().for_each(|conn| (0..20).for_each(|_| assert_eq!(conn.get(&long).status, 200)));
        dropped() > 0
    });
    assert!(proxy.service("web").served >= 64, "the rings hold a mebibyte for each worker");
    drop(reader);
}
