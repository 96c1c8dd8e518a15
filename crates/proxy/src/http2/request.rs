//! A request of HTTP/2 as a head of HTTP/1.1.
//!
//! The library has refused already what RFC 9113 calls malformed: pseudo fields that are missing, repeated, unknown or late, names in
//! capitals, fields about the connection, a length that is not that of the data. What remains is said here once, and then goes
//! through the parser for HTTP/1.1, which refuses the rest (two lengths, a strange host).

use h2::RecvStream;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{HeaderMap, Method};

use super::websocket::Upgrade;
use crate::http::field::line;
use crate::http::head::is_target;

/// What the parser for HTTP/1.1 is given.
#[derive(Debug)]
pub struct Head {
    /// The head.
    pub bytes: Vec<u8>,
    /// Whether the body follows in chunks.
    pub chunked: bool,
    /// Whether the answer has no body, whatever its head says.
    pub bodiless: bool,
    /// The WebSocket that the stream is to become.
    pub upgrade: Option<Upgrade>,
}

/// Writes the head of a request; or says why not, as a fragment that completes "the request ...". `nonce` is for the key of a WebSocket.
pub fn head(parts: &Parts, body: &RecvStream, nonce: impl Fn() -> [u8; 16]) -> Result<Head, &'static str> {
    let host = host(parts)?;
    let target = parts.uri.path_and_query().map(|target| target.as_str().as_bytes()).unwrap_or_default();
    let websocket = parts.extensions.get::<Protocol>().is_some_and(|name| name.as_str() == "websocket");
    if parts.method == Method::CONNECT && !websocket {
        return Err("asks for a tunnel, which this proxy does not make");
    }
    if !matches!(parts.uri.scheme_str(), Some("http" | "https")) {
        return Err("is of a scheme other than http and https");
    }
    let whole = target.first() == Some(&b'/') || (target == b"*" && parts.method == Method::OPTIONS);
    if !whole || !target.iter().all(|&b| is_target(b)) {
        return Err("has a malformed target");
    }
    let mut out = Vec::with_capacity(512);
    let method = if websocket { "GET" } else { parts.method.as_str() };
    for piece in [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(piece);
    }
    line(&mut out, b"host", host);
    for (name, value) in &parts.headers {
        // A tunnel has no length, and its key is not the client's (RFC 8441, 5).
        let of_tunnel = websocket && (name == SEC_WEBSOCKET_KEY || name == CONTENT_LENGTH);
        if name != HOST && name != COOKIE && !of_tunnel {
            line(&mut out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    cookies(&mut out, &parts.headers);
    let upgrade = websocket.then(|| {
        let (upgrade, key) = Upgrade::new(nonce());
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
        line(&mut out, b"sec-websocket-key", key.as_bytes());
        upgrade
    });
    let chunked = !websocket && !body.is_end_stream() && !parts.headers.contains_key(CONTENT_LENGTH);
    if chunked {
        line(&mut out, b"transfer-encoding", b"chunked");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Head { bytes: out, chunked, bodiless: parts.method == Method::HEAD, upgrade })
}

/// Whom it is for. A client may say so twice, but not differently (RFC 9113, 8.3.1).
fn host(parts: &Parts) -> Result<&[u8], &'static str> {
    let mut fields = parts.headers.get_all(HOST).iter();
    let field = fields.next().map(|value| value.as_bytes());
    if fields.next().is_some() {
        return Err("names two hosts");
    }
    match (parts.uri.authority().map(|authority| authority.as_str().as_bytes()), field) {
        (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
            Err("names one host in its target and another in its Host field")
        }
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err("names no host"),
    }
}

/// Cookies may come in pieces, which HTTP/1.1 does not know (RFC 9113, 8.2.3).
fn cookies(out: &mut Vec<u8>, headers: &HeaderMap) {
    let pieces: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(|value| value.as_bytes()).collect();
    if !pieces.is_empty() {
        line(out, b"cookie", &pieces.join(&b"; "[..]));
    }
}
