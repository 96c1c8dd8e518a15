//! HTTP/2 with the clients that people have, and with one that sees frames.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::table::Mode;
use http::Request;

use super::support::backend::{Backend, field};
use super::support::h2c::{connect, get, read, run, settled};
use super::support::proxy::Proxy;
use super::support::resident;
use super::support::table::{SERVING, http, id, service};
use super::support::tls::{Authority, secured};

fn serving(web: &Backend) -> Proxy {
    Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]))
}

/// An instance that sends bodies back, after what it was told of them.
fn echo() -> Backend {
    Backend::scripted(|mut peer| {
        while let Some(head) = peer.request() {
            let body = match field(&head, "content-length") {
                Some(length) => peer.conn.exactly(length.parse().unwrap()),
                None if head.contains("chunked") => {
                    let mut body = Vec::new();
                    while let Some(chunk) = peer.conn.chunk() {
                        body.extend(chunk);
                    }
                    body
                }
                None => b"nothing".to_vec(),
            };
            let length = body.len();
            peer.conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Answer: 1\r\n\r\n"));
            if !head.starts_with("HEAD ") {
                peer.conn.send(body);
            }
        }
    })
}

/// Seen to fail with h2 missing in the protocols that are offered.
#[test]
fn curl_speaks_it_by_tls_and_without() {
    let (authority, web) = (Authority::new(), echo());
    let proxy = serving(&web);
    let secure = super::support::free_address();
    let identity = authority.sign("web", &["shop.example"]).identity("web", &[]);
    let services = vec![service("web", &[("web.r1.i1", web.address, SERVING)])];
    proxy.publish(vec![http(proxy.address, "web"), secured(http(secure, "web"), vec![identity])], services);
    let upload = authority.dir().join("upload");
    std::fs::write(&upload, vec![b'x'; 5 << 20]).unwrap();
    let data = format!("@{}", upload.display());
    let curl = |url: &str, arguments: &[&str]| {
        let resolve = format!("shop.example:{}:127.0.0.1", secure.port());
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--max-time",
            "15",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code} %{size_download}\n",
        ]);
        let run = curl.args(["--resolve", &resolve, "--cacert"]).arg(authority.ca()).args(arguments).arg(url);
        let run = run.output().unwrap();
        String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).trim().to_owned()
    };
    let url = format!("https://shop.example:{}/", secure.port());
    assert_eq!(curl(&url, &["--http2"]), "2 200 7");
    assert!(web.seen()[0].contains("\r\nX-Forwarded-Proto: https\r\n"), "{}", web.seen()[0]);
    assert_eq!(curl(&url, &["--http2", "--data-binary", &data]), "2 200 5242880");
    assert_eq!(
        curl(&url, &["--http2", "-T", &upload.display().to_string(), "-H", "Expect: 100-continue"]),
        "2 200 5242880"
    );
    assert_eq!(curl(&url, &["--http2", "--head"]), "2 200 0");
    assert_eq!(curl(&url, &["--http1.1"]), "1.1 200 7");
    let url = format!("http://{}/", proxy.address);
    assert_eq!(curl(&url, &["--http2-prior-knowledge"]), "2 200 7");
}

#[test]
fn a_hundred_streams_at_once_lose_nothing() {
    let web = echo();
    let proxy = serving(&web);
    let url = format!("http://{}/", proxy.address);
    let run = Command::new("h2load").args(["-n", "4000", "-c", "4", "-m", "100", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(said.contains("4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed, 0 errored"), "{said}");
    assert!(proxy.service("web").failed == 0 && proxy.service("web").served == 4000);
}

/// What the instance gets, byte by byte. Seen to fail with the pieces of a cookie left apart.
#[test]
fn there_is_one_reading_and_it_is_that_of_http1() {
    let web = echo();
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let request = Request::post("http://shop.example/a/%2e/b?c=d").header("cookie", "a=1").header("cookie", "b=2");
        let request = request.header("host", "Shop.Example").header("te", "trailers").header("x-odd", " v ").body(());
        let (answer, mut body) = client.send_request(request.unwrap(), false).unwrap();
        body.send_data("hello".into(), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        trailers.insert("content-length", "99".parse().unwrap());
        body.send_trailers(trailers).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
        assert_eq!(answer.headers()["x-answer"], "1");
        assert_eq!(read(&mut answer.into_body()).await.unwrap(), b"hello");
    });
    let expected = "POST /a/%2e/b?c=d HTTP/1.1\r\nhost: shop.example\r\nx-odd: v\r\ncookie: a=1; b=2\r\n\
                    Transfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\nX-Forwarded-For: 127.0.0.1\r\n\
                    X-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n\r\n";
    assert_eq!(web.seen(), [expected]);
}

/// Seen to fail with the streams of a connection served one after the other.
#[test]
fn a_slow_stream_holds_up_no_other_and_one_that_is_given_up_is_dropped() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let web = Backend::scripted(move |mut peer| {
        while let Some(head) = peer.request() {
            if head.starts_with("GET /slow") {
                wait.lock().unwrap().recv().unwrap();
            }
            if head.starts_with("GET /never") {
                // Until the proxy hangs up.
                assert!(peer.request().is_none());
                return;
            }
            peer.ok("web");
        }
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let (slow, _) = client.send_request(get("/slow"), true).unwrap();
        let (quick, _) = client.send_request(get("/"), true).unwrap();
        assert_eq!(read(&mut quick.await.unwrap().into_body()).await.unwrap(), b"web");
        let (never, mut stream) = client.send_request(get("/never"), true).unwrap();
        settled(|| web.seen().len() == 3).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(never);
        // The instance learns that nobody waits.
        settled(|| web.open() == 2).await;
        go.send(()).unwrap();
        assert_eq!(read(&mut slow.await.unwrap().into_body()).await.unwrap(), b"web");
    });
}

