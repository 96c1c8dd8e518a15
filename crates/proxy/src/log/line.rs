//! One line of an access log.
//!
//! Whatever a client sends is escaped, so that it can neither begin a line nor end a field: in text as nginx does it (`\x0A` for bytes that
//! are not printable ASCII, and for `"` and `\`), in JSON with `\u000a` for all that is not printable ASCII.

use std::io::Write;
use std::net::IpAddr;

use cutover_core::listen::UNIX;
use cutover_core::trail::{Field, Format, Piece};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::http::request::Request;
use crate::live::target::LiveTarget;
use crate::serve::record::Record;

/// What is told of a request.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The bytes of its head.
    pub head: &'a [u8],
    /// The head as it was read.
    pub request: &'a Request,
    /// How it fared.
    pub record: &'a Record,
    /// The client; none if it came by a unix socket and nobody says more.
    pub client: Option<IpAddr>,
    /// The service.
    pub service: &'a str,
    /// Who was asked last, and since when, in microseconds.
    pub chosen: Option<(&'a LiveTarget, u64)>,
    /// From its head to its end, in microseconds.
    pub duration_us: u64,
    /// Its id.
    pub id: &'a [u8],
    /// Its `traceparent`.
    pub trace: &'a [u8],
    /// Whether queries are written.
    pub query: bool,
    /// Whether it came by HTTP/2.
    pub http2: bool,
}

impl<'a> Told<'a> {
    /// The value of the first field with this name.
    pub fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut fields = self.request.fields.iter();
        let found = fields.find(|field| field.name.of(self.head).eq_ignore_ascii_case(name))?;
        Some(found.value.of(self.head))
    }

    fn protocol(&self) -> &'static str {
        match (self.http2, self.request.old) {
            (true, _) => "HTTP/2.0",
            (false, true) => "HTTP/1.0",
            (false, false) => "HTTP/1.1",
        }
    }

    /// Without its query, if queries are not written.
    fn shown(&self, target: &'a [u8]) -> &'a [u8] {
        match memchr::memchr(b'?', target).filter(|_| !self.query) {
            Some(at) => &target[..at],
            None => target,
        }
    }
}

/// The time as it is written, worked out once a second.
#[derive(Debug, Default)]
pub struct Clock {
    second: i64,
    millis: i64,
    local: String,
    utc: String,
}

/// A way to write what a client may have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    Text,
    Json,
}

/// Writes a line, without its end.
pub fn write(out: &mut Vec<u8>, format: &Format, told: &Told<'_>, clock: &mut Clock) {
    clock.now();
    let mut line = Line { out, told, clock };
    match format {
        Format::Combined => line.combined(),
        Format::Json => line.json(),
        Format::Custom(pieces) => line.custom(pieces),
    }
}

impl Clock {
    fn now(&mut self) {
        let now = Timestamp::now();
        self.millis = now.as_millisecond();
        if now.as_second() != self.second {
            self.second = now.as_second();
            self.local = Zoned::new(now, TimeZone::system()).strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
            self.utc = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
    }
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    told: &'a Told<'a>,
    clock: &'a Clock,
}

impl Line<'_> {
    fn combined(&mut self) {
        use Field::{BodyBytes, Referer, RemoteAddr, Request, Status, TimeLocal, UserAgent};
        self.field(RemoteAddr, Escape::Text);
        for (before, field) in [
            (" - - [", TimeLocal),
            ("] \"", Request),
            ("\" ", Status),
            (" ", BodyBytes),
            (" \"", Referer),
            ("\" \"", UserAgent),
        ] {
            self.out.extend_from_slice(before.as_bytes());
            self.field(field, Escape::Text);
        }
        self.out.push(b'"');
    }

