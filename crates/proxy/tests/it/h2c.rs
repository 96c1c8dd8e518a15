//! Instances that are spoken to in HTTP/2: what they get, what comes back, and what both sides learn of each other's end.

use std::time::Duration;

use bytes::Bytes;
use cutover_core::spread::Eject;
use cutover_core::table::Limits;
use h2::Reason;
use http::Response;

use super::support::backend::Backend;
use super::support::h2c::{
    Instance, answer, begin, call, connect, connect_with, fields, get, h2c, next, outcome, read, run, settled, trailers,
};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, hold, id, name, service, with};
use super::support::{comes_to, resident, until};

fn serving(web: &Instance) -> Proxy {
    Proxy::serving(h2c("web", &[("web.r1.i1", web.address, SERVING)]))
}

/// An instance that sends each piece of a request back as it comes, and its trailers behind it.
fn echo() -> Instance {
    Instance::scripted(|request, mut respond| async move {
        let mut body = request.into_body();
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut send = respond.send_response(head, false).unwrap();
        while let Some(Ok(data)) = body.data().await {
            body.flow_control().release_capacity(data.len()).unwrap();
            send.send_data(data, false).unwrap();
        }
        let mut end = body.trailers().await.ok().flatten().unwrap_or_default();
        end.extend(fields(&[("grpc-status", "0")]));
        let _ = send.send_trailers(end);
    })
}

/// What the instance gets, and what the client gets back. Seen to fail with trailers dropped on either way.
#[test]
fn a_call_passes_whole_with_its_trailers() {
    let web = Instance::scripted(|request, respond| async move {
        let mut body = request.into_body();
        let said = read(&mut body).await.unwrap();
        let sum = trailers(&mut body).await["x-sum"].to_str().unwrap().to_owned();
        assert_eq!((said.as_slice(), sum.as_str()), (&b"hello"[..], "7"));
        let end = [("grpc-status", "0"), ("x-more", "a"), ("content-length", "9"), ("set-cookie", "a=b")];
        answer(respond, "world", &end);
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, mut up) = begin(&mut client, call("/shop.Cart/Add?x=%2f"));
        up.send_data("hello".into(), false).unwrap();
        up.send_trailers(fields(&[("x-sum", "7"), ("authorization", "none")])).unwrap();
        let head = head.await.unwrap();
        assert_eq!(
            (head.status().as_u16(), &head.headers()["content-type"]),
            (200, &"application/grpc".parse().unwrap())
        );
        let mut body = head.into_body();
        assert_eq!(read(&mut body).await.unwrap(), b"world");
        let end = trailers(&mut body).await;
        assert_eq!(end, fields(&[("grpc-status", "0"), ("x-more", "a")]), "what may stand behind a body");
    });
    let expected = "POST http://shop.example/shop.Cart/Add?x=%2f\ncontent-type: application/grpc\nx-forwarded-for: 127.0.0.1\n\
                    x-real-ip: 127.0.0.1\nx-forwarded-proto: http\nx-forwarded-host: shop.example\nte: trailers";
    assert_eq!(web.seen(), [expected]);
    comes_to((1, 0), || (proxy.service("web").served, proxy.service("web").failed));
}

/// Seen to fail with small bodies waited for, as they are with instances of HTTP/1.1.
#[test]
fn both_ways_go_on_side_by_side() {
    let web = echo();
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, mut up) = begin(&mut client, call("/chat"));
        up.send_data("one".into(), false).unwrap();
        let mut body = head.await.unwrap().into_body();
        assert_eq!(next(&mut body).await, "one");
        for word in ["two", "three"] {
            up.send_data(word.into(), false).unwrap();
            assert_eq!(next(&mut body).await, word);
        }
        up.send_data(Bytes::new(), true).unwrap();
        assert_eq!(read(&mut body).await.unwrap(), b"");
        assert_eq!(outcome(&trailers(&mut body).await), "0");
    });
    assert_eq!(web.accepted(), 1);
}

