//! TLS: who is shown which certificate, and that everything that works without it works with it.

use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cutover_core::table::{Listener, Traffic};
use cutover_core::tls::{Identity, TlsVersion};

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, routes, service, tcp};
use super::support::tls::{Authority, blind, secured};
use super::support::{free_address, until};

/// A proxy with one service by TLS for `shop.example`.
fn serving(authority: &Authority, web: &Backend) -> Proxy {
    let proxy = Proxy::start();
    let identity = authority.sign("web", &["shop.example"]).identity("web", &[]);
    let listener = secured(http(proxy.address, "web"), vec![identity]);
    proxy.publish(vec![listener], vec![service("web", &[("web.r1.i1", web.address, SERVING)])]);
    proxy
}

/// Seen to fail with the names of certificates put before those of the configuration, and with wildcards put before exact names.
#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let all = ["a.example", "b.example", "*.example", "x.y.example"];
    let (a, b) = (authority.sign("a", &all), authority.sign("b", &["b.example", "*.b.example"]));
    let fallback = authority.sign("c", &["fallback.test"]);
    let identities =
        vec![a.identity("web", &["a.example"]), b.identity("web", &["b.example"]), fallback.identity("web", &[])];
    let listener = secured(routes(proxy.address, &[(&[], "/", "web")]), identities);
    proxy.publish(vec![listener], vec![service("web", &[("web.r1.i1", web.address, SERVING)])]);
    let blind = blind();
    let shown = |host: &str| Conn::secure(proxy.address, &blind, host).shown();
    for (host, expected) in [
        ("a.example", &a),
        ("A.Example", &a),
        ("b.example", &b),
        ("c.example", &a),
        ("x.y.example", &a),
        ("x.b.example", &b),
        ("y.x.b.example", &fallback),
        ("example", &fallback),
        ("127.0.0.1", &fallback),
    ] {
        assert_eq!(shown(host), expected.der(), "{host}");
    }
}

/// Seen to fail with `X-Forwarded-Proto` left at `http`, and with the instance's own HSTS written beside ours.
#[test]
fn the_instance_and_the_browser_learn_that_it_is_https() {
    let (authority, web) = (
        Authority::new(),
        Backend::scripted(|mut peer| {
            while let Some(head) = peer.request() {
                let own = if head.starts_with("GET /own") { "Strict-Transport-Security: max-age=1\r\n" } else { "" };
                peer.conn.send(format!("HTTP/1.1 200 OK\r\n{own}Content-Length: 0\r\n\r\n"));
            }
        }),
    );
    let proxy = Proxy::start();
    let mut listener = http(proxy.address, "web");
    if let Traffic::Http { routes, .. } = &mut listener.traffic {
        routes[0].hsts = Some(Duration::from_secs(365 * 86_400));
    }
    let plain_address = free_address();
    let plain = Listener { address: plain_address.into(), ..listener.clone() };
    let identity = authority.sign("web", &["shop.example"]).identity("web", &[]);
    let services = vec![service("web", &[("web.r1.i1", web.address, SERVING)])];
    proxy.publish(vec![secured(listener, vec![identity]), plain], services);
    let mut conn = Conn::secure(proxy.address, &authority.client(), "shop.example");
    let answer = conn.get_with("/", "X-Forwarded-Proto: http\r\n");
    assert_eq!(answer.field("strict-transport-security"), Some("max-age=31536000"));
    assert!(web.seen().pop().unwrap().contains("\r\nX-Forwarded-Proto: https\r\n"), "{:?}", web.seen());
    let own = conn.get("/own").head;
    assert_eq!(own.matches("Strict-Transport-Security").count(), 1, "{own}");
    assert!(own.contains("max-age=1\r\n"), "the instance has the word: {own}");
    let answer = Conn::to(plain_address).get("/");
    assert_eq!(answer.field("strict-transport-security"), None, "means nothing without TLS (RFC 6797, 7.2)");
    assert!(web.seen().pop().unwrap().contains("\r\nX-Forwarded-Proto: http\r\n"));
}

