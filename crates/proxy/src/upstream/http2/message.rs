//! Heads between HTTP/1.1 and HTTP/2, on the side of the instances.

use h2::RecvStream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::http::body::Framing;
use crate::http::field::{Known, line};
use crate::http::grpc;
use crate::http::request::Request;
use crate::http2::append;
use crate::serve::refuse::reason;

/// A request, taken apart.
#[derive(Debug)]
pub struct Message {
    /// What HTTP/2 says.
    pub request: http::Request<()>,
    /// How the body is delimited that follows in HTTP/1.1.
    pub framing: Framing,
    /// How long the head is that it was made of.
    pub head: usize,
}

/// Takes a head apart that this proxy wrote, and which is the beginning of `sent`, to be sent by TLS if it is `secure`; or says why HTTP/2 cannot say it, as a fragment that
/// completes "the request ...".
pub fn request(sent: &[u8], secure: bool) -> Result<Message, &'static str> {
    let end = memchr::memmem::find(sent, b"\r\n\r\n").map_or(sent.len(), |at| at + 4);
    let (head, mut parsed) = (&sent[..end], Request::default());
    parsed.parse(head).map_err(|refused| refused.why)?;
    let host = parsed.host.map(|host| host.of(head)).unwrap_or_default();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::try_from(host).map_err(|_| "names a host that HTTP/2 cannot say")?);
    let target = PathAndQuery::try_from(parsed.target.of(head)).map_err(|_| "has a target that HTTP/2 cannot say")?;
    parts.path_and_query = Some(target);
    let mut request = http::Request::new(());
    *request.method_mut() =
        Method::from_bytes(parsed.method.of(head)).map_err(|_| "has a method that HTTP/2 cannot say")?;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| "has a target that HTTP/2 cannot say")?;
    *request.version_mut() = http::Version::HTTP_2;
    let fields = request.headers_mut();
    fields.reserve(parsed.fields.len());
    for field in &parsed.fields {
        if !matches!(field.known, Known::Host | Known::Te) && !field.known.is_of_connection() {
            append(fields, field.name.of(head), field.value.of(head));
        }
    }
    if parsed.trailers || is_call(fields) {
        fields.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(Message { request, framing: parsed.framing, head: end })
}

/// Writes the head of an answer as HTTP/1.1 has it, into `out`; whether its body follows in chunks.
///
/// Who says how much will come may still have trailers, for which HTTP/1.1 then has no place. A call of gRPC needs them more than its length.
pub fn response(out: &mut Vec<u8>, response: &http::Response<RecvStream>, bodiless: bool) -> bool {
    let (status, fields) = (response.status().as_u16(), response.headers());
    let length = fields.contains_key(CONTENT_LENGTH);
    let none = bodiless || matches!(status, 204 | 304);
    let ended = response.body().is_end_stream();
    let chunked = !none && !ended && (!length || is_call(fields));
    head(out, status, fields, chunked);
    if chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    } else if ended && !length && !none {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
    chunked
}

/// Writes a head that comes before that of the answer.
pub fn informational(out: &mut Vec<u8>, response: &http::Response<()>) {
    head(out, response.status().as_u16(), response.headers(), false);
    out.extend_from_slice(b"\r\n");
}

fn head(out: &mut Vec<u8>, status: u16, fields: &HeaderMap, chunked: bool) {
    out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(status)).as_bytes());
    for (name, value) in fields {
        let known = Known::of(name.as_str().as_bytes());
        let length_of_chunks = chunked && name == CONTENT_LENGTH;
        if !known.is_of_connection() && !length_of_chunks {
            line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

fn is_call(fields: &HeaderMap) -> bool {
    fields.get(CONTENT_TYPE).is_some_and(|kind| grpc::is_call(kind.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart() {
        let sent = b"POST /a/B?c=%2f HTTP/1.1\r\nHost: shop.example:80\r\nX-Odd: v\r\nX-Odd: w\r\nTransfer-Encoding: chunked\r\n\
                     Connection: TE\r\nTE: trailers\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n5\r\nhello\r\n";
        let message = request(sent, false).unwrap();
        assert_eq!((message.framing, &sent[message.head..]), (Framing::Chunked, &b"5\r\nhello\r\n"[..]));
        let request = message.request;
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://shop.example:80/a/B?c=%2f")
        );
        let fields: Vec<String> =
            request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(fields, ["x-odd: v", "x-odd: w", "x-forwarded-for: 10.0.0.1", "te: trailers"]);
    }

    #[test]
    fn what_http2_cannot_say_is_told() {
        for sent in [&b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"[..], b"GET / HTTP/1.1\r\nHost: \r\n\r\n"] {
            assert!(request(sent, false).is_err(), "{}", String::from_utf8_lossy(sent));
        }
        let options = request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true).unwrap();
        assert_eq!((options.request.uri().path(), options.request.uri().scheme_str()), ("*", Some("https")));
    }
}