/// A client of HTTP/1.1 is translated: what it sends and gets is HTTP/1.1.
#[test]
fn a_client_of_http1_is_served_too() {
    let web = Instance::scripted(|request, mut respond| async move {
        let path = request.uri().path().to_owned();
        let said = read(&mut request.into_body()).await.unwrap();
        match path.as_str() {
            "/none" => drop(respond.send_response(Response::builder().status(204).body(()).unwrap(), true)),
            "/length" => {
                let head = Response::builder().header("content-length", said.len()).body(()).unwrap();
                respond.send_response(head, false).unwrap().send_data(said.into(), true).unwrap();
            }
            _ => answer(respond, "hello", &[("x-sum", "7")]),
        }
    });
    let proxy = serving(&web);
    let mut conn = proxy.connect();
    let answer = conn.post("/length", "abcde");
    assert_eq!((answer.status, answer.text(), answer.field("content-length")), (200, "abcde", Some("5")));
    assert_eq!(conn.get("/none").status, 204);
    conn.send("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    assert!(conn.head().contains("\r\nTransfer-Encoding: chunked\r\n"));
    let lines: Vec<String> = (0..5).map(|_| conn.line()).collect();
    assert_eq!(lines, ["5", "hello", "0", "x-sum: 7", ""]);
    conn.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(conn.head().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(conn.get("/none").status, 204, "nothing followed the head");
    let answer = conn.get_with("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!((answer.status, answer.field("cutover-error")), (501, Some("no-upgrade")));
    assert_eq!(web.accepted(), 1, "one connection carries all of them");
    let mut odd = proxy.connect();
    odd.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(odd.answer().status, 200);
}

/// Seen to fail with the trailers of answers read over, as they were.
#[test]
fn trailers_of_http1_reach_clients_of_http2_and_only_those_that_may() {
    let web = Backend::scripted(|mut peer| {
        while peer.request().is_some() {
            while peer.conn.chunk().is_some() {}
            peer.conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n");
            peer.conn
                .send("3\r\nabc\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\nAuthorization: x\r\n\r\n");
        }
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, mut up) = begin(&mut client, call("/"));
        up.send_data("x".into(), true).unwrap();
        let mut body = head.await.unwrap().into_body();
        assert_eq!(read(&mut body).await.unwrap(), b"abc");
        assert_eq!(trailers(&mut body).await, fields(&[("x-sum", "7")]));
    });
}

/// Seen to fail with no look at the client while the instance takes nothing.
#[test]
fn who_gives_a_call_up_gives_it_up_at_the_instance() {
    let (told, learned) = std::sync::mpsc::channel();
    let web = Instance::scripted(move |request, mut respond| {
        let told = told.clone();
        async move {
            if request.uri().path() == "/full" {
                // Takes nothing: the request waits for room.
                let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                return told.send(reason.unwrap()).unwrap();
            }
            let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut send = respond.send_response(head, false).unwrap();
            let reason = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
            told.send(reason.unwrap()).unwrap();
        }
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, mut up) = begin(&mut client, call("/"));
        let body = head.await.unwrap();
        up.send_reset(Reason::CANCEL);
        drop((body, up));
        let (_head, mut up) = begin(&mut client, call("/full"));
        up.reserve_capacity(1 << 20);
        up.send_data(vec![0; 1 << 20].into(), false).unwrap();
        settled(|| web.seen().len() == 2).await;
        settled(|| up.capacity() == 0).await;
        up.send_reset(Reason::CANCEL);
        has(&proxy, (0, 0)).await;
    });
    for _ in 0..2 {
        assert_eq!(learned.recv_timeout(Duration::from_secs(10)), Ok(Reason::CANCEL));
    }
    assert_eq!(proxy.service("web").failed, 0, "who leaves has not been failed");
}

/// Waits until the instance has so many requests and streams.
async fn has(proxy: &Proxy, load: (u64, u64)) {
    let client = cutover_proxy::client::Client::of_state(proxy.state());
    loop {
        let stats = client.stats().await.unwrap();
        if stats.target(&id("web.r1.i1")).is_some_and(|target| (target.in_flight, target.streams) == load) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Seen to fail with the reason of the instance forgotten.
#[test]
fn what_the_instance_gives_up_is_given_up_for_the_same_reason() {
    let web = Instance::scripted(|request, mut respond| async move {
        if request.uri().path() == "/before" {
            return respond.send_reset(Reason::ENHANCE_YOUR_CALM);
        }
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut send = respond.send_response(head, false).unwrap();
        send.send_data("abc".into(), false).unwrap();
        // The data must have gone: a reset overtakes it.
        let mut body = request.into_body();
        body.data().await;
        send.send_reset(Reason::INADEQUATE_SECURITY);
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, _up) = begin(&mut client, call("/before"));
        let head = head.await.unwrap();
        assert_eq!((head.status().as_u16(), outcome(head.headers())), (200, "8"));
        let (head, mut up) = begin(&mut client, call("/after"));
        let mut body = head.await.unwrap().into_body();
        assert_eq!(next(&mut body).await, "abc");
        up.send_data("x".into(), false).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap_err().reason(), Some(Reason::INADEQUATE_SECURITY));
        let (head, _) = client.send_request(get("/before"), true).unwrap();
        let head = head.await.unwrap();
        assert_eq!((head.status().as_u16(), &head.headers()["cutover-error"]), (502, &"given-up".parse().unwrap()));
    });
    comes_to(3, || proxy.service("web").failed);
}

/// A client that takes nothing of its answers fills nothing but its windows, and holds up nobody who shares its connection to the instance.
/// Seen to fail with one window for all streams of a connection, as large as that of one.
#[test]
fn an_answer_that_nobody_reads_waits_where_it_is() {
    let web = Instance::scripted(|request, mut respond| async move {
        if request.uri().path() == "/quick" {
            return answer(respond, "quick", &[]);
        }
        let mut send = respond.send_response(Response::new(()), false).unwrap();
        for _ in 0..1024 {
            send.reserve_capacity(16 << 10);
            while send.capacity() < 16 << 10 {
                match std::future::poll_fn(|cx| send.poll_capacity(cx)).await {
                    Some(Ok(_)) => {}
                    _ => return,
                }
            }
            send.send_data(vec![7; 16 << 10].into(), false).unwrap();
        }
        let _ = send.send_data(Bytes::new(), true);
    });
    let proxy = serving(&web);
    run(async {
        // Room for all of them together: it is their own windows that are to be full.
        let mut roomy = h2::client::Builder::new();
        let mut client = connect_with(proxy.address, roomy.initial_connection_window_size(8 << 20)).await;
        let (head, _) = client.send_request(get("/quick"), true).unwrap();
        read(&mut head.await.unwrap().into_body()).await.unwrap();
        let before = resident(proxy.pid());
        let mut unread = Vec::new();
        for _ in 0..20 {
            let (head, _) = client.send_request(get("/large"), true).unwrap();
            unread.push(head.await.unwrap().into_body());
        }
        // The only way to see that nothing grows.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let grown = resident(proxy.pid()).saturating_sub(before);
        assert!(grown < 12 << 20, "{grown} bytes are held for clients that take nothing");
        for _ in 0..20 {
            let mut other = connect(proxy.address).await;
            let (head, _) = other.send_request(get("/quick"), true).unwrap();
            assert_eq!(read(&mut head.await.unwrap().into_body()).await.unwrap(), b"quick");
        }
        for mut body in unread.drain(..2) {
            assert_eq!(read(&mut body).await.unwrap().len(), 16 << 20);
        }
    });
    assert!(web.accepted() <= 2, "one for each worker, not {}", web.accepted());
}

/// What is counted of a call that failed though its status of HTTP is 200. Seen to fail with trailers not looked at.
#[test]
fn a_call_that_failed_is_an_error_and_one_that_was_wrong_is_not() {
    let web = Instance::scripted(|request, mut respond| async move {
        let head = Response::builder().header("content-type", "application/grpc");
        match request.uri().path() {
            "/head" => drop(respond.send_response(head.header("grpc-status", "13").body(()).unwrap(), true)),
            "/wrong" => drop(respond.send_response(head.header("grpc-status", "3").body(()).unwrap(), true)),
            _ => answer(respond, "half", &[("grpc-status", "14")]),
        }
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        for (path, expected) in [("/head", "13"), ("/wrong", "3")] {
            let (head, _up) = client.send_request(call(path), true).unwrap();
            let head = head.await.unwrap();
            assert_eq!(outcome(head.headers()), expected);
            assert!(head.body().is_end_stream() && !head.headers().contains_key("content-length"), "{head:?}");
        }
        let (head, _up) = client.send_request(call("/behind"), true).unwrap();
        let mut body = head.await.unwrap().into_body();
        assert_eq!(read(&mut body).await.unwrap(), b"half");
        assert_eq!(outcome(&trailers(&mut body).await), "14");
    });
    comes_to(3, || proxy.service("web").served);
    assert_eq!((proxy.target("web.r1.i1").errors, proxy.service("web").failed), (2, 0));
}

/// Seen to fail with text in place of a status, which clients of gRPC call UNKNOWN.
#[test]
fn calls_are_refused_in_their_own_words() {
    let proxy = Proxy::start();
    let gone = Instance::scripted(|_, _| async {});
    let limits = Limits { connect: Duration::from_millis(100), ..Limits::default() };
    let away = with(h2c("web", &[("web.r1.i1", super::support::free_address(), SERVING)]), |web| web.limits = limits);
    let only = super::support::table::routes(proxy.address, &[(&[], "/web", "web"), (&[], "/none", "none")]);
    proxy.publish(
        vec![only],
        vec![away, h2c("none", &[("none.r1.i1", gone.address, cutover_core::table::Mode::Draining)])],
    );
    run(async {
        let mut client = connect(proxy.address).await;
        for (path, expected, code) in
            [("/web", "14", "unreachable"), ("/none", "14", "no-target"), ("/elsewhere", "12", "no-route")]
        {
            let (head, mut up) = begin(&mut client, call(path));
            up.send_data("abc".into(), true).unwrap();
            let head = head.await.unwrap();
            assert_eq!((head.status().as_u16(), outcome(head.headers())), (200, expected), "{path}");
            assert!(head.headers()["grpc-message"].to_str().unwrap().starts_with("cutover: "));
            assert_eq!((head.headers()["cutover-error"].to_str().unwrap(), head.body().is_end_stream()), (code, true));
        }
        let (head, _) = client.send_request(get("/elsewhere"), true).unwrap();
        assert_eq!(head.await.unwrap().status(), 404, "who asks as a browser is answered as one");
    });
    assert_eq!(proxy.service("web").failed, 1);
}

/// An instance of HTTP/1.1, or of nothing, where HTTP/2 is expected.
#[test]
fn an_instance_that_does_not_speak_it_is_told_of() {
    let proxy = Proxy::start();
    for web in [Backend::named("old"), Backend::scripted(|mut peer| peer.conn.send("HTTP/1.1 400 Bad Request\r\n\r\n"))]
    {
        let limits = Limits { connect: Duration::from_millis(300), ..Limits::default() };
        proxy.replace(with(h2c("web", &[("web.r1.i1", web.address, SERVING)]), |web| web.limits = limits));
        let answer = proxy.connect().get("/");
        assert_eq!((answer.status, answer.field("cutover-error")), (502, Some("unreachable")));
        let told = answer.text().contains("does not speak HTTP/2") || answer.text().contains("timed out");
        assert!(told, "{}", answer.text());
    }
}

/// A call that goes on is a stream, also before its answer has begun, and is not late however long its client is silent. Seen to fail with the
/// limits of other requests.
#[test]
fn a_call_that_goes_on_becomes_a_stream_and_is_not_cut_by_limits() {
    let web = Instance::scripted(|request, respond| async move {
        let mut body = request.into_body();
        let said = read(&mut body).await;
        if said.is_ok_and(|said| said == b"onetwo") {
            answer(respond, "well", &[("grpc-status", "0")]);
        }
    });
    let second = Duration::from_secs(1);
    let limits = Limits { body_pause: second, answer: second, ..Limits::default() };
    let proxy = Proxy::serving(with(h2c("web", &[("web.r1.i1", web.address, SERVING)]), |web| web.limits = limits));
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, mut up) = begin(&mut client, call("/"));
        up.send_data("one".into(), false).unwrap();
        let (other, mut other_up) = begin(&mut client, call("/"));
        other_up.send_data("one".into(), false).unwrap();
        has(&proxy, (0, 2)).await;
        up.send_data("two".into(), true).unwrap();
        let mut body = head.await.unwrap().into_body();
        assert_eq!(read(&mut body).await.unwrap(), b"well");
        let control = cutover_proxy::client::Client::of_state(proxy.state());
        control.close_streams(&id("web.r1.i1"), Duration::ZERO).await.unwrap();
        let other = other.await.unwrap();
        assert_eq!((outcome(other.headers()), &other.headers()["cutover-error"]), ("14", &"leaving".parse().unwrap()));
    });
}

