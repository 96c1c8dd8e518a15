//! The head of a request, read strictly (RFC 9112, 3 and 6).

use super::body::Framing;
use super::field::{Known, members};
use super::head::{self, BadHead, Field, Span};

/// A request head. Its spans point into the buffer it was parsed from.
#[derive(Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Span,
    /// Path and query as they are passed on: `/path?query`, or `*`.
    pub target: Span,
    /// The host it is for, with its port, if it names one.
    pub host: Option<Span>,
    /// Whether the client speaks HTTP/1.0.
    pub old: bool,
    /// Whether the client wants to keep the connection.
    pub keep: bool,
    /// How its body is delimited.
    pub framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects: bool,
    /// The protocol the client wants to switch to.
    pub upgrade: Option<Span>,
    /// Whether the client accepts trailers.
    pub trailers: bool,
    /// Whether `Connection` names fields beyond the usual ones, so that each field must be compared with it.
    pub connection_names: bool,
    /// All fields in their order.
    pub fields: Vec<Field>,
}

/// Why a request is refused before it is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The status to answer with.
    pub status: u16,
    /// A fragment that completes "the request head ...".
    pub why: &'static str,
}

impl From<BadHead> for Refused {
    fn from(BadHead(why): BadHead) -> Self {
        Self { status: 400, why }
    }
}

const fn refuse<T>(status: u16, why: &'static str) -> Result<T, Refused> {
    Err(Refused { status, why })
}

impl Request {
    /// Parses a whole head in place of what was here before; the list of fields keeps its memory.
    pub fn parse(&mut self, head: &[u8]) -> Result<(), Refused> {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
        let end = head::line_end(head, 0)?;
        let authority = self.line(head, end)?;
        head::fields(head, end + 2, &mut self.fields)?;
        self.meaning(head)?;
        self.check_host(head, authority)
    }

    /// The request line. Gives the authority if the target is in absolute form.
    fn line(&mut self, head: &[u8], end: usize) -> Result<Option<Span>, Refused> {
        let line = &head[..end];
        let Some(space) = line.iter().position(|&b| !head::is_token(b)).filter(|&at| at > 0 && line[at] == b' ') else {
            return refuse(400, "does not begin with a method");
        };
        let rest = space + 1;
        let Some(length) = memchr::memchr(b' ', &line[rest..]) else {
            return refuse(400, "has no version");
        };
        let target = Span::new(rest, rest + length);
        self.method = Span::new(0, space);
        self.old = match &line[rest + length + 1..] {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            version if version.starts_with(b"HTTP/") && version.len() == 8 => {
                return refuse(505, "is of a version other than HTTP/1.0 and HTTP/1.1");
            }
            _ => return refuse(400, "has a malformed version"),
        };
        self.split_target(head, target)
    }

    fn split_target(&mut self, head: &[u8], span: Span) -> Result<Option<Span>, Refused> {
        let target = span.of(head);
        let method = self.method.of(head);
        if target.is_empty() || !target.iter().all(|&b| head::is_target(b)) {
            return refuse(400, "has a malformed target");
        }
        if method == b"CONNECT" {
            return refuse(405, "asks for a tunnel, which this proxy does not make");
        }
        if target[0] == b'/' || (target == b"*" && method == b"OPTIONS") {
            self.target = span;
            return Ok(None);
        }
        let scheme = [&b"http://"[..], b"https://"]
            .into_iter()
            .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let Some(scheme) = scheme else { return refuse(400, "has a malformed target") };
        let start = self.method.of(head).len() + 1 + scheme.len();
        let end = start - scheme.len() + target.len();
        let slash = memchr::memchr(b'/', &head[start..end]).map(|at| start + at);
        // An absolute target without a path would have to be rewritten ("/" before "?"): nobody sends it, so it is refused.
        let Some(slash) = slash else { return refuse(400, "has an absolute target without a path") };
        self.target = Span::new(slash, end);
        Ok(Some(Span::new(start, slash)))
    }

    /// What the fields say about the message.
    fn meaning(&mut self, head: &[u8]) -> Result<(), Refused> {
        let (mut length, mut chunked, mut upgrades) = (None, false, false);
        self.keep = !self.old;
        for index in 0..self.fields.len() {
            let field = self.fields[index];
            let value = field.value.of(head);
            match field.known {
                Known::Host if self.host.is_some() => return refuse(400, "names two hosts"),
                Known::Host => self.host = Some(field.value),
                Known::ContentLength if length.is_some() => return refuse(400, "has two lengths"),
                Known::ContentLength => match content_length(value) {
                    Some(bytes) => length = Some(bytes),
                    None => return refuse(400, "has a malformed length"),
                },
                Known::TransferEncoding if chunked => return refuse(400, "has two transfer encodings"),
                Known::TransferEncoding if value.eq_ignore_ascii_case(b"chunked") => chunked = true,
                Known::TransferEncoding => return refuse(501, "has a transfer encoding other than chunked"),
                Known::Connection => upgrades |= self.connection(value),
                Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => self.expects = !self.old,
                Known::Expect => return refuse(417, "expects something other than 100-continue"),
                Known::Upgrade => self.upgrade = Some(field.value),
                Known::Te => self.trailers |= members(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
                _ => {}
            }
        }
        self.framing = match (length, chunked) {
            (Some(_), true) => return refuse(400, "has both a length and a transfer encoding"),
            (None, true) if self.old => return refuse(400, "has a transfer encoding in HTTP/1.0"),
            (None, true) => Framing::Chunked,
            (None | Some(0), false) => Framing::Empty,
            (Some(length), false) => Framing::Length(length),
        };
        // Switching to HTTP/2 in the clear would carry further requests past this proxy's eyes.
        let wanted = self.upgrade.filter(|name| !name.of(head).to_ascii_lowercase().starts_with(b"h2"));
        self.upgrade = wanted.filter(|_| upgrades && !self.old && self.framing == Framing::Empty);
        Ok(())
    }

    /// Reads a `Connection` field; whether it asks for an upgrade.
    fn connection(&mut self, value: &[u8]) -> bool {
        let mut upgrades = false;
        for option in members(value) {
            match option {
                o if o.eq_ignore_ascii_case(b"close") => self.keep = false,
                o if o.eq_ignore_ascii_case(b"keep-alive") => self.keep = true,
                o if o.eq_ignore_ascii_case(b"upgrade") => upgrades = true,
                o if matches!(Known::of(o), Known::Other | Known::Cookie) => self.connection_names = true,
                _ => {}
            }
        }
        upgrades
    }

    fn check_host(&mut self, head: &[u8], authority: Option<Span>) -> Result<(), Refused> {
        match self.host {
            None if !self.old => return refuse(400, "names no host"),
            None => {}
            Some(host) if !host.of(head).iter().all(|&b| is_host(b)) => return refuse(400, "names a malformed host"),
            Some(host) if authority.is_some_and(|a| !a.of(head).eq_ignore_ascii_case(host.of(head))) => {
                return refuse(400, "names one host in its target and another in its Host field");
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether the method is idempotent (RFC 9110, 9.2.2), so that doing it twice is doing it once.
    pub fn idempotent(method: &[u8]) -> bool {
        matches!(method, b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE")
    }
}

/// Reads a length: digits only, no sign, no blank, no list.
pub fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    text.parse().ok()
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*'
        )
}

#[cfg(test)]
mod tests;
