//! The proxy listens on unix sockets: everything that passes by TCP passes there; and the file is there as long as somebody listens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cutover_core::ByteSize;
use cutover_core::listen::{ListenAddress, Peer};
use cutover_core::rules::{Access, Rate, Rules};
use cutover_core::table::{Listener, Network, Service, Traffic};
use cutover_core::trail::{AccessLog, Format, Preamble};
use rustix::process::Signal;
use tempfile::TempDir;

use super::preamble::introduced;
use super::support::backend::{Backend, field};
use super::support::client::Conn;
use super::support::h2c::{get, over, read, run};
use super::support::proxy::{Proxy, kill, spawn};
use super::support::table::{SERVING, http, preview, service, table, tcp, with};
use super::support::tls::{Authority, blind, secured};
use super::support::{comes_to, until};

/// A proxy and a folder for its sockets.
struct Place {
    proxy: Proxy,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { proxy: Proxy::start(), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("web.sock")
    }

    /// It listens there for this service, and does so on nothing else.
    fn serving(service: Service) -> Self {
        let place = Self::new();
        place.proxy.publish(vec![http(at(&place.path()), service.name.as_str())], vec![service]);
        place
    }

    fn connect(&self) -> Conn {
        Conn::at(&self.path())
    }

    fn refused(&self) -> String {
        let table = table(vec![http(at(&self.path()), "web")], vec![web(&Backend::named("web"))]);
        self.proxy.try_publish(table).unwrap_err().to_string()
    }
}

fn at(path: &Path) -> ListenAddress {
    format!("unix:{}", path.display()).parse().unwrap()
}

fn web(backend: &Backend) -> Service {
    service("web", &[("web.r1.i1", backend.address, SERVING)])
}

/// The same listener, believing whoever comes by the socket.
fn trusting(mut listener: Listener) -> Listener {
    if let Traffic::Http { trusted, .. } = &mut listener.traffic {
        *trusted = vec![Peer::Unix];
    }
    listener
}

/// Clients that ask without end.
struct Asking {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Asking {
    /// Half of them on connections that they keep, half on a new one for each request. Whoever is refused or cut panics.
    fn at(path: &Path) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..4).map(|client| {
            let (stop, answered, path) = (stop.clone(), answered.clone(), path.to_owned());
            std::thread::spawn(move || {
                let mut conn = Conn::at(&path);
                while !stop.load(SeqCst) {
                    let answer = conn.post("/", "x");
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, SeqCst);
                    if client % 2 == 0 || answer.field("connection") == Some("close") {
                        conn = Conn::at(&path);
                    }
                }
            })
        });
        Self { threads: threads.collect(), stop, answered }
    }

    /// Waits until so many more are answered.
    fn more(&self, count: usize) {
        let before = self.answered.load(SeqCst);
        until("requests are answered", || self.answered.load(SeqCst) > before + count);
    }

    /// Ends, and says how many were answered.
    fn end(self) -> usize {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.answered.load(SeqCst)
    }
}

/// Nobody can say who it is, and nothing is said in its name: an address that it claims is not passed on, and rules by address keep it out.
/// Seen to fail with an address made up for it.
#[test]
fn a_client_by_a_socket_has_no_address() {
    let backend = Backend::named("web");
    let place = Place::new();
    let log = place.folder.path().join("access.log");
    let logged = with(web(&backend), |web| {
        let format = Format::parse("$remote_addr|$request|$status").unwrap();
        web.trail.log = Some(AccessLog { file: log.clone(), format, query: true, max_size: ByteSize(0), keep: 0 });
    });
    let listeners = || vec![http(at(&place.path()), "web")];
    place.proxy.publish(listeners(), vec![logged.clone()]);
    let mut conn = place.connect();
    for _ in 0..3 {
        assert_eq!(conn.get_with("/", "X-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n").text(), "web");
        assert_eq!(conn.post("/", "hello").text(), "web");
    }
    for head in backend.seen() {
        assert_eq!((field(&head, "x-forwarded-for"), field(&head, "x-real-ip")), (None, None), "{head}");
        assert_eq!(field(&head, "x-forwarded-proto").as_deref(), Some("http"));
    }
    comes_to(Some("unix:|GET / HTTP/1.1|200".to_owned()), || {
        fs::read_to_string(&log).unwrap_or_default().lines().next().map(str::to_owned)
    });
    comes_to((6, 0), || (place.proxy.service("web").served, place.proxy.target("web.r1.i1").in_flight));
    let network = |text: &str| vec![Network::try_from(text.to_owned()).unwrap()];
    let asks = |access: Access| {
        let rules = Some(Box::new(Rules { access, ..Rules::default() }));
        place.proxy.publish(listeners(), vec![with(logged.clone(), |web| web.rules = rules)]);
        [(); 3].map(|()| place.connect().get_with("/", "X-Forwarded-For: 10.0.0.1\r\n").status)
    };
    assert_eq!(asks(Access { allow: network("0.0.0.0/0"), ..Access::default() }), [403; 3]);
    assert_eq!(asks(Access { deny: network("192.0.2.0/24"), ..Access::default() }), [403; 3]);
    let rate = Some(Rate { requests: 1, per: Duration::from_secs(60), burst: 2 });
    assert_eq!(asks(Access { rate, ..Access::default() }), [200, 200, 429], "all of them count as one");
}