    fn custom(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.out.extend_from_slice(text.as_bytes()),
                Piece::Value(field) => self.field(*field, Escape::Text),
                Piece::Header(name) => {
                    let value = self.told.header(name.as_bytes());
                    self.or_dash(value, Escape::Text);
                }
            }
        }
    }

    /// Numbers stand as numbers; what there is not is left out.
    fn json(&mut self) {
        self.out.push(b'{');
        for field in Field::ALL.iter().filter(|field| !matches!(field, Field::RemoteUser | Field::TimeLocal)) {
            let start = self.out.len();
            if start > 0 && self.out.last() != Some(&b'{') {
                self.out.push(b',');
            }
            let _ = write!(self.out, "\"{}\":", field.name());
            let quoted = !field.is_number();
            if quoted {
                self.out.push(b'"');
            }
            let value = self.out.len();
            self.field(*field, Escape::Json);
            if self.out[value..] == *b"-" {
                self.out.truncate(start);
            } else if quoted {
                self.out.push(b'"');
            }
        }
        self.out.push(b'}');
    }

    fn field(&mut self, field: Field, escape: Escape) {
        let Told { head, request, record, .. } = *self.told;
        match field {
            Field::RemoteAddr => match self.told.client {
                Some(client) => self.plain(client),
                // As nginx writes it.
                None => self.plain(UNIX),
            },
            Field::RemoteUser => self.out.push(b'-'),
            Field::TimeLocal => self.out.extend_from_slice(self.clock.local.as_bytes()),
            Field::TimeIso => {
                let (utc, millis) = (&self.clock.utc, self.clock.millis.rem_euclid(1000));
                let _ = write!(self.out, "{utc}.{millis:03}Z");
            }
            Field::Msec => self.seconds(u64::try_from(self.clock.millis).unwrap_or(0), 1000),
            Field::Request => {
                self.bytes(request.method.of(head), escape);
                self.out.push(b' ');
                self.bytes(self.told.shown(request.target.of(head)), escape);
                self.out.push(b' ');
                self.plain(self.told.protocol());
            }
            Field::Method => self.bytes(request.method.of(head), escape),
            Field::Uri => self.bytes(self.told.shown(request.target.of(head)), escape),
            Field::Protocol => self.plain(self.told.protocol()),
            Field::Host => self.or_dash(request.host.map(|host| host.of(head)), escape),
            Field::Status => self.plain(if record.status.get() == 0 { 499 } else { record.status.get() }),
            Field::BodyBytes => self.plain(record.sent.get().saturating_sub(record.head.get())),
            Field::Bytes => self.plain(record.sent.get()),
            Field::Received => self.plain(record.received.get()),
            Field::Duration => self.seconds(self.told.duration_us, 1_000_000),
            Field::Service => self.plain(self.told.service),
            Field::Instance => self.of_chosen(|line, (target, _)| line.plain(&target.instance)),
            Field::Release => self.of_chosen(|line, (target, _)| line.plain(target.instance.release)),
            Field::UpstreamAddr => self.of_chosen(|line, (target, _)| match &target.socket {
                Some(path) => line.plain(format_args!("unix:{}", path.display())),
                None => line.plain(target.address),
            }),
            Field::UpstreamTime => self.of_chosen(|line, (_, since)| match line.told.record.answered_us.get() {
                0 => line.out.push(b'-'),
                at => line.seconds(at.saturating_sub(since), 1_000_000),
            }),
            Field::Retries => self.plain(record.retries.get()),
            Field::RequestId => self.or_dash(Some(self.told.id), escape),
            Field::TraceId => self.or_dash(self.told.trace.get(3..35), escape),
            Field::Failure => self.or_dash(record.reason.get().map(str::as_bytes), escape),
            Field::GrpcStatus => match record.outcome.get() {
                Some(outcome) => self.plain(outcome),
                None => self.out.push(b'-'),
            },
            Field::Referer => {
                let referer = self.told.header(b"referer").map(|referer| self.told.shown(referer));
                self.or_dash(referer, escape);
            }
            Field::UserAgent => self.or_dash(self.told.header(b"user-agent"), escape),
        }
    }

    fn of_chosen(&mut self, write: impl FnOnce(&mut Self, (&LiveTarget, u64))) {
        match self.told.chosen {
            Some(chosen) => write(self, chosen),
            None => self.out.push(b'-'),
        }
    }

    /// To the millisecond.
    fn seconds(&mut self, time: u64, in_a_second: u64) {
        let millis = time / (in_a_second / 1000);
        let _ = write!(self.out, "{}.{:03}", millis / 1000, millis % 1000);
    }

    /// What cannot hold anything of a client's.
    fn plain(&mut self, value: impl std::fmt::Display) {
        // Writing to memory cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn or_dash(&mut self, value: Option<&[u8]>, escape: Escape) {
        match value {
            Some(value) if !value.is_empty() => self.bytes(value, escape),
            _ => self.out.push(b'-'),
        }
    }

    fn bytes(&mut self, bytes: &[u8], escape: Escape) {
        let is_plain = |b: &u8| (b' '..=b'~').contains(b) && *b != b'"' && *b != b'\\';
        if bytes.iter().all(is_plain) {
            return self.out.extend_from_slice(bytes);
        }
        match escape {
            Escape::Text => {
                for byte in bytes {
                    if is_plain(byte) { self.out.push(*byte) } else { drop(write!(self.out, "\\x{byte:02X}")) }
                }
            }
            // What is not UTF-8 cannot stand in JSON at all: it becomes the replacement character.
            Escape::Json => {
                for unit in String::from_utf8_lossy(bytes).encode_utf16() {
                    match u8::try_from(unit) {
                        Ok(byte) if is_plain(&byte) => self.out.push(byte),
                        _ => drop(write!(self.out, "\\u{unit:04x}")),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /a?token=1 HTTP/1.1\r\nHost: shop\r\nUser-Agent: a \"b\\ \xc3\xa9\xff\t\r\n\
        Referer: http://shop/b?token=2\r\nX-Tenant: t1\r\n\r\n";

    fn line(format: &str, query: bool, head: &[u8]) -> String {
        let mut request = Request::default();
        request.parse(head).unwrap();
        let record = Record::default();
        record.begin(head.len());
        record.status.set(200);
        record.wrote(120);
        record.head.set(100);
        record.answered_us.set(3500);
        let target = LiveTarget::new("web.r3.i2".parse().unwrap(), "10.0.0.7:80".parse().unwrap());
        let told = Told {
            head,
            request: &request,
            record: &record,
            client: "192.0.2.1".parse().ok(),
            service: "web",
            chosen: Some((&target, 1000)),
            duration_us: 1_234_567,
            id: b"abc",
            trace: b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            query,
            http2: false,
        };
        let (mut out, mut clock) = (Vec::new(), Clock::default());
        write(&mut out, &Format::parse(format).unwrap(), &told, &mut clock);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn combined_is_as_nginx_writes_it() {
        let line = line("combined", true, HEAD);
        let (before, rest) = line.split_once('[').unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        assert_eq!(before, "192.0.2.1 - - ");
        let agent = r"a \x22b\x5C \xC3\xA9\xFF";
        assert_eq!(after, format!(" \"GET /a?token=1 HTTP/1.1\" 200 20 \"http://shop/b?token=2\" \"{agent}\""));
    }

    /// Seen to fail with the text escape in JSON, and without the escape of `"`.
    #[test]
    fn json_is_json_whatever_is_sent() {
        let value: serde_json::Value = serde_json::from_str(&line("json", true, HEAD)).unwrap();
        assert_eq!(value["http_user_agent"], "a \"b\\ é\u{fffd}");
        let expected = [
            ("status", 200.into()),
            ("release", 3.into()),
            ("request_time", 1.234.into()),
            ("upstream_response_time", 0.002.into()),
        ];
        expected
            .into_iter()
            .for_each(|(key, wanted): (&str, serde_json::Value)| assert_eq!(value[key], wanted, "{key}"));
        let expected = [("instance", "web.r3.i2"), ("host", "shop"), ("request_id", "abc")];
        expected.into_iter().for_each(|(key, wanted)| assert_eq!(value[key], wanted, "{key}"));
        assert_eq!(value["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(value.get("failure"), None, "what there is not is left out");
    }

    /// Seen to fail with the query of the referring page left in.
    #[test]
    fn secrets_in_queries_can_be_left_out_everywhere() {
        for format in ["combined", "json", "$request $request_uri $http_referer"] {
            assert!(!line(format, false, HEAD).contains("token"), "{}", line(format, false, HEAD));
        }
    }

    #[test]
    fn a_template_is_filled_in() {
        let line = line("$status|$http_x_tenant|$retries|$http_cookie|$bytes_sent $$|$release", true, HEAD);
        assert_eq!(line, "200|t1|0|-|120 $|3");
    }
}
