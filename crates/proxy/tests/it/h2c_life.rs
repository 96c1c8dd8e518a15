//! The connections of HTTP/2 to instances: how many there are, when they end, and that nothing is lost when they do.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use cutover_core::table::{Limits, Mode};
use h2::Reason;
use http::Response;

use super::support::backend::{Backend, Peer};
use super::support::h2c::{
    Instance, answer, begin, call, connect, fields, get, h2c, next, outcome, read, run, settled, trailers,
};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, id, with};
use super::support::{comes_to, until};

fn serving(web: &Instance) -> Proxy {
    Proxy::serving(h2c("web", &[("web.r1.i1", web.address, SERVING)]))
}

/// An instance whose streams at `/slow` wait until they are told to go on.
fn gated() -> (Instance, Arc<tokio::sync::Semaphore>) {
    gated_with(h2::server::Builder::new())
}

fn gated_with(builder: h2::server::Builder) -> (Instance, Arc<tokio::sync::Semaphore>) {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waits = gate.clone();
    let instance = Instance::built(builder, move |request, respond| {
        let waits = waits.clone();
        async move {
            if request.uri().path() == "/slow" {
                waits.acquire().await.unwrap().forget();
            }
            answer(respond, "web", &[("grpc-status", "0")]);
        }
    });
    (instance, gate)
}

/// What an instance allows is not exceeded: others go to another connection. Seen to fail with the limit not looked at.
#[test]
fn streams_beyond_what_an_instance_allows_go_to_another_connection() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let (web, gate) = gated_with(builder);
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let calls: Vec<_> = (0..6).map(|_| client.send_request(call("/slow"), true).unwrap().0).collect();
        settled(|| web.seen().len() == 6).await;
        assert_eq!(web.accepted(), 3);
        gate.add_permits(6);
        for head in calls {
            assert_eq!(read(&mut head.await.unwrap().into_body()).await.unwrap(), b"web");
        }
        for _ in 0..4 {
            let (head, _) = client.send_request(call("/"), true).unwrap();
            assert_eq!(read(&mut head.await.unwrap().into_body()).await.unwrap(), b"web");
        }
    });
    assert_eq!(web.accepted(), 3, "what is there is used again");
    comes_to((10, 0), || (proxy.service("web").served, proxy.service("web").retried));
    until("those that rest are closed", || web.open() == 0);
}

/// An instance says goodbye: what it has it finishes, what is new goes to a new connection, and nothing is lost. Seen to fail with new streams
/// sent where goodbye was said.
#[test]
fn after_a_goodbye_the_old_streams_finish_and_new_ones_go_elsewhere() {
    let (web, gate) = gated();
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let (slow, _) = client.send_request(call("/slow"), true).unwrap();
        settled(|| web.seen().len() == 1).await;
        for round in 0..20 {
            web.say_goodbye();
            let (head, _) = client.send_request(call("/"), true).unwrap();
            let mut body = head.await.unwrap().into_body();
            assert_eq!(read(&mut body).await.unwrap(), b"web", "round {round}");
        }
        assert!(web.accepted() > 1);
        gate.add_permits(1);
        assert_eq!(read(&mut slow.await.unwrap().into_body()).await.unwrap(), b"web");
    });
    comes_to((21, 0), || (proxy.service("web").served, proxy.service("web").failed));
}

