//! How a line of an access log is written: in one of two well-known ways, or by a template with nginx's names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way to write a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Format {
    /// nginx's and Apache's "combined".
    Combined,
    /// An object of JSON with every field.
    Json,
    /// A template of one's own.
    Custom(Vec<Piece>),
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It stands as it is.
    Text(String),
    /// A value.
    Value(Field),
    /// A field of the request's head, by its name in lower case.
    Header(String),
}

/// What a template is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFormat {
    /// There is no such value.
    #[error("there is no value ${0}")]
    Unknown(String),
    /// A `$` without a name.
    #[error("a $ stands without a name; write $$ for the sign itself")]
    Nameless,
    /// It would break lines.
    #[error("it contains a control character")]
    Control,
    /// It has nothing in it that changes from line to line.
    #[error("it is neither \"combined\" nor \"json\", and names no value")]
    Constant,
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+) => {
        /// A value of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Field { $($(#[doc = $doc])+ $field,)+ }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$field,)+];

            /// Its name, without the `$`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)+ }
            }
        }
    };
}

fields! {
    /// The client's address: that of the connection, or what a trusted peer says of it.
    RemoteAddr = "remote_addr",
    /// Always `-`: a proxy does not know who is logged in.
    RemoteUser = "remote_user",
    /// When the answer ended, as nginx writes it, in the zone of the host.
    TimeLocal = "time_local",
    /// The same as ISO 8601, in UTC, to the millisecond.
    TimeIso = "time_iso8601",
    /// The same as seconds since 1970, to the millisecond.
    Msec = "msec",
    /// The request line.
    Request = "request",
    /// The method.
    Method = "request_method",
    /// Path and query.
    Uri = "request_uri",
    /// The version of HTTP.
    Protocol = "server_protocol",
    /// The host that the request names.
    Host = "host",
    /// The status; 499 if the client left before there was one.
    Status = "status",
    /// Bytes sent to the client without the head.
    BodyBytes = "body_bytes_sent",
    /// Bytes sent to the client.
    Bytes = "bytes_sent",
    /// Bytes of the request, as far as they were read.
    Received = "request_length",
    /// Seconds from the whole head to the end of the answer.
    Duration = "request_time",
    /// The service.
    Service = "service",
    /// The instance that answered.
    Instance = "instance",
    /// Its release.
    Release = "release",
    /// Its address.
    UpstreamAddr = "upstream_addr",
    /// Seconds from when it was chosen to the head of its answer.
    UpstreamTime = "upstream_response_time",
    /// How often the request was sent on once more, or tried elsewhere.
    Retries = "retries",
    /// The `X-Request-ID`.
    RequestId = "request_id",
    /// The trace that the request belongs to: the second part of its `traceparent`.
    TraceId = "trace_id",
    /// Why the proxy itself answered: its `cutover-error`.
    Failure = "failure",
    /// How a call of gRPC ended, as a number: what its instance said, or the proxy in its place.
    GrpcStatus = "grpc_status",
    /// The page that led here.
    Referer = "http_referer",
    /// The program that asks.
    UserAgent = "http_user_agent",
}

impl Field {
    /// Whether it is a number: in JSON it stands without quotes.
    pub fn is_number(self) -> bool {
        use Field::{BodyBytes, Bytes, Duration, GrpcStatus, Msec, Received, Release, Retries, Status, UpstreamTime};
        let counted = matches!(self, BodyBytes | Bytes | Received | Retries | Release | Status | GrpcStatus);
        counted || matches!(self, Msec | Duration | UpstreamTime)
    }
}

impl Format {
    /// Reads a format as it is written in a configuration.
    pub fn parse(text: &str) -> Result<Self, BadFormat> {
        match text {
            "combined" => return Ok(Self::Combined),
            "json" => return Ok(Self::Json),
            _ => {}
        }
        if text.contains(char::is_control) {
            return Err(BadFormat::Control);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            push_text(&mut pieces, &rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                push_text(&mut pieces, "$");
                rest = after;
                continue;
            }
            let (name, after) = name(rest)?;
            pieces.push(piece(name)?);
            rest = after;
        }
        push_text(&mut pieces, rest);
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(_));
        if pieces.iter().all(is_text) { Err(BadFormat::Constant) } else { Ok(Self::Custom(pieces)) }
    }
}

/// The name that a text begins with, bare or in braces, and what comes after it.
fn name(text: &str) -> Result<(&str, &str), BadFormat> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, after) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}').ok_or(BadFormat::Nameless)?,
        None => text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len())),
    };
    if name.is_empty() { Err(BadFormat::Nameless) } else { Ok((name, after)) }
}

fn piece(name: &str) -> Result<Piece, BadFormat> {
    if let Some(field) = Field::ALL.iter().find(|field| field.name() == name) {
        return Ok(Piece::Value(*field));
    }
    match name.strip_prefix("http_") {
        Some(header) if !header.is_empty() => Ok(Piece::Header(header.to_ascii_lowercase().replace('_', "-"))),
        _ => Err(BadFormat::Unknown(name.to_owned())),
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => before.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces = match self {
            Self::Combined => return f.write_str("combined"),
            Self::Json => return f.write_str("json"),
            Self::Custom(pieces) => pieces,
        };
        pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('$', "$$")),
            Piece::Value(field) => write!(f, "${{{}}}", field.name()),
            Piece::Header(name) => write!(f, "${{http_{}}}", name.replace('-', "_")),
        })
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.to_string()
    }
}

impl TryFrom<String> for Format {
    type Error = BadFormat;

    fn try_from(text: String) -> Result<Self, BadFormat> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn templates_are_read_with_nginx_s_names() {
        let custom = |pieces: &[Piece]| Ok(Format::Custom(pieces.to_vec()));
        let text = |text: &str| Piece::Text(text.to_owned());
        let cases = [
            ("combined", Ok(Format::Combined)),
            ("json", Ok(Format::Json)),
            ("$status", custom(&[Piece::Value(Field::Status)])),
            ("[$status]x", custom(&[text("["), Piece::Value(Field::Status), text("]x")])),
            ("${status}ms", custom(&[Piece::Value(Field::Status), text("ms")])),
            ("$$5 $http_x_tenant", custom(&[text("$5 "), Piece::Header("x-tenant".to_owned())])),
            ("$http_referer", custom(&[Piece::Value(Field::Referer)])),
            ("$stauts", Err(BadFormat::Unknown("stauts".to_owned()))),
            ("$http_", Err(BadFormat::Unknown("http_".to_owned()))),
            ("a $ b", Err(BadFormat::Nameless)),
            ("${status", Err(BadFormat::Nameless)),
            ("a\nb $status", Err(BadFormat::Control)),
            ("combind", Err(BadFormat::Constant)),
            ("", Err(BadFormat::Constant)),
        ];
        for (written, read) in cases {
            assert_eq!(Format::parse(written), read, "{written:?}");
        }
    }

    proptest! {
        /// Seen to fail with the sign `$` written as it is.
        #[test]
        fn what_is_stored_reads_the_same(text in "[a$ _{}]{0,8}(\\$status|\\$\\{host\\}|\\$http_a_b)?[a$ {}]{0,4}") {
            if let Ok(format) = Format::parse(&text) {
                prop_assert_eq!(Format::parse(&format.to_string()), Ok(format));
            }
        }
    }
}