/// The end of a request may come in a frame of its own, after its content. Seen to fail with that end taken for the end of the client.
#[test]
fn a_request_that_ends_by_itself_is_not_given_up() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let web = Backend::scripted(move |mut peer| {
        while let Some(head) = peer.request() {
            if head.starts_with("POST ") {
                assert_eq!(peer.conn.exactly(5), b"hello");
                wait.lock().unwrap().recv().unwrap();
            }
            peer.ok("web");
        }
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let post = Request::post("http://shop.example/").header("content-length", "5").body(()).unwrap();
        let (slow, mut body) = client.send_request(post, false).unwrap();
        body.send_data("hello".into(), false).unwrap();
        settled(|| web.seen().len() == 1).await;
        body.send_data(Bytes::new(), true).unwrap();
        // What comes later on the connection is answered: the end has come.
        for _ in 0..3 {
            let (quick, _) = client.send_request(get("/"), true).unwrap();
            assert_eq!(read(&mut quick.await.unwrap().into_body()).await.unwrap(), b"web");
        }
        go.send(()).unwrap();
        assert_eq!(read(&mut slow.await.unwrap().into_body()).await.unwrap(), b"web");
    });
}

/// A client without room must stop the instance, not fill the proxy; then all of it comes.
#[test]
fn a_client_without_room_is_waited_for() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.send("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
        for _ in 0..512 {
            peer.conn.send([7; 65_536]);
        }
        peer.request();
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let before = resident(proxy.pid());
        let (answer, _) = client.send_request(get("/"), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let grown = resident(proxy.pid()).saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes are held for a client without room");
        let all = read(&mut body).await.unwrap();
        assert!(all.len() == 32 << 20 && all.iter().all(|byte| *byte == 7));
    });
}

/// Seen to fail with the end of a stream said when the task that serves it ends.
#[test]
fn a_cut_answer_does_not_look_whole_and_events_end_as_they_should() {
    let web = Backend::scripted(|mut peer| match peer.request() {
        Some(head) if head.starts_with("GET /cut") => {
            peer.conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        }
        Some(_) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            peer.conn.send(format!("{head}8\r\ndata:1\n\n\r\n"));
            peer.request();
        }
        None => {}
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let (answer, _) = client.send_request(get("/cut"), true).unwrap();
        // The reset may overtake the head.
        let all = match answer.await {
            Ok(answer) => read(&mut answer.into_body()).await,
            Err(error) => Err(error),
        };
        assert!(all.unwrap_err().is_reset());
        let (answer, _) = client.send_request(get("/events"), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "data:1\n\n");
        let control = cutover_proxy::client::Client::of_state(proxy.state());
        control.close_streams(&id("web.r1.i1"), Duration::ZERO).await.unwrap();
        assert!(body.data().await.is_none_or(|data| data.unwrap().is_empty()), "an orderly end");
    });
}

/// In two steps: what is under way is finished, the client is told, and nothing is lost. Seen to fail with the connection closed at once.
#[test]
fn a_connection_ends_after_its_streams_when_its_listener_goes() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let web = Backend::scripted(move |mut peer| {
        while peer.request().is_some() {
            wait.lock().unwrap().recv().unwrap();
            peer.ok("web");
        }
    });
    let proxy = serving(&web);
    let (address, state) = (proxy.address, proxy.state().to_owned());
    run(async {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(tcp).await.unwrap();
        let connection = tokio::task::spawn_local(connection);
        let mut client = client.ready().await.unwrap();
        let (first, _) = client.send_request(get("/"), true).unwrap();
        settled(|| web.seen().len() == 1).await;
        let control = cutover_proxy::client::Client::of_state(&state);
        let mut table = control.table().await.unwrap();
        table.generation.0 += 1;
        table.listeners.clear();
        table.services[0].targets[0].mode = Mode::Draining;
        control.publish(&table).await.unwrap();
        go.send(()).unwrap();
        assert_eq!(read(&mut first.await.unwrap().into_body()).await.unwrap(), b"web");
        let ended = connection.await.unwrap();
        assert!(
            ended.as_ref().is_ok() || ended.as_ref().is_err_and(|error| error.reason() == Some(h2::Reason::NO_ERROR)),
            "{ended:?}"
        );
    });
}