#[test]
fn where_there_is_only_https_the_way_is_told() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let (port, address) = (proxy.address.port(), free_address());
    let mut plain = routes(address, &[(&["shop.example"], "/", "web"), (&["plain.example"], "/", "web")]);
    if let Traffic::Http { routes, .. } = &mut plain.traffic {
        routes[0].https = Some(port);
    }
    let identity = authority.sign("web", &["shop.example"]).identity("web", &["shop.example"]);
    let services = vec![service("web", &[("web.r1.i1", web.address, SERVING)])];
    proxy.publish(vec![secured(http(proxy.address, "web"), vec![identity]), plain], services);
    let mut conn = Conn::to(address);
    for _ in 0..2 {
        conn.send("GET /a?b=c HTTP/1.1\r\nHost: shop.example:80\r\n\r\n");
        let answer = conn.answer();
        let location = format!("https://shop.example:{port}/a?b=c");
        assert_eq!((answer.status, answer.field("location")), (308, Some(location.as_str())));
    }
    conn.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.field("connection")), (308, Some("close")), "its body was not read");
    let mut conn = Conn::to(address);
    conn.send("GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n");
    assert_eq!(conn.answer().text(), "web", "the others on that address are served");
    assert_eq!(web.seen().len(), 1);
}

#[test]
fn somebody_who_speaks_without_tls_is_told_so() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = serving(&authority, &web);
    let answer = proxy.connect().get("/");
    assert_eq!((answer.status, answer.field("cutover-error")), (400, Some("not-encrypted")));
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert!(web.seen().is_empty());
}

/// The limit is ten seconds, and nobody else waits. Seen to fail with the slot not asked during the handshake.
#[test]
fn a_client_that_does_not_finish_its_handshake_is_closed() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = serving(&authority, &web);
    let began = Instant::now();
    let mut silent = proxy.connect();
    let mut slow = proxy.connect();
    slow.send([22, 3, 1]);
    let mut conn = Conn::secure(proxy.address, &authority.client(), "shop.example");
    assert_eq!(conn.get("/").text(), "web");
    assert!(began.elapsed() < Duration::from_secs(8));
    for conn in [&mut silent, &mut slow] {
        assert!(conn.rest().unwrap_or_default().is_empty());
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(14), "{took:?}");
}

#[test]
fn uploads_and_downloads_of_any_size_pass() {
    let (authority, web) = (
        Authority::new(),
        Backend::scripted(|mut peer| {
            while let Some(head) = peer.request() {
                let length = super::support::backend::field(&head, "content-length").unwrap().parse().unwrap();
                let body = peer.conn.exactly(length);
                peer.conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
                peer.conn.send(body);
            }
        }),
    );
    let proxy = serving(&authority, &web);
    let mut conn = Conn::secure(proxy.address, &authority.client(), "shop.example");
    for size in [1, 16_383, 16_384, 16_385, 70_000, 3 << 20] {
        let body: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
        conn.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        conn.send(&body);
        assert!(conn.answer().body == body, "{size} bytes came back changed");
    }
    // Many requests at once, in records that end anywhere.
    let many = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".repeat(500);
    for piece in many.as_bytes().chunks(777) {
        conn.send(piece);
    }
    for _ in 0..500 {
        assert_eq!(conn.answer().text(), "abc");
    }
}

