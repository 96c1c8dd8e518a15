//! Request smuggling: each request has one reading, or none. The instance's side is compared byte for byte.

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service};
use std::sync::{Arc, Mutex};

/// What becomes of a request.
enum Expected {
    /// It is refused with this status, the connection is closed, and the instance never hears of it.
    Refused(u16),
    /// The instance gets exactly these bytes, but for the forwarding fields at the head's end.
    Forwarded(&'static str),
}
use Expected::{Forwarded, Refused};

const TAIL: &str = "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n";

/// Name, bytes, and what becomes of them. Behind each, another request is sent in the same breath.
const CORPUS: &[(&str, &str, Expected)] = &[
    (
        "length and chunks",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunks and length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Refused(400)),
    (
        "two equal lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        Refused(400),
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", Refused(400)),
    ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", Refused(400)),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", Refused(400)),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", Refused(400)),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\na", Refused(400)),
    (
        "a length beyond counting",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na",
        Refused(400),
    ),
    ("a blank before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na", Refused(400)),
    (
        "a tab before the colon",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("a blank before the name", "GET / HTTP/1.1\r\nHost: a\r\n X: 1\r\n\r\n", Refused(400)),
    ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", Refused(400)),
    ("a blank before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused(400)),
    ("a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", Refused(400)),
    ("a bare LF after a field", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n", Refused(400)),
    ("a bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", Refused(400)),
    ("only LF", "GET / HTTP/1.1\nHost: a\n\n", Refused(400)),
    ("a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", Refused(400)),
    ("a bare CR for a line end", "GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", Refused(400)),
    ("two CRs", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Refused(400)),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\0\r\n\r\n", Refused(400)),
    ("NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: 1\r\n\r\n", Refused(400)),
    ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a form feed in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x0c1\r\n\r\n", Refused(400)),
    ("a name with a bracket", "GET / HTTP/1.1\r\nHost: a\r\nX[1]: 1\r\n\r\n", Refused(400)),
    ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", Refused(400)),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", Refused(400)),
    ("another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", Refused(501)),
    ("two codings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Refused(501)),
    ("identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", Refused(501)),
    (
        "chunked twice in a list",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        Refused(501),
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked with a vertical tab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refused(501)),
    ("an empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", Refused(501)),
    ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    ("no host", "GET / HTTP/1.1\r\nX: 1\r\n\r\n", Refused(400)),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
    ("two equal hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refused(400)),
    ("two hosts in one", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Refused(400)),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused(400)),
    ("a host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Refused(400)),
    ("an absolute target with another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("an absolute target without a path", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("no slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a tunnel", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Refused(405)),
    ("two blanks before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("two blanks before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a blank in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a blank after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refused(400)),
    ("a tab before the target", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("no version", "GET /\r\nHost: a\r\n\r\n", Refused(400)),
    ("a version to come", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refused(505)),
    ("almost HTTP/2", "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", Refused(505)),
    ("a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a version too long", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", Refused(400)),
    ("a method with a colon", "G:T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("an unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\na", Refused(417)),
    (
        "a chunk too long",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size with a sign",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size with 0x",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size beyond counting",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size with LF",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk that ends in LF",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk that ends in other bytes",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk extension with LF",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\na\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a blank before the chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a trailer without a colon",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n",
        Refused(400),
    ),
    (
        "a trailer with LF",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\n\r\n",
        Refused(400),
    ),
    ("a plain request", "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded("GET /a?b=c HTTP/1.1\r\nHost: a\r\n~\r\n")),
    (
        "blanks around a value",
        "GET / HTTP/1.1\r\nHost:a\r\nX: \t 1 \t\r\n\r\n",
        Forwarded("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n~\r\n"),
    ),
    ("an empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded("GET / HTTP/1.1\r\nHost: a\r\n~\r\n")),
    (
        "an absolute target",
        "GET HTTP://A:80/x HTTP/1.1\r\nHost: a:80\r\n\r\n",
        Forwarded("GET /x HTTP/1.1\r\nHost: a:80\r\n~\r\n"),
    ),
    ("an odd method", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded("M-SEARCH / HTTP/1.1\r\nHost: a\r\n~\r\n")),
    (
        "a star for OPTIONS",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        Forwarded("OPTIONS * HTTP/1.1\r\nHost: a\r\n~\r\n"),
    ),
    (
        "a disguised length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 9\r\nContent-Length: 1\r\n\r\na",
        Forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n~\r\na"),
    ),
    (
        "a length with zeros",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 001\r\n\r\na",
        Forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 001\r\n~\r\na"),
    ),
    (
        "chunks in capitals",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n001;x=\"y\"\r\na\r\n0\r\n\r\n",
        Forwarded("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n~\r\n1\r\na\r\n0\r\n\r\n"),
    ),
    (
        "a length in the trailers",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nHost: b\r\nX: 1\r\n\r\n",
        Forwarded("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n~\r\n0\r\nX: 1\r\n\r\n"),
    ),
    (
        "a connection that names the length",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length, Host\r\nContent-Length: 1\r\n\r\na",
        Forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n~\r\na"),
    ),
    (
        "bytes above 127",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n\r\n",
        Forwarded("GET /\u{e9} HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n~\r\n"),
    ),
];

const SECOND: &str = "GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

// Seen to fail, row by row, with each check in `http::request`, `http::head` and `http::chunk` taken out.
#[test]
fn every_request_has_one_reading_or_none() {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let noted = bytes.clone();
    // Understands nothing: after each read it answers as many requests as there are new request lines.
    let web = Backend::scripted(move |mut peer| {
        loop {
            let mut first = [0; 1 << 16];
            let count = std::io::Read::read(&mut peer.conn.stream, &mut first).unwrap_or(0);
            if count == 0 {
                return;
            }
            noted.lock().unwrap().extend_from_slice(&first[..count]);
            peer.ok("x");
        }
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    for (name, request, expected) in CORPUS {
        bytes.lock().unwrap().clear();
        let mut conn = Conn::to(proxy.address);
        conn.send([request.as_bytes(), SECOND.as_bytes()].concat());
        let answer = conn.answer();
        let rest = String::from_utf8(conn.rest().unwrap()).unwrap();
        let seen = String::from_utf8(bytes.lock().unwrap().clone()).unwrap();
        match expected {
            Refused(status) => {
                assert_eq!((answer.status, answer.field("connection")), (*status, Some("close")), "{name}");
                assert_eq!((rest.as_str(), seen.as_str()), ("", ""), "{name}: something got through");
            }
            Forwarded(canonical) => {
                assert_eq!(answer.status, 200, "{name}: {}", answer.text());
                let host = if canonical.contains("Host: a:80") { "a:80" } else { "a" };
                let tail = format!("{TAIL}X-Forwarded-Host: {host}\r\n");
                let second = format!("GET /second HTTP/1.1\r\nHost: a\r\n{TAIL}X-Forwarded-Host: a\r\n\r\n");
                assert_eq!(seen, format!("{}{second}", canonical.replace('~', &tail)), "{name}");
                assert!(rest.starts_with("HTTP/1.1 200"), "{name}: the second request was not answered");
            }
        }
    }
}

#[test]
fn too_large_a_head_is_refused() {
    let proxy = Proxy::serving(service("web", &[]));
    let mut conn = proxy.connect();
    conn.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(17 << 10)));
    assert_eq!(conn.answer().status, 431);
    let mut conn = proxy.connect();
    conn.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(200)));
    assert_eq!(conn.answer().status, 431);
}
