//! WebSocket over HTTP/2 (RFC 8441), to instances that know it from HTTP/1.1.

use std::time::Duration;

use bytes::Bytes;
use cutover_core::table::Mode;
use h2::SendStream;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request, Response};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::support::backend::{Backend, field};
use super::support::h2c::{next, run, settled};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, id, service};
use super::support::{comes_to, until};

/// A text frame with the letter `!`, as a server sends it.
const FIRST: [u8; 3] = [0x81, 1, b'!'];

/// A text frame with the letter `a`, masked with zeros.
const FRAME: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'a'];

/// An instance that answers the key as it should, or another one, and sends everything back.
fn echo(honest: bool) -> Backend {
    Backend::scripted(move |mut peer| {
        let Some(head) = peer.request() else { return };
        if head.starts_with("GET /plain") {
            return peer.ok("no socket here");
        }
        let key = field(&head, "sec-websocket-key").unwrap() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        let key = if honest { key } else { key + "?" };
        let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()));
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade";
        peer.conn.send(format!("{head}\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"));
        peer.conn.send(FIRST);
        while let Some(byte) = peer.conn.try_exactly(1) {
            peer.conn.send(byte);
        }
        peer.conn.send("bye");
    })
}

async fn connect(proxy: &Proxy) -> SendRequest<Bytes> {
    let tcp = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::task::spawn_local(connection);
    let client = client.ready().await.unwrap();
    settled(|| client.is_extended_connect_protocol_enabled()).await;
    client
}

async fn open(
    client: &mut SendRequest<Bytes>,
    path: &str,
) -> Result<(Response<h2::RecvStream>, SendStream<Bytes>), h2::Error> {
    let request = Request::builder().method(Method::CONNECT).uri(format!("https://shop.example{path}"));
    let request = request.extension(Protocol::from_static("websocket")).header("sec-websocket-version", "13");
    let request = request.header("sec-websocket-protocol", "chat").header("origin", "https://shop.example");
    let (head, up) = client.send_request(request.body(()).unwrap(), false).unwrap();
    Ok((head.await?, up))
}

fn serving(web: &Backend) -> Proxy {
    Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]))
}

/// Frames go both ways, and the end of one side is the end of that side. Seen to fail with the client's end not passed on.
#[test]
fn a_socket_is_opened_and_each_side_ends_by_itself() {
    let web = echo(true);
    let proxy = serving(&web);
    run(async {
        let mut client = connect(&proxy).await;
        let (head, mut up) = open(&mut client, "/ws").await.unwrap();
        assert_eq!(
            (head.status().as_u16(), &head.headers()["sec-websocket-protocol"]),
            (200, &"chat".parse().unwrap())
        );
        assert!(!head.headers().contains_key("sec-websocket-accept") && !head.headers().contains_key("upgrade"));
        let mut body = head.into_body();
        let mut got = Vec::new();
        while got.len() < FIRST.len() {
            got.extend(next(&mut body).await);
        }
        assert_eq!(got, FIRST);
        up.send_data(FRAME.to_vec().into(), false).unwrap();
        let mut got = Vec::new();
        while got.len() < FRAME.len() {
            got.extend(next(&mut body).await);
        }
        assert_eq!(got, FRAME);
        up.send_data(Bytes::new(), true).unwrap();
        let mut got = Vec::new();
        while let Some(data) = body.data().await {
            got.extend(data.unwrap());
        }
        assert_eq!(got, b"bye", "the instance has the last word");
    });
    let head = &web.seen()[0];
    assert!(head.starts_with("GET /ws HTTP/1.1\r\nhost: shop.example\r\n"), "{head}");
    assert!(head.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-version: 13\r\n") && !head.contains("chunked"), "{head}");
    comes_to((1, 0), || (proxy.service("web").served, proxy.target("web.r1.i1").streams));
}

/// Drained as a WebSocket of HTTP/1.1 is: it outlives tables, and is closed in its own words. Seen to fail with the stream reset.
#[test]
fn it_outlives_table_changes_and_is_closed_in_its_own_words() {
    let web = echo(true);
    let proxy = serving(&web);
    let state = proxy.state().to_owned();
    run(async {
        let mut client = connect(&proxy).await;
        let (head, mut up) = open(&mut client, "/ws").await.unwrap();
        let mut body = head.into_body();
        assert_eq!(next(&mut body).await, &FIRST[..]);
        let control = cutover_proxy::client::Client::of_state(&state);
        let mut table = control.table().await.unwrap();
        table.generation.0 += 1;
        table.services[0].targets[0].mode = Mode::Draining;
        control.publish(&table).await.unwrap();
        up.send_data(FRAME.to_vec().into(), false).unwrap();
        let mut got = Vec::new();
        while got.len() < FRAME.len() {
            got.extend(next(&mut body).await);
        }
        let stats = control.stats().await.unwrap().target(&id("web.r1.i1")).unwrap().clone();
        assert_eq!((stats.in_flight, stats.streams), (0, 1));
        control.close_streams(&id("web.r1.i1"), Duration::ZERO).await.unwrap();
        let mut got = Vec::new();
        while let Some(data) = body.data().await {
            got.extend(data.unwrap());
        }
        assert_eq!(got, [0x88, 2, 0x03, 0xf4], "1012, service restart");
    });
    until("it is over", || web.open() == 0);
}

/// Nobody else looks at the key, so the proxy does. Seen to fail without that look.
#[test]
fn an_answer_that_is_none_opens_nothing() {
    let (liar, web) = (echo(false), echo(true));
    let proxies = [serving(&liar), serving(&web)];
    run(async {
        let mut client = connect(&proxies[0]).await;
        let opened = open(&mut client, "/ws").await;
        assert!(opened.is_err_and(|error| error.is_reset()));
        let mut client = connect(&proxies[1]).await;
        let (head, _) = open(&mut client, "/plain").await.unwrap();
        assert_eq!((head.status().as_u16(), head.body().is_end_stream()), (502, true), "200 would be a tunnel");
        let other = Request::builder()
            .method(Method::CONNECT)
            .uri("https://shop.example/")
            .extension(Protocol::from_static("connect-udp"));
        let (head, _up) = client.send_request(other.body(()).unwrap(), false).unwrap();
        assert_eq!(head.await.unwrap().status(), 400);
    });
}