/// Reads a frame: its kind and its stream. None at the end of the connection.
fn frame(peer: &mut Peer) -> Option<(u8, u32)> {
    let head = peer.conn.try_exactly(9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    peer.conn.try_exactly(length)?;
    Some((head[3], u32::from_be_bytes(head[5..9].try_into().unwrap())))
}

/// An instance, frame by frame: `refuses` says what it does with its first streams in place of an answer.
fn framed(refuses: usize, refuse: impl Fn(&mut Peer, u32) + Send + Sync + 'static) -> Backend {
    let refused = AtomicUsize::new(0);
    Backend::scripted(move |mut peer| {
        peer.conn.exactly(24);
        peer.conn.send([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        while let Some((kind, stream)) = frame(&mut peer) {
            if kind != 1 {
                continue;
            }
            if refused.fetch_add(1, SeqCst) < refuses {
                refuse(&mut peer, stream);
                continue;
            }
            // `:status: 200` is the eighth entry of the table that everybody has.
            let mut answer = vec![0, 0, 1, 1, 5];
            answer.extend(stream.to_be_bytes());
            answer.push(0x88);
            peer.conn.send(answer);
        }
    })
}

/// GOAWAY: nothing after stream 0 was taken.
fn goes_away(peer: &mut Peer, _: u32) {
    peer.conn.send([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// RST_STREAM with REFUSED_STREAM.
fn refuses_stream(peer: &mut Peer, stream: u32) {
    peer.conn.send([&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, 7]].concat());
}

fn post(proxy: &Proxy) -> (u16, String) {
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, mut up) = begin(&mut client, call("/"));
        up.send_data("abc".into(), true).unwrap();
        let head = head.await.unwrap();
        (head.status().as_u16(), outcome(head.headers()).to_owned())
    })
}

/// Whatever the method is: the instance says that it has done nothing. Seen to fail without the second try.
#[test]
fn what_an_instance_did_not_take_is_sent_once_more() {
    for (refuse, times) in
        [(goes_away as fn(&mut Peer, u32), 1), (refuses_stream, 1), (refuses_stream, 3), (goes_away, 3)]
    {
        let web = framed(times, refuse);
        let proxy = Proxy::serving(h2c("web", &[("web.r1.i1", web.address, SERVING)]));
        assert_eq!(post(&proxy), (200, String::new()));
        comes_to((1, 0, times as u64), || {
            let web = proxy.service("web");
            (web.served, web.failed, web.retried)
        });
    }
}

/// Seen to fail with a request repeated of which nobody says that it was not taken.
#[test]
fn what_it_may_have_taken_is_not() {
    let reset = |peer: &mut Peer, stream: u32| {
        peer.conn.send([&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, 2]].concat());
    };
    let web = framed(1, reset);
    let proxy = Proxy::serving(h2c("web", &[("web.r1.i1", web.address, SERVING)]));
    assert_eq!(post(&proxy), (200, "13".to_owned()));
    let hung_up = framed(1, |peer, _| peer.conn.stream.shutdown(std::net::Shutdown::Both).unwrap());
    let proxy = Proxy::serving(h2c("web", &[("web.r1.i1", hung_up.address, SERVING)]));
    assert_eq!(post(&proxy), (200, "14".to_owned()));
    comes_to((1, 0), || (proxy.service("web").failed, proxy.service("web").retried));
    // Nor for ever.
    let never = framed(usize::MAX, refuses_stream);
    let proxy = Proxy::serving(h2c("web", &[("web.r1.i1", never.address, SERVING)]));
    assert_eq!(post(&proxy), (200, "14".to_owned()));
    assert_eq!(proxy.service("web").retried, 3);
}

/// The order of a deployment: nothing new after the acknowledgement, streams go on, the connection is gone when the last of them is. Seen to
/// fail with connections kept to what retires.
#[test]
fn a_connection_to_what_retires_ends_with_its_last_stream() {
    let ((old, gate), (new, _)) = (gated(), gated());
    let forever = Limits { keep_idle: Duration::ZERO, ..Limits::default() };
    let table =
        |targets: &[(&str, std::net::SocketAddr, Mode)]| with(h2c("web", targets), |web| web.limits = forever.clone());
    let proxy = Proxy::serving(table(&[("web.r1.i1", old.address, SERVING)]));
    let (told, slow) = mpsc::channel();
    let (address, seen) = (proxy.address, old.clone());
    let client = std::thread::spawn(move || {
        run(async {
            let mut client = connect(address).await;
            for path in ["/", "/"] {
                let (head, _) = client.send_request(call(path), true).unwrap();
                read(&mut head.await.unwrap().into_body()).await.unwrap();
            }
            let (head, _) = client.send_request(call("/slow"), true).unwrap();
            settled(|| seen.seen().len() == 3).await;
            told.send(()).unwrap();
            read(&mut head.await.unwrap().into_body()).await.unwrap()
        })
    });
    slow.recv().unwrap();
    assert_eq!((old.accepted(), proxy.target("web.r1.i1").idle), (1, 0));
    proxy.replace(table(&[("web.r1.i1", old.address, Mode::Draining), ("web.r2.i2", new.address, SERVING)]));
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, _) = client.send_request(get("/"), true).unwrap();
        read(&mut head.await.unwrap().into_body()).await.unwrap();
    });
    assert_eq!((old.seen().len(), new.seen().len()), (3, 1));
    assert_eq!((proxy.target("web.r1.i1").in_flight, old.open()), (1, 1));
    gate.add_permits(1);
    assert_eq!(client.join().unwrap(), b"web");
    until("it is closed", || old.open() == 0);
    comes_to((0, 0), || (proxy.target("web.r1.i1").in_flight, proxy.target("web.r1.i1").idle));
    assert_eq!(proxy.target("web.r2.i2").idle, 1);
    proxy.replace(table(&[("web.r2.i2", new.address, Mode::Draining)]));
    comes_to(0, || proxy.target("web.r2.i2").idle);
    until("it is closed too", || new.open() == 0);
}