/// An nginx in front, say: what it tells of its clients is kept as it is. Seen to fail with its word left out.
#[test]
fn who_comes_by_a_socket_can_be_believed() {
    let backend = Backend::named("web");
    let place = Place::new();
    let rules = Rules {
        access: Access { allow: vec![Network::try_from("10.0.0.0/8".to_owned()).unwrap()], ..Access::default() },
        ..Rules::default()
    };
    let guarded = with(web(&backend), |web| web.rules = Some(Box::new(rules)));
    place.proxy.publish(vec![trusting(http(at(&place.path()), "web"))], vec![guarded]);
    let mut conn = place.connect();
    let fields = "X-Forwarded-For: 192.0.2.1, 10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(conn.get_with("/", fields).status, 200);
    assert_eq!(conn.get_with("/", "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-For: 10.1.2.4\r\n").status, 200);
    for (fields, status) in [("X-Forwarded-For: 192.0.2.1\r\n", 403), ("X-Forwarded-For: nonsense\r\n", 403), ("", 403)]
    {
        assert_eq!(conn.get_with("/", fields).status, status, "{fields}");
    }
    let seen = backend.seen();
    let told = |head: &str| ["x-forwarded-for", "x-real-ip", "x-forwarded-proto"].map(|name| field(head, name));
    let texts = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
    assert_eq!(told(&seen[0]), texts(["192.0.2.1, 10.1.2.3", "10.1.2.3", "https"]));
    assert_eq!(told(&seen[1]), texts(["10.1.2.3, 10.1.2.4", "", "http"]));
}

/// By a header of the PROXY protocol, as HAProxy sends it on a unix socket too. Seen to fail with `unix:` taken for nobody.
#[test]
fn who_comes_by_a_socket_can_introduce_its_client() {
    let backend = Backend::named("web");
    let place = Place::new();
    let listed = table(vec![http(at(&place.path()), "web")], vec![web(&backend)]);
    place.proxy.try_publish(introduced(listed, at(&place.path()), "unix:")).unwrap();
    for (header, client) in
        [("PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\n", Some("192.0.2.9")), ("PROXY UNKNOWN\r\n", None)]
    {
        let mut conn = place.connect();
        conn.send(&header[..9]);
        conn.send(&header[9..]);
        assert_eq!(conn.get("/").status, 200);
        assert_eq!(field(&backend.seen().pop().unwrap(), "x-forwarded-for").as_deref(), client);
    }
    let mut stranger = place.connect();
    stranger.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stranger.rest_or_end().is_empty(), "a header is required");
}

