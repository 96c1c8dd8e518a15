//! The head of an instance's answer.
//!
//! Read as strictly as a request, with two exceptions that real servers need and that leave one reading: the reason phrase
//! may be missing, and equal lengths may be repeated.

use super::body::Framing;
use super::field::{Known, members};
use super::grpc;
use super::head::{self, BadHead, Field, Span};
use super::request::content_length;

/// An answer's head. Its spans point into the buffer it was parsed from.
#[derive(Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Status code and reason phrase, as they are passed on.
    pub line: Span,
    /// How its body is delimited.
    pub framing: Framing,
    /// Whether the instance keeps the connection open.
    pub keep: bool,
    /// The protocol it switches to.
    pub upgrade: Option<Span>,
    /// Whether it is an event stream.
    pub events: bool,
    /// Whether `Connection` names fields beyond the usual ones.
    pub connection_names: bool,
    /// All fields in their order.
    pub fields: Vec<Field>,
}

impl Response {
    /// Parses a whole head in place of what was here before. `bodiless` says that the request was a `HEAD`.
    pub fn parse(&mut self, head: &[u8], bodiless: bool) -> Result<(), BadHead> {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
        let end = head::line_end(head, 0)?;
        let old = self.line(head, end)?;
        head::fields(head, end + 2, &mut self.fields)?;
        self.meaning(head, old, bodiless)
    }

    /// The status line; whether it is HTTP/1.0.
    fn line(&mut self, head: &[u8], end: usize) -> Result<bool, BadHead> {
        let bad = BadHead("does not begin with a status line");
        let old = match head.get(..9) {
            Some(b"HTTP/1.1 ") => false,
            Some(b"HTTP/1.0 ") => true,
            _ => return Err(bad),
        };
        let digits = head[..end].get(9..12).filter(|code| code.iter().all(u8::is_ascii_digit)).ok_or(bad)?;
        self.status = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        let reason = &head[12..end];
        if self.status < 100 || !(reason.is_empty() || reason[0] == b' ') || !reason.iter().all(|&b| head::is_value(b))
        {
            return Err(bad);
        }
        self.line = Span::new(9, end);
        Ok(old)
    }

    fn meaning(&mut self, head: &[u8], old: bool, bodiless: bool) -> Result<(), BadHead> {
        let (mut length, mut chunked) = (None, false);
        self.keep = !old;
        for index in 0..self.fields.len() {
            let field = self.fields[index];
            let value = field.value.of(head);
            match field.known {
                Known::ContentLength => {
                    let bytes = content_length(value).ok_or(BadHead("has a malformed length"))?;
                    if length.is_some_and(|other| other != bytes) {
                        return Err(BadHead("has two lengths"));
                    }
                    length = Some(bytes);
                }
                Known::TransferEncoding if !chunked && value.eq_ignore_ascii_case(b"chunked") => chunked = true,
                Known::TransferEncoding => return Err(BadHead("has a transfer encoding other than chunked")),
                Known::Connection => self.connection(value),
                Known::Upgrade => self.upgrade = Some(field.value),
                Known::ContentType => {
                    let kind = value.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
                    self.events = kind.eq_ignore_ascii_case(b"text/event-stream");
                }
                _ => {}
            }
        }
        self.framing = match (length, chunked) {
            _ if bodiless || self.status < 200 || matches!(self.status, 204 | 304) => Framing::Empty,
            // Chunks win over a length (RFC 9112, 6.3), and after such an answer the connection is not trusted again.
            (length, true) => {
                self.keep &= length.is_none();
                Framing::Chunked
            }
            (Some(0), false) => Framing::Empty,
            (Some(length), false) => Framing::Length(length),
            (None, false) => Framing::UntilClose,
        };
        self.keep &= self.framing != Framing::UntilClose;
        Ok(())
    }

    /// How a call of gRPC ended, if its head says so: then there are no trailers.
    pub fn outcome(&self, head: &[u8]) -> Option<u32> {
        self.fields.iter().find_map(|field| grpc::outcome(field.line(head)))
    }

    fn connection(&mut self, value: &[u8]) {
        for option in members(value) {
            match option {
                o if o.eq_ignore_ascii_case(b"close") => self.keep = false,
                o if o.eq_ignore_ascii_case(b"keep-alive") => self.keep = true,
                o if matches!(Known::of(o), Known::Other | Known::Cookie) => self.connection_names = true,
                _ => {}
            }
        }
    }
}