/// Its own deadline takes the place of a shorter limit; where it has none, the limit holds.
#[test]
fn a_call_may_take_as_long_as_it_says() {
    let web = Instance::scripted(|request, respond| async move {
        let slow = request.uri().path() == "/slow";
        tokio::time::sleep(Duration::from_millis(if slow { 600_000 } else { 1500 })).await;
        answer(respond, "late", &[("grpc-status", "0")]);
    });
    let limits = Limits { answer: Duration::from_millis(500), ..Limits::default() };
    let proxy = Proxy::serving(with(h2c("web", &[("web.r1.i1", web.address, SERVING)]), |web| web.limits = limits));
    run(async {
        let mut client = connect(proxy.address).await;
        let mut patient = call("/");
        patient.headers_mut().insert("grpc-timeout", "9S".parse().unwrap());
        let (head, _) = client.send_request(patient, true).unwrap();
        assert_eq!(read(&mut head.await.unwrap().into_body()).await.unwrap(), b"late");
        let (head, _) = client.send_request(call("/slow"), true).unwrap();
        assert_eq!(outcome(head.await.unwrap().headers()), "4");
    });
    assert!(web.seen()[0].contains("\ngrpc-timeout: 9S"), "{}", web.seen()[0]);
}

#[test]
fn a_client_with_small_windows_gets_everything() {
    let web = echo();
    let proxy = serving(&web);
    run(async {
        let mut builder = h2::client::Builder::new();
        let mut client = connect_with(proxy.address, builder.initial_window_size(7)).await;
        let (head, mut up) = begin(&mut client, call("/"));
        up.reserve_capacity(30_000);
        up.send_data(vec![1; 30_000].into(), false).unwrap();
        up.send_trailers(fields(&[("x-sum", "1")])).unwrap();
        let mut body = head.await.unwrap().into_body();
        assert_eq!(read(&mut body).await.unwrap().len(), 30_000);
        assert_eq!(trailers(&mut body).await.len(), 2);
    });
    until("nothing is in hand", || proxy.target("web.r1.i1").in_flight == 0);
}

