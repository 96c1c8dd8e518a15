//! HTTP/2 that is not plainly right, frame by frame: it is refused, and the instance sees none of it.

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service};
use super::support::until;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client that writes frames.
struct Frames(Conn);

/// A frame.
#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    fn to(proxy: &Proxy) -> Self {
        let mut conn = proxy.connect();
        conn.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self(conn);
        frames.send(SETTINGS, 0, 0, &[]);
        frames
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.send(frame(kind, flags, stream, payload));
    }

    /// The next frame that is not about the connection alone; none at its end.
    fn next(&mut self) -> Option<Frame> {
        loop {
            let head = self.0.try_exactly(9)?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            let payload = self.0.try_exactly(length)?;
            if stream != 0 || head[3] == GOAWAY {
                return Some(Frame { kind: head[3], stream, payload });
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as literals without an index (RFC 7541, 6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            out.push(text.len() as u8);
            out.extend(text.as_bytes());
        }
    }
    out
}

const GOOD: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "shop.example")];

fn with(change: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let changed = |name: &str| change.iter().any(|(other, _)| *other == name);
    let kept = GOOD.iter().filter(|(name, _)| !changed(name)).copied();
    kept.chain(change.iter().copied().filter(|(_, value)| *value != "-")).collect()
}

/// Seen to fail with the comparison of authority and Host left out.
#[test]
fn games_with_pseudo_fields_are_refused() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut after = with(&[]);
    after.insert(1, ("x", "y"));
    let cases: Vec<Vec<(&str, &str)>> = vec![
        with(&[(":method", "-")]),
        with(&[(":scheme", "-")]),
        with(&[(":path", "-")]),
        with(&[(":path", "")]),
        with(&[(":path", "shop")]),
        with(&[(":path", "*")]),
        with(&[(":path", "/a b")]),
        with(&[(":path", "/ HTTP/1.1\r\nX: y")]),
        with(&[(":method", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET")]),
        with(&[(":method", "CONNECT")]),
        with(&[(":scheme", "gopher")]),
        with(&[(":authority", "-")]),
        with(&[(":authority", "a@shop.example")]),
        with(&[(":authority", "shop.example"), ("host", "other.example")]),
        with(&[("host", "a"), ("host", "b"), (":authority", "-")]),
        [with(&[]), vec![(":path", "/b")]].concat(),
        [with(&[]), vec![(":odd", "x")]].concat(),
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("keep-alive", "1")]),
        with(&[("te", "gzip")]),
        with(&[("X-Upper", "y")]),
        with(&[("x y", "z")]),
        with(&[("x", "a\r\nHost: b")]),
        with(&[("x", "a\0b")]),
        with(&[("content-length", "1"), ("content-length", "2")]),
        with(&[("content-length", "+1")]),
        after,
    ];
    for case in cases {
        let mut frames = Frames::to(&proxy);
        frames.send(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&case));
        let answer = frames.next();
        let refused = match &answer {
            None => true,
            Some(Frame { kind: GOAWAY | RST_STREAM, .. }) => true,
            // An index of the static table for status 400 (RFC 7541, appendix A), or a literal 4xx or 5xx behind its name.
            Some(Frame { kind: HEADERS, payload, .. }) => {
                payload[0] == 0x8c || (payload[0] == 0x48 && !matches!(payload.get(2), Some(b'2')))
            }
            _ => false,
        };
        assert!(refused, "{case:?} was answered with {answer:?}");
        assert!(web.seen().is_empty(), "{case:?} reached the instance as {:?}", web.seen());
    }
}

#[test]
fn a_body_is_as_long_as_it_says() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut post = with(&[(":method", "POST")]);
    post.push(("content-length", "5"));
    for data in [&b"abc"[..], b"abcdefgh"] {
        let mut frames = Frames::to(&proxy);
        frames.send(HEADERS, END_HEADERS, 1, &fields(&post));
        frames.send(DATA, END_STREAM, 1, data);
        let answer = frames.next();
        assert!(matches!(answer, None | Some(Frame { kind: RST_STREAM | GOAWAY, .. })), "{answer:?}");
    }
    assert!(web.seen().is_empty(), "{:?}", web.seen());
    assert_eq!(proxy.connect().get("/").text(), "web", "the next client is not mistaken for the rest of it");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut frames = Frames::to(&proxy);
    let value = "x".repeat(120);
    let many: Vec<(&str, &str)> = (0..200).map(|_| ("x-large", value.as_str())).collect();
    let block = fields(&[&GOOD[..], &many].concat());
    let (first, rest) = block.split_at(16_000);
    frames.send(HEADERS, END_STREAM, 1, first);
    frames.send(9, END_HEADERS, 1, rest);
    let answer = frames.next();
    let refused = match &answer {
        None | Some(Frame { kind: RST_STREAM | GOAWAY, .. }) => true,
        Some(Frame { kind: HEADERS, payload, .. }) => {
            payload.windows(3).any(|text| text == b"431") || payload[0] == 0x48
        }
        _ => false,
    };
    assert!(refused && web.seen().is_empty(), "{answer:?}");
}

/// CVE-2023-44487, slowly enough that each request is taken before it is given up. Seen to fail with what is given up not counted.
#[test]
fn who_gives_up_request_after_request_is_sent_away() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.request();
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut frames = Frames::to(&proxy);
    let block = fields(&GOOD);
    for number in 0..101u32 {
        frames.send(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &block);
        until("it is under way", || web.seen().len() > number as usize);
        frames.send(RST_STREAM, 0, 2 * number + 1, &8u32.to_be_bytes());
        until("it is given up", || web.open() == 0);
    }
    frames.send(HEADERS, END_STREAM | END_HEADERS, 2 * 101 + 1, &block);
    let end = frames.next().unwrap();
    assert_eq!((end.kind, &end.payload[4..8]), (GOAWAY, &11u32.to_be_bytes()[..]), "ENHANCE_YOUR_CALM");
    assert_eq!(web.seen().len(), 101);
}

/// The same as quickly as it goes: the library counts those that were not even taken.
#[test]
fn who_gives_up_more_than_it_waits_for_is_sent_away() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut frames = Frames::to(&proxy);
    let block = fields(&GOOD);
    let mut all = Vec::new();
    for number in 0..5000u32 {
        all.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &block));
        all.extend(frame(RST_STREAM, 0, 2 * number + 1, &8u32.to_be_bytes()));
    }
    // The proxy may hang up before it has read all of it.
    let _ = std::io::Write::write_all(&mut frames.0.stream, &all);
    let mut last = None;
    while let Some(frame) = frames.next() {
        if frame.kind == GOAWAY {
            last = Some(frame);
        }
    }
    if let Some(frame) = last {
        assert_eq!(frame.payload[4..8], 11u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
    }
    assert!(web.seen().len() < 400, "{} of 5000 reached the instance", web.seen().len());
    assert_eq!(proxy.connect().get("/").text(), "web", "the others are served");
}

/// More streams at once than are taken are refused one by one, and may be tried again.
#[test]
fn there_is_a_limit_to_the_streams_at_once() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.request();
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut frames = Frames::to(&proxy);
    let block = fields(&GOOD);
    for number in 0..101u32 {
        frames.send(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &block);
    }
    let refused = frames.next().unwrap();
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 201));
    assert_eq!(refused.payload, 7u32.to_be_bytes(), "REFUSED_STREAM");
}
