//! Compressing answers on their way to the client.
//!
//! Only text, only what the instance left plain, only for clients that take it; in chunks, because the length is not known before.
//! Whatever has come is sent on at once, so that a slow answer is as slow as before and no slower. Event streams are left alone.

mod encoder;

use cutover_core::rules::{Coding, Compress};

use super::edit;
use crate::http::body::Framing;
use crate::http::field::members;
use crate::http::request::Request;
use crate::http::response::Response;

pub use encoder::Encoder;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// It goes as it came, to everybody.
    Plain,
    /// It goes as it came to this client; another might get it compressed.
    Varies,
    /// It is compressed.
    Coded(Coding),
}

/// The coding that this client takes.
pub fn accepted(rule: &Compress, head: &[u8], request: &Request) -> Option<Coding> {
    let fields = request.fields.iter().filter(|field| field.name.of(head).eq_ignore_ascii_case(b"accept-encoding"));
    let taken: Vec<&[u8]> = fields.flat_map(|field| members(field.value.of(head))).filter_map(taken).collect();
    let takes = |coding: &&Coding| taken.iter().any(|name| name.eq_ignore_ascii_case(coding.name().as_bytes()));
    // The chunks that it needs are not for HTTP/1.0, and an answer to HEAD has nothing to compress.
    rule.codings.iter().find(takes).copied().filter(|_| !request.old && request.method.of(head) != b"HEAD")
}

/// The name of a coding, unless its weight is zero.
pub fn taken(member: &[u8]) -> Option<&[u8]> {
    let mut parts = member.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?;
    let zero = |part: &[u8]| matches!(part, [b'q' | b'Q', b'=', b'0', rest @ ..] if rest.iter().all(|b| matches!(b, b'.' | b'0')));
    (!parts.any(zero)).then_some(name)
}

/// What becomes of an answer for a client that takes this coding.
pub fn shape(rule: &Compress, coding: Option<Coding>, response: &Response, head: &[u8]) -> Shape {
    let value = |name: &[u8]| {
        let mut fields = response.fields.iter().filter(|field| field.name.of(head).eq_ignore_ascii_case(name));
        fields.next().map(|field| field.value.of(head))
    };
    let whole = matches!(response.status, 200..=203 | 205 | 207..=299 | 400..=599);
    let touched = [&b"content-encoding"[..], b"content-range", b"content-digest", b"repr-digest", b"digest"];
    let bound =
        value(b"cache-control").is_some_and(|value| members(value).any(|m| m.eq_ignore_ascii_case(b"no-transform")));
    let text = value(b"content-type").is_some_and(is_text) && !response.events;
    if !whole || !text || bound || touched.iter().any(|name| value(name).is_some()) {
        return Shape::Plain;
    }
    match (coding, response.framing) {
        (_, Framing::Empty) => Shape::Varies,
        (_, Framing::Length(length)) if length < rule.min_size.0 => Shape::Varies,
        (Some(coding), _) => Shape::Coded(coding),
        (None, _) => Shape::Varies,
    }
}

/// Whether a content type gains by it.
fn is_text(kind: &[u8]) -> bool {
    const OTHERS: &[&str] = &[
        "application/json",
        "application/javascript",
        "application/x-javascript",
        "application/xml",
        "application/x-ndjson",
        "application/wasm",
        "image/x-icon",
        "font/ttf",
        "font/otf",
    ];
    let kind = kind.split(|&b| b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind.starts_with(b"text/")
        || [&b"+json"[..], b"+xml"].iter().any(|suffix| kind.ends_with(suffix))
        || OTHERS.iter().any(|other| other.as_bytes() == kind)
}

/// Says it in the head, which is all of `head`.
pub fn announce(head: &mut Vec<u8>, shape: Shape) {
    if shape == Shape::Plain {
        return;
    }
    let varies = edit::value(head, b"vary").unwrap_or_default();
    if !members(varies).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")) {
        edit::append(head, b"Vary: Accept-Encoding\r\n");
    }
    let Shape::Coded(coding) = shape else { return };
    // What is sent is no longer byte for byte what the tag stands for (RFC 9110, 8.8.1), and has no ranges.
    let tag = edit::value(head, b"etag").map(<[u8]>::to_vec);
    edit::without(head, |name| name.eq_ignore_ascii_case(b"etag") || name.eq_ignore_ascii_case(b"accept-ranges"));
    if let Some(tag) = tag {
        let weak: &[u8] = if tag.starts_with(b"W/") { b"" } else { b"W/" };
        edit::append(head, &[b"ETag: ", weak, &tag, b"\r\n"].concat());
    }
    edit::append(head, format!("Content-Encoding: {}\r\n", coding.name()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_gains_by_it() {
        for kind in
            ["text/html; charset=utf-8", "TEXT/css", "application/json", "image/svg+xml", "application/problem+json"]
        {
            assert!(is_text(kind.as_bytes()), "{kind}");
        }
        for kind in ["image/png", "application/octet-stream", "", "application/grpc", "video/mp4", "application/zip"] {
            assert!(!is_text(kind.as_bytes()), "{kind}");
        }
    }
}
