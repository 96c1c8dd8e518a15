//! Answers that are compressed on their way.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use cutover_core::ByteSize;
use cutover_core::rules::{Coding, Compress, Rules};

use super::serving;
use crate::support::backend::Backend;
use crate::support::client::{Answer, Conn};

fn compressing() -> Rules {
    let compress = Compress { codings: Coding::ALL.to_vec(), min_size: ByteSize(100) };
    Rules { compress: Some(compress), ..Rules::default() }
}

/// An instance that answers with this head and body.
fn instance(head: &'static str, body: &str) -> Backend {
    let answer = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
    Backend::scripted(move |mut peer| {
        while let Some(asked) = peer.request() {
            let end = if asked.starts_with("HEAD") { answer.find("\r\n\r\n").unwrap() + 4 } else { answer.len() };
            peer.conn.send(&answer[..end]);
        }
    })
}

fn ask(conn: &mut Conn, accepts: &str) -> Answer {
    conn.get_with("/", &format!("Accept-Encoding: {accepts}\r\n"))
}

/// What another program makes of it.
fn plain(coding: Option<&str>, body: &[u8]) -> Vec<u8> {
    match coding {
        Some("br") => {
            let mut plain = Vec::new();
            brotli::Decompressor::new(body, 4096).read_to_end(&mut plain).unwrap();
            plain
        }
        Some("zstd") => zstd::decode_all(body).unwrap(),
        Some("gzip") => {
            let mut child =
                Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (mut stdin, body) = (child.stdin.take().unwrap(), body.to_vec());
            let writing = std::thread::spawn(move || stdin.write_all(&body).unwrap());
            let output = child.wait_with_output().unwrap();
            writing.join().unwrap();
            assert!(output.status.success());
            output.stdout
        }
        _ => body.to_vec(),
    }
}

fn text() -> String {
    (0..20_000).map(|number| format!("line {number} of a long text\n")).collect()
}

#[test]
fn text_is_compressed_for_who_takes_it() {
    let text = text();
    let web = instance("Content-Type: text/html\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n", &text);
    let proxy = serving(&web, compressing());
    let mut conn = proxy.connect();
    let cases = [
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("zstd, gzip", Some("zstd")),
        ("br;q=0, GZIP;q=0.2", Some("gzip")),
        ("identity", None),
        ("", None),
    ];
    for (accepts, coding) in cases {
        let answer = ask(&mut conn, accepts);
        assert_eq!(answer.field("content-encoding"), coding, "{accepts}");
        assert!(plain(coding, &answer.body) == text.as_bytes(), "{accepts}: the text differs");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
        if coding.is_some() {
            assert!(answer.body.len() < text.len() / 3, "{accepts}: {} bytes", answer.body.len());
            let fields = ["etag", "content-length", "accept-ranges"].map(|name| answer.field(name));
            assert_eq!(fields, [Some("W/\"a\""), None, None]);
        } else {
            assert_eq!(answer.field("etag"), Some("\"a\""));
        }
    }
    conn.send("HEAD / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    assert!(conn.head().contains("Content-Length"), "an answer to HEAD is left alone");
    let mut old = proxy.connect();
    old.send("GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(old.answer().field("content-encoding"), None);
}

#[test]
fn what_gains_nothing_or_is_not_ours_goes_as_it_came() {
    let long = "x".repeat(1000);
    let cases = [
        ("Content-Type: image/png\r\n", &*long, None),
        ("", &long, None),
        ("Content-Type: text/plain\r\nContent-Encoding: br\r\n", &long, None),
        ("Content-Type: text/plain\r\nCache-Control: public, no-transform\r\n", &long, None),
        ("Content-Type: text/plain\r\nContent-Digest: sha-256=:x:\r\n", &long, None),
        ("Content-Type: text/plain\r\nVary: Origin, accept-encoding\r\n", "short", Some("Origin, accept-encoding")),
        ("Content-Type: text/plain\r\n", "short", Some("Accept-Encoding")),
    ];
    for (head, body, vary) in cases {
        let web = instance(head, body);
        let answer = ask(&mut serving(&web, compressing()).connect(), "gzip");
        assert_eq!((answer.text(), answer.field("vary")), (body, vary), "{head}");
    }
}

#[test]
fn what_has_come_is_sent_on_at_once() {
    let web = Backend::scripted(|mut peer| {
        while let Some(head) = peer.request() {
            let kind = if head.contains("/events") { "text/event-stream" } else { "text/plain" };
            peer.conn.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"));
            peer.conn.send("5\r\nfirst\r\n");
            peer.conn.line();
            peer.conn.send("6\r\nsecond\r\n0\r\n\r\n");
        }
    });
    let proxy = serving(&web, compressing());
    let mut conn = proxy.connect();
    conn.send("GET /events HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    assert!(!conn.head().to_lowercase().contains("encoding: gzip"), "event streams are left alone");
    assert_eq!(conn.chunk().unwrap(), b"first");
    for coding in ["gzip", "br", "zstd"] {
        let mut conn = proxy.connect();
        conn.send(format!("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: {coding}\r\n\r\n"));
        assert!(conn.head().contains(&format!("Content-Encoding: {coding}")));
        assert!(!conn.chunk().unwrap().is_empty(), "{coding}: the second part has not been sent yet");
    }
}

/// A cut answer must not look whole.
#[test]
fn an_answer_that_breaks_off_does_so_compressed_too() {
    let web = Backend::scripted(|mut peer| {
        if peer.request().is_some() {
            peer.conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\nonly this");
        }
    });
    let proxy = serving(&web, compressing());
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    let answer = conn.rest().unwrap_or_default();
    assert!(!answer.ends_with(b"0\r\n\r\n"), "it was ended as if it were whole");
    assert_eq!(proxy.service("web").failed, 1);
}

/// Seen to fail with the trailers of what is compressed left out.
#[test]
fn trailers_stand_behind_what_is_compressed() {
    let web = Backend::scripted(|mut peer| {
        while peer.request().is_some() {
            peer.conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.conn.send("5\r\nhello\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n");
        }
    });
    let proxy = serving(&web, compressing());
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: zstd\r\n\r\n");
    assert!(conn.head().contains("\r\nContent-Encoding: zstd\r\n"));
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&conn.line(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend(conn.exactly(size));
        conn.line();
    }
    assert_eq!(plain(Some("zstd"), &body), b"hello");
    assert_eq!([conn.line(), conn.line()], ["X-Sum: 7", ""]);
}