/// Requests that only HTTP/1.1 can say are the client's own mistake, and no instance is blamed. Seen to fail with an instance
/// blamed for them.
#[test]
fn what_http2_cannot_say_is_refused_before_anybody_is_asked() {
    let web = echo();
    let proxy = serving(&web);
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: [x\r\n\r\n");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.field("cutover-error")), (400, Some("bad-request")));
    assert!(web.seen().is_empty());
    assert_eq!((proxy.target("web.r1.i1").failed, proxy.service("web").failed), (0, 0));
}

/// Streams of which only the beginning is wanted are no attack. Seen to fail with everything counted that did not come to its end.
#[test]
fn who_often_leaves_before_the_end_is_not_sent_away() {
    let web = Instance::scripted(|request, mut respond| async move {
        if request.uri().path() == "/quick" {
            return answer(respond, "quick", &[("grpc-status", "0")]);
        }
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut send = respond.send_response(head, false).unwrap();
        send.send_data("first".into(), false).unwrap();
        let _ = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
    });
    let proxy = serving(&web);
    run(async {
        let mut client = connect(proxy.address).await;
        for _ in 0..250 {
            let (head, mut up) = client.send_request(call("/watch"), true).unwrap();
            let mut body = head.await.unwrap().into_body();
            assert_eq!(next(&mut body).await, "first");
            up.send_reset(Reason::CANCEL);
        }
        let (head, _) = client.send_request(call("/quick"), true).unwrap();
        assert_eq!(read(&mut head.await.unwrap().into_body()).await.unwrap(), b"quick");
    });
    comes_to((251, 0), || (proxy.service("web").served, proxy.service("web").failed));
}

/// Who ends calls with a failure is left out like who answers 500, if errors count. Seen to fail with the status of HTTP alone looked at.
#[test]
fn an_instance_whose_calls_fail_is_left_out() {
    let says = |status: &'static str| {
        Instance::scripted(move |_, respond| async move { answer(respond, "web", &[("grpc-status", status)]) })
    };
    let (ill, well) = (says("13"), says("0"));
    let targets = [("web.r1.i1", ill.address, SERVING), ("web.r1.i2", well.address, SERVING)];
    let minute = Duration::from_secs(60);
    let eject = Eject { failures: 2, back_off: minute, longest: minute, errors: true };
    let proxy = Proxy::serving(with(h2c("web", &targets), |web| web.spread.eject = Some(eject)));
    run(async {
        let mut client = connect(proxy.address).await;
        for _ in 0..40 {
            let (head, _) = client.send_request(call("/"), true).unwrap();
            read(&mut head.await.unwrap().into_body()).await.unwrap();
        }
    });
    assert_eq!((ill.seen().len(), well.seen().len()), (2, 38));
    assert!(proxy.target("web.r1.i1").ejected);
}

/// A call waits like any other request while its service is held, and is sent on with what has come of it.
#[test]
fn a_call_is_held_while_its_service_is() {
    let web = echo();
    let targets = [("web.r1.i1", web.address, SERVING)];
    let proxy = Proxy::serving(with(h2c("web", &targets), |web| web.hold = hold(10_000, 10)));
    let state = proxy.state().to_owned();
    run(async {
        let mut client = connect(proxy.address).await;
        let (head, mut up) = begin(&mut client, call("/"));
        up.send_data("one".into(), false).unwrap();
        let control = cutover_proxy::client::Client::of_state(&state);
        while control.stats().await.unwrap().service(&name("web")).unwrap().held == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut table = control.table().await.unwrap();
        table.generation.0 += 1;
        table.services[0].hold = None;
        control.publish(&table).await.unwrap();
        let mut body = head.await.unwrap().into_body();
        assert_eq!(next(&mut body).await, "one");
        up.send_data("two".into(), true).unwrap();
        assert_eq!(next(&mut body).await, "two");
        assert_eq!(read(&mut body).await.unwrap(), b"");
    });
}
