//! The head of an answer: what it says, and how its body ends.

use crate::failure::Fault;

/// More than this many header fields are refused.
const MOST_FIELDS: usize = 100;
/// A head longer than this is refused.
const LONGEST_HEAD: usize = 64 * 1024;

/// How the end of a body is known (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// It has this many bytes.
    Length(u64),
    /// It comes in chunks, the last of which says so.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub status: u16,
    pub framing: Framing,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head from the beginning of `bytes`. `None` when more bytes are needed; else also its length.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() > LONGEST_HEAD => {
                return Err(Fault::malformed("the head of the answer has no end"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(Fault::malformed(format!("the head of the answer: {error}"))),
        };
        let status = answer.code.expect("a complete head has a status");
        let fields = answer
            .headers
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).trim().to_owned()))
            .collect();
        let mut head = Self { status, framing: Framing::None, keep_alive: true, fields };
        head.framing = head.framing()?;
        head.keep_alive = head.keeps_alive(answer.version == Some(1));
        Ok(Some((head, length)))
    }

    /// The value of a field; the first one when there are several. The name is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Whether a field that is a list has this item, in lower case.
    pub(crate) fn lists(&self, name: &str, item: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(item))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn framing(&self) -> Result<Framing, Fault> {
        let length = self.length()?;
        let encoding = self.all("transfer-encoding").collect::<Vec<_>>().join(",");
        // A 204 or 304 may name the length that another answer would have had.
        if matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(Framing::None);
        }
        match (encoding.is_empty(), length) {
            (false, Some(_)) => Err(Fault::malformed("both content-length and transfer-encoding")),
            (false, None) if encoding.trim().eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            (false, None) => Err(Fault::malformed(format!("transfer-encoding {encoding:?}"))),
            (true, Some(length)) => Ok(Framing::Length(length)),
            (true, None) => Ok(Framing::UntilClose),
        }
    }

    fn length(&self) -> Result<Option<u64>, Fault> {
        let mut lengths = self.all("content-length").flat_map(|value| value.split(',')).map(str::trim);
        let Some(first) = lengths.next() else {
            return Ok(None);
        };
        let digits_only = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only || lengths.any(|other| other != first) {
            return Err(Fault::malformed(format!("content-length {first:?}, or several that differ")));
        }
        first.parse().map(Some).map_err(|_| Fault::malformed("content-length too large"))
    }

    fn keeps_alive(&self, is_1_1: bool) -> bool {
        let wanted = if is_1_1 { !self.lists("connection", "close") } else { self.lists("connection", "keep-alive") };
        wanted && self.framing != Framing::UntilClose
    }
}