/// A client that takes nothing for a while must stop the instance, not fill the proxy. Seen to fail with a write said to be done while its
/// records wait in memory.
#[test]
fn a_client_that_reads_slowly_is_waited_for() {
    let (authority, web) = (
        Authority::new(),
        Backend::scripted(|mut peer| {
            peer.request();
            peer.conn.send("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
            for _ in 0..512 {
                peer.conn.send([7; 65_536]);
            }
            peer.request();
        }),
    );
    let proxy = serving(&authority, &web);
    let mut conn = Conn::secure(proxy.address, &authority.client(), "shop.example");
    let before = resident(proxy.pid());
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    conn.head();
    until("it has begun", || proxy.target("web.r1.i1").served + proxy.target("web.r1.i1").in_flight > 0);
    std::thread::sleep(Duration::from_millis(300));
    let grown = resident(proxy.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes are held for a client that does not read");
    assert!(conn.exactly(32 << 20).iter().all(|byte| *byte == 7));
}

fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_web_socket_passes_and_is_closed_in_its_own_words() {
    let web = Backend::scripted(|mut peer| {
        peer.request().unwrap();
        peer.conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
        loop {
            let byte = peer.conn.exactly(1);
            peer.conn.send(byte);
        }
    });
    let authority = Authority::new();
    let proxy = serving(&authority, &web);
    let mut conn = Conn::secure(proxy.address, &authority.client(), "shop.example");
    conn.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(conn.head().starts_with("HTTP/1.1 101 "));
    let mut frame = vec![0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0];
    frame.extend([b'a'; 0xffff]);
    for _ in 0..20 {
        conn.send(&frame);
        assert!(conn.exactly(frame.len()) == frame);
    }
    let instance = super::support::table::id("web.r1.i1");
    proxy.ask(|client| async move { client.close_streams(&instance, Duration::ZERO).await }).unwrap();
    assert_eq!(conn.rest().unwrap(), [0x88, 2, 0x03, 0xf4], "1012, and a farewell of TLS behind it");
}

/// `rest` fails if the farewell of TLS is missing. Seen to fail with it left out, and with it said after a cut answer.
#[test]
fn an_end_is_told_apart_from_a_cut() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let web = Backend::scripted(move |mut peer| match peer.request() {
        Some(head) if head.starts_with("GET /late") => {
            wait.lock().unwrap().recv().unwrap();
            peer.ok("late");
        }
        Some(head) if head.starts_with("GET /cut") => peer.conn.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        Some(head) if head.starts_with("GET /until-close") => peer.conn.send("HTTP/1.1 200 OK\r\n\r\nabc"),
        _ => {}
    });
    let authority = Authority::new();
    let proxy = serving(&authority, &web);
    let connect = || Conn::secure(proxy.address, &authority.client(), "shop.example");
    let mut conn = connect();
    conn.send("GET /until-close HTTP/1.0\r\nHost: a\r\n\r\n");
    conn.head();
    assert_eq!(conn.rest().unwrap(), b"abc");
    let mut conn = connect();
    conn.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    conn.head();
    assert_eq!(conn.rest().unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    let mut conn = connect();
    conn.send("GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    until("it is under way", || web.seen().len() == 3);
    conn.finish();
    go.send(()).unwrap();
    assert_eq!(conn.answer().text(), "late", "half closed by the client, and served to the end all the same");
}

#[test]
fn a_tcp_route_can_have_tls_too() {
    let web = Backend::scripted(|mut peer| {
        let bytes = peer.conn.exactly(5);
        peer.conn.send(bytes);
        assert!(peer.conn.rest().unwrap().is_empty());
        peer.conn.send("bye");
        peer.conn.stream.shutdown(Shutdown::Write).unwrap();
    });
    let authority = Authority::new();
    let proxy = Proxy::start();
    let identity = authority.sign("db", &["db.example"]).identity("web", &[]);
    let listener = secured(tcp(proxy.address, "web"), vec![identity]);
    proxy.publish(vec![listener], vec![service("web", &[("web.r1.i1", web.address, SERVING)])]);
    let mut conn = Conn::secure(proxy.address, &authority.client(), "db.example");
    conn.send("hello");
    assert_eq!(conn.exactly(5), b"hello");
    conn.finish();
    assert_eq!(conn.rest().unwrap(), b"bye");
}

/// The minimum belongs to the name. Looked at with the client that most people have.
#[test]
fn openssl_and_curl_agree() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let files = authority.sign("web", &["old.example", "new.example"]);
    let old = files.identity("web", &["old.example"]);
    let new = Identity { minimum: TlsVersion::V13, ..files.identity("web", &["new.example"]) };
    let listener = secured(http(proxy.address, "web"), vec![old, new]);
    proxy.publish(vec![listener], vec![service("web", &[("web.r1.i1", web.address, SERVING)])]);
    let openssl = |arguments: &[&str]| {
        let connect = proxy.address.to_string();
        let ca = authority.ca();
        let run = Command::new("openssl")
            .args(["s_client", "-verify_return_error", "-CAfile"])
            .arg(ca)
            .args(["-connect", &connect])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned())
    };
    assert!(openssl(&["-servername", "old.example", "-tls1_2"]).0);
    assert!(openssl(&["-servername", "old.example", "-tls1_3"]).0);
    assert!(openssl(&["-servername", "new.example", "-tls1_3"]).0);
    assert!(!openssl(&["-servername", "new.example", "-tls1_2"]).0, "below the minimum");
    assert!(!openssl(&["-servername", "old.example", "-tls1_1"]).0);
    for version in ["-tls1_2", "-tls1_3"] {
        let said = openssl(&["-servername", "old.example", "-alpn", "h9,http/1.1", version]);
        assert!(said.1.contains("ALPN protocol: http/1.1"), "{}", said.1);
    }
    let resolve = format!("new.example:{}:{}", proxy.address.port(), proxy.address.ip());
    let url = format!("https://new.example:{}/", proxy.address.port());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--http1.1", "--resolve", &resolve, "--cacert"]).arg(authority.ca());
    let said = curl.args([&url, &url]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "webweb", "{}", String::from_utf8_lossy(&said.stderr));
}