/// Seen to fail with TLS left out for who has no address.
#[test]
fn tls_and_http2_pass() {
    let (authority, backend, place) = (Authority::new(), Backend::named("web"), Place::new());
    let secure = place.folder.path().join("secure.sock");
    let identity = authority.sign("web", &["shop.example"]).identity("web", &[]);
    let listeners = vec![http(at(&place.path()), "web"), secured(http(at(&secure), "web"), vec![identity])];
    place.proxy.publish(listeners, vec![web(&backend)]);
    let mut conn = Conn::at(&secure).shaking_hands(&blind(), "shop.example").unwrap();
    assert_eq!((conn.get("/").text(), conn.post("/", "x").text()), ("web", "web"));
    assert_eq!(field(&backend.seen()[0], "x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(place.proxy.stats().certificates[0].listener, at(&secure));
    let mut clear = Conn::at(&secure);
    assert_eq!(clear.get("/").status, 400, "who speaks without TLS is told");
    run(async {
        let stream = tokio::net::UnixStream::connect(place.path()).await.unwrap();
        let mut client = over(stream, &h2::client::Builder::new()).await;
        for _ in 0..3 {
            let (answer, _) = client.send_request(get("/"), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            assert_eq!(read(&mut body).await.unwrap(), b"web");
        }
    });
    comes_to(5, || place.proxy.service("web").served);
}

/// Seen to fail with streams that are not closed when they should.
#[test]
fn streams_pass_and_are_counted_and_ended() {
    let echo = Backend::scripted(|mut peer| {
        if peer.request().is_some_and(|head| head.starts_with("GET /events")) {
            peer.conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.conn.send("3\r\nabc\r\n");
            drop(peer.request());
            return;
        }
        peer.conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
        while let Some(byte) = peer.conn.try_exactly(1) {
            peer.conn.send(byte);
        }
    });
    let place = Place::serving(web(&echo));
    let (mut events, mut socket) = (place.connect(), place.connect());
    events.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    events.head();
    assert_eq!(events.chunk().unwrap(), b"abc");
    let upgrade =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    socket.send(upgrade);
    assert!(socket.head().starts_with("HTTP/1.1 101 "));
    // A text frame with one letter, masked with zeros.
    let frame = [0x81, 0x81, 0, 0, 0, 0, b'a'];
    for _ in 0..20 {
        socket.send(frame);
        assert_eq!(socket.exactly(frame.len()), frame);
    }
    comes_to(2, || place.proxy.target("web.r1.i1").streams);
    let all = super::support::table::id("web.r1.i1");
    place.proxy.ask(|client| async move { client.close_streams(&all, Duration::ZERO).await }).unwrap();
    assert_eq!(events.chunk(), None, "the body ends as a body does");
    assert!(!socket.rest_or_end().is_empty(), "with a frame that says so");
    comes_to(0, || place.proxy.target("web.r1.i1").streams);
}

/// Connections of any protocol; and who is told of clients is told that there is nothing to tell. Seen to fail with a client without an
/// address told as one of 0.0.0.0.
#[test]
fn connections_pass_with_what_is_known_of_their_clients() {
    let echo = Backend::scripted(|mut peer| {
        while let Some(byte) = peer.conn.try_exactly(1) {
            peer.conn.send(byte);
        }
    });
    let place = Place::new();
    let service = with(web(&echo), |web| web.trail.preamble = Some(Preamble::V1));
    place.proxy.publish(vec![tcp(at(&place.path()), "web")], vec![service]);
    let mut conn = place.connect();
    assert_eq!(conn.exactly(15), b"PROXY UNKNOWN\r\n");
    for round in 0..20 {
        conn.send([round; 100]);
        assert_eq!(conn.exactly(100), [round; 100]);
    }
    assert_eq!(place.proxy.target("web.r1.i1").streams, 1);
    conn.finish();
    assert!(conn.rest().unwrap().is_empty());
    until("the instance is left", || echo.open() == 0);
}

/// From the first table that names it to the first that does not, and no longer. Seen to fail with the file left by a listener that goes, by a table
/// that is refused and by a proxy that quits, and with connections that are idle left open.
#[test]
fn the_file_is_there_while_somebody_listens() {
    let backend = Backend::named("web");
    let place = Place::serving(web(&backend));
    let mode = fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "whoever stands in front is another user");
    let mut idle = place.connect();
    assert_eq!(idle.get("/").status, 200);
    place.proxy.publish(vec![http(place.proxy.address, "web")], vec![web(&backend)]);
    assert!(!place.path().exists(), "it is gone with the listener");
    until("the idle connection is closed", || idle.closed());
    place.proxy.publish(vec![http(at(&place.path()), "web")], vec![web(&backend)]);
    assert_eq!(place.connect().get("/").text(), "web");
    // What is refused as a whole leaves nothing.
    let (other, taken) = (place.folder.path().join("other.sock"), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let both = vec![http(at(&other), "web"), http(taken.local_addr().unwrap(), "web")];
    place.proxy.try_publish(table(both, vec![web(&backend)])).unwrap_err();
    assert!(!other.exists());
    assert_eq!(place.connect().get("/").text(), "web");
    let Place { mut proxy, folder } = place;
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    assert!(!folder.path().join("web.sock").exists(), "it is gone with the proxy");
}

/// Seen to fail with a socket that is in use taken for a stale one, with a stale one left where it is, and with previews let through.
#[test]
fn what_lies_there_is_not_taken_from_anybody() {
    let place = Place::new();
    let theirs = UnixListener::bind(place.path()).unwrap();
    let said = place.refused();
    let own = format!("process {}, ", std::process::id());
    for part in [&*format!("cannot listen on {}", at(&place.path())), "another process does already", &own] {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
    drop(theirs);
    fs::remove_file(place.path()).unwrap();
    fs::write(place.path(), "keep me").unwrap();
    assert!(place.refused().contains("what lies there is no socket"), "{}", place.refused());
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "keep me");
    fs::remove_file(place.path()).unwrap();
    // What a dead process has left.
    drop(UnixListener::bind(place.path()).unwrap());
    assert!(UnixStream::connect(place.path()).is_err());
    let backend = Backend::named("web");
    place.proxy.publish(vec![http(at(&place.path()), "web")], vec![web(&backend)]);
    assert_eq!(place.connect().get("/").text(), "web");
    for (listener, what) in [
        (preview(at(&place.folder.path().join("p")), "web", None), "p is a unix socket"),
        (super::metrics::metrics(at(&place.folder.path().join("m")), &["web"]), "m is a unix socket"),
    ] {
        let said = place.proxy.try_publish(table(vec![listener], vec![web(&backend)])).unwrap_err().to_string();
        assert!(said.contains(what) && said.contains("for the traffic of services alone"), "{said}");
    }
}

/// Hazard: a process that was replaced removes the file, or closes the queue, that its successor serves. Seen to fail with the file removed by the one
/// that leaves.
#[test]
fn nobody_notices_upgrades() {
    let backend = Backend::named("web");
    let place = Place::serving(web(&backend));
    let asking = Asking::at(&place.path());
    let mut idle = place.connect();
    assert_eq!(idle.get("/").status, 200);
    let first = place.proxy.pid();
    for _ in 0..4 {
        place.proxy.upgrade();
        asking.more(50);
    }
    assert_eq!(idle.get("/").field("connection"), Some("close"), "it is answered by the process that leaves");
    until("the first process has left", || {
        fs::read_to_string(format!("/proc/{first}/stat")).map_or(true, |stat| stat.contains(") Z "))
    });
    asking.more(50);
    let sent = asking.end() as u64 + 2;
    comes_to(sent, || place.proxy.service("web").served);
    assert_eq!(place.proxy.service("web").failed, 0);
    // The last of them, too, removes it when it is done for good.
    let current = place.proxy.current();
    kill(current, Signal::TERM);
    until("the file is gone", || !place.path().exists());
}

/// Killed, the proxy leaves its file; the next one takes its place. Seen to fail with what is left taken for somebody's.
#[test]
fn a_proxy_that_was_killed_comes_back_on_its_socket() {
    let backend = Backend::named("web");
    let Place { proxy, folder } = Place::serving(web(&backend));
    let path = folder.path().join("web.sock");
    let is_left = || path.exists() && UnixStream::connect(&path).is_err();
    let proxy = proxy.crash_and_start_with(|| assert!(is_left(), "nobody was there to remove it"));
    assert_eq!(Conn::at(&path).get("/").text(), "web");
    let successor = proxy.upgrade().to;
    assert_eq!(Conn::at(&path).get("/").text(), "web");
    kill(successor, Signal::KILL);
    until("nobody listens", is_left);
    let mut third = spawn(proxy.state());
    proxy.note(third.id());
    until("it is back", || UnixStream::connect(&path).is_ok());
    assert_eq!(Conn::at(&path).get("/").text(), "web");
    third.kill().unwrap();
    third.wait().unwrap();
}
