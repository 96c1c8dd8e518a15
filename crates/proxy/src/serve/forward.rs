//! Writing heads on: what a proxy must leave out, what it must add, and everything else as it came.
//!
//! Left out are the fields that concern one connection only (RFC 9110, 7.6.1), those that `Connection` names, and the
//! proxy's own. `Via` is not added, nor is anything done to `Date` or `Server`: the instance has the word.

use std::io::Write;
use std::net::IpAddr;

use super::pin;
use crate::http::body::Framing;
use crate::http::field::{Known, line, members};
use crate::http::head::Field;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::live::target::LiveTarget;

/// Writes the head that the instance gets. `service` stands in for the host that an old client did not name.
pub fn request(
    out: &mut Vec<u8>,
    head: &[u8],
    request: &Request,
    peer: Option<IpAddr>,
    trusted: bool,
    secure: bool,
    service: &str,
) {
    out.extend_from_slice(request.method.of(head));
    out.push(b' ');
    out.extend_from_slice(request.target.of(head));
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for field in &request.fields {
        let pass = match field.known {
            Known::Other => !(request.connection_names && named(&request.fields, head, field)),
            Known::Cookie if request.connection_names && named(&request.fields, head, field) => false,
            Known::Cookie => !pin::without_ours(out, field.name.of(head), field.value.of(head)),
            Known::Host | Known::ContentType | Known::ContentLength => true,
            Known::ForwardedProto | Known::ForwardedHost | Known::ForwardedPrefix => trusted,
            Known::RealIp | Known::Forwarded => trusted,
            _ => false,
        };
        if pass {
            line(out, field.name.of(head), field.value.of(head));
        }
    }
    if request.host.is_none() {
        line(out, b"Host", service.as_bytes());
    }
    if request.framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    connection(out, head, request);
    forwarded(out, head, request, peer, trusted, secure);
    out.extend_from_slice(b"\r\n");
}

fn connection(out: &mut Vec<u8>, head: &[u8], request: &Request) {
    if let Some(protocol) = request.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        line(out, b"Upgrade", protocol.of(head));
    } else if request.trailers {
        out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }
}

/// Who asked. A trusted peer's word is kept and extended, anybody else's was left out above.
fn forwarded(out: &mut Vec<u8>, head: &[u8], request: &Request, peer: Option<IpAddr>, trusted: bool, secure: bool) {
    let has = |known| trusted && request.fields.iter().any(|field| field.known == known);
    match peer {
        Some(peer) => {
            out.extend_from_slice(b"X-Forwarded-For: ");
            for field in request.fields.iter().filter(|field| trusted && field.known == Known::ForwardedFor) {
                out.extend_from_slice(field.value.of(head));
                out.extend_from_slice(b", ");
            }
            address(out, peer);
            if !has(Known::RealIp) {
                out.extend_from_slice(b"\r\nX-Real-IP: ");
                address(out, peer);
            }
            out.extend_from_slice(b"\r\n");
        }
        // Who came by a unix socket has no address that could be added. A word in its place, such as nginx writes, would be read as one by
        // applications that take the last member: what is not known is not said.
        None => {
            let mut before: &[u8] = b"X-Forwarded-For: ";
            for field in request.fields.iter().filter(|field| trusted && field.known == Known::ForwardedFor) {
                out.extend_from_slice(before);
                out.extend_from_slice(field.value.of(head));
                before = b", ";
            }
            if before == b", " {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    if !has(Known::ForwardedProto) {
        line(out, b"X-Forwarded-Proto", if secure { b"https" } else { b"http" });
    }
    if let Some(host) = request.host.filter(|_| !has(Known::ForwardedHost)) {
        line(out, b"X-Forwarded-Host", host.of(head));
    }
}

/// How an answer's body is delimited for the client, and what the head says about the connection.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// In chunks.
    pub chunks: bool,
    /// Whether the connection stays open.
    pub keep: bool,
    /// Whether the client speaks HTTP/1.0.
    pub old: bool,
    /// The instance to be named.
    pub names: Option<&'a LiveTarget>,
    /// A cookie of the proxy's own, for a client that is bound to a release from here on.
    pub cookie: Option<&'a str>,
    /// What a browser is to remember of TLS, unless the instance says it.
    pub hsts: Option<&'a str>,
    /// Another one, for a client that stays with its instance from here on.
    pub sticky: Option<&'a str>,
    /// The id of the request, if it has one.
    pub id: &'a [u8],
}

/// Writes the head that the client gets.
pub fn response(out: &mut Vec<u8>, head: &[u8], response: &Response, manner: Manner<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(response.line.of(head));
    out.extend_from_slice(b"\r\n");
    let mut length = !manner.chunks && response.status >= 200 && response.status != 204;
    length &= response.framing != Framing::UntilClose && response.framing != Framing::Chunked;
    for field in &response.fields {
        let pass = match field.known {
            Known::Other | Known::Cookie => !(response.connection_names && named(&response.fields, head, field)),
            Known::ContentLength => std::mem::take(&mut length),
            Known::Connection | Known::TransferEncoding | Known::Upgrade | Known::Hop => false,
            Known::Instance | Known::Token | Known::Ours => false,
            _ => true,
        };
        if pass {
            line(out, field.name.of(head), field.value.of(head));
        }
    }
    for cookie in manner.cookie.into_iter().chain(manner.sticky) {
        line(out, b"Set-Cookie", cookie.as_bytes());
    }
    if let Some(hsts) = manner.hsts.filter(|_| !has(&response.fields, head, HSTS)) {
        line(out, HSTS, hsts.as_bytes());
    }
    if !manner.id.is_empty() && !has(&response.fields, head, b"x-request-id") {
        line(out, b"X-Request-ID", manner.id);
    }
    if manner.chunks {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if let (101, Some(protocol)) = (response.status, response.upgrade) {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        line(out, b"Upgrade", protocol.of(head));
    } else if response.status >= 200 {
        match (manner.keep, manner.old) {
            (true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, false) => {}
            (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        }
    }
    if let Some(target) = manner.names {
        let (instance, release) = (&target.instance, target.instance.release);
        let _ = write!(out, "cutover-instance: {instance}\r\ncutover-release: {release}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The field by which browsers learn that there is nothing here without TLS (RFC 6797, 6.1).
const HSTS: &[u8] = b"Strict-Transport-Security";

fn has(fields: &[Field], head: &[u8], name: &[u8]) -> bool {
    fields.iter().any(|field| field.name.of(head).eq_ignore_ascii_case(name))
}

/// Whether a `Connection` field names this field.
fn named(fields: &[Field], head: &[u8], field: &Field) -> bool {
    let name = field.name.of(head);
    let lists = fields.iter().filter(|field| field.known == Known::Connection);
    lists.flat_map(|list| members(list.value.of(head))).any(|option| option.eq_ignore_ascii_case(name))
}

fn address(out: &mut Vec<u8>, peer: IpAddr) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{peer}");
}