/// A call whose time is up, or whose instance is gone, ends with a status. Seen to fail with the stream cut.
#[test]
fn a_call_that_is_ended_early_says_so() {
    let web = Instance::scripted(|request, mut respond| async move {
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut send = respond.send_response(head, false).unwrap();
        send.send_data("abc".into(), false).unwrap();
        let _ = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
        drop(request);
    });
    let proxy = serving(&web);
    let state = proxy.state().to_owned();
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, _up) = begin(&mut client, call("/"));
        let mut body = head.await.unwrap().into_body();
        assert_eq!(next(&mut body).await, "abc");
        let control = cutover_proxy::client::Client::of_state(&state);
        // It counts as a stream after ten seconds.
        while control.stats().await.unwrap().target(&id("web.r1.i1")).unwrap().streams == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        control.close_streams(&id("web.r1.i1"), Duration::ZERO).await.unwrap();
        assert_eq!(read(&mut body).await.unwrap(), b"");
        let end = trailers(&mut body).await;
        assert_eq!(outcome(&end), "14");
        assert!(end["grpc-message"].to_str().unwrap().contains("web.r1.i1 is leaving"), "{end:?}");
    });
    assert_eq!(proxy.service("web").failed, 0);
    let cut = framed(1, |peer, stream| {
        let head = [&[0, 0, 1, 1, 4][..], &stream.to_be_bytes(), &[0x88]].concat();
        let data = [&[0, 0, 3, 0, 0][..], &stream.to_be_bytes(), b"abc"].concat();
        peer.conn.send([head, data].concat());
        peer.conn.stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let proxy = Proxy::serving(h2c("web", &[("web.r1.i1", cut.address, SERVING)]));
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, _up) = begin(&mut client, call("/"));
        let mut body = head.await.unwrap().into_body();
        assert_eq!(read(&mut body).await.unwrap(), b"abc");
        assert_eq!(outcome(&trailers(&mut body).await), "14");
    });
    comes_to((1, 1), || (proxy.service("web").failed, proxy.target("web.r1.i1").failed));
}

/// Clients of HTTP/2 learn in two steps that their proxy is replaced, and lose nothing. Seen to fail with one step in
/// place of the two.
#[test]
fn clients_lose_nothing_when_the_proxy_is_replaced() {
    let (web, gate) = gated();
    let proxy = serving(&web);
    let (address, seen) = (proxy.address, web.clone());
    let (told, slow) = mpsc::channel();
    let stop = Arc::new(AtomicUsize::new(0));
    let stopping = stop.clone();
    let load = std::thread::spawn(move || {
        run(async {
            let mut answered = 0;
            let mut client = connect(address).await;
            while stopping.load(SeqCst) == 0 {
                // A client that was told goes elsewhere, as all of them do.
                match client.clone().ready().await {
                    Ok(ready) => client = ready,
                    Err(_) => client = connect(address).await,
                }
                let (head, _) = client.send_request(get("/"), true).unwrap();
                match head.await {
                    Ok(head) => assert_eq!(read(&mut head.into_body()).await.unwrap(), b"web"),
                    // Not taken, as the second step says: never seen by anybody.
                    Err(error) => assert!(error.is_go_away() && error.is_remote(), "{error}"),
                }
                answered += 1;
            }
            answered
        })
    });
    let held = std::thread::spawn(move || {
        run(async {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let (client, connection) = h2::client::handshake(tcp).await.unwrap();
            let connection = tokio::task::spawn_local(connection);
            let mut client = client.ready().await.unwrap();
            let (head, _) = client.send_request(call("/slow"), true).unwrap();
            settled(|| seen.seen().iter().any(|head| head.contains("/slow"))).await;
            told.send(()).unwrap();
            let mut body = head.await.unwrap().into_body();
            assert_eq!(read(&mut body).await.unwrap(), b"web");
            assert_eq!(trailers(&mut body).await, fields(&[("grpc-status", "0")]));
            let ended = connection.await.unwrap();
            assert!(ended.as_ref().is_ok_and(|()| true) || ended.unwrap_err().reason() == Some(Reason::NO_ERROR));
        })
    });
    slow.recv().unwrap();
    for _ in 0..3 {
        let before = web.seen().len();
        proxy.upgrade();
        until("calls are answered", || web.seen().len() > before + 50);
    }
    gate.add_permits(1);
    held.join().unwrap();
    stop.store(1, SeqCst);
    assert!(load.join().unwrap() > 150);
    assert_eq!(proxy.service("web").failed, 0);
}
