//! What request heads and answer heads have in common: lines, fields, and finding the end.
//!
//! A head is read in two passes. [`Scan`] finds its end while bytes arrive and looks at each byte once, however slowly they
//! come. Only a whole head is then parsed, in place: the result holds positions, not copies.

use super::field::Known;

/// The largest head that is read, in bytes.
pub const MAX_HEAD: usize = 16 << 10;

/// The most fields in one head.
pub const MAX_FIELDS: usize = 128;

/// A piece of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The piece from `start` up to, not including, `end`. Heads are small, so that both fit 32 bits.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// Its bytes.
    #[inline]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.start as usize..self.end as usize]
    }
}

/// One field line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name as it was written.
    pub name: Span,
    /// Its value without surrounding blanks.
    pub value: Span,
    /// What the proxy knows about the name.
    pub known: Known,
}

impl Field {
    /// All of its line that is not blank at its end.
    pub fn line(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.name.start as usize..self.value.end as usize]
    }
}

/// Why a head is refused: a fragment that completes "the head ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHead(pub &'static str);

/// Looks for the end of a head in a growing buffer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scan {
    seen: usize,
}

impl Scan {
    /// Where the head in `buffer` ends (after its empty line), or `None` if more is to come.
    ///
    /// A line that ends in LF alone is refused here, at once: waiting for a CRLF that never comes would only be a slower no.
    pub fn end(&mut self, buffer: &[u8]) -> Result<Option<usize>, BadHead> {
        while let Some(found) = memchr::memchr(b'\n', &buffer[self.seen..]) {
            let at = self.seen + found;
            if at == 0 || buffer[at - 1] != b'\r' {
                return Err(BadHead("has a line that does not end in CR LF"));
            }
            self.seen = at + 1;
            if at >= 3 && buffer[at - 3] == b'\r' && buffer[at - 2] == b'\n' {
                return Ok(Some(at + 1));
            }
        }
        self.seen = buffer.len();
        Ok(None)
    }
}

/// The end of the line that begins at `start`: the position of its CR. The head is whole, so there is one.
pub fn line_end(head: &[u8], start: usize) -> Result<usize, BadHead> {
    match memchr::memchr(b'\n', &head[start..]) {
        Some(found) if found > 0 && head[start + found - 1] == b'\r' => Ok(start + found - 1),
        _ => Err(BadHead("has a line that does not end in CR LF")),
    }
}

/// Reads the field lines from `start` up to the empty line, which must be the end of `head`.
pub fn fields(head: &[u8], mut start: usize, fields: &mut Vec<Field>) -> Result<(), BadHead> {
    loop {
        let end = line_end(head, start)?;
        if end == start {
            let last = end + 2 == head.len();
            return if last { Ok(()) } else { Err(BadHead("has an empty line in the middle")) };
        }
        if fields.len() == MAX_FIELDS {
            return Err(BadHead("has too many fields"));
        }
        fields.push(field(head, start, end)?);
        start = end + 2;
    }
}

/// Reads one field line, which lies between `start` and `end`.
pub fn field(head: &[u8], start: usize, end: usize) -> Result<Field, BadHead> {
    let line = &head[start..end];
    let colon = line.iter().position(|&b| !is_token(b)).ok_or(BadHead("has a line without a colon"))?;
    match line[colon] {
        b':' if colon > 0 => {}
        b' ' | b'\t' if colon == 0 => return Err(BadHead("has a folded line")),
        b' ' | b'\t' => return Err(BadHead("has a blank before a colon")),
        _ => return Err(BadHead("has a field name with a forbidden character")),
    }
    let value = &line[colon + 1..];
    if !value.iter().all(|&b| is_value(b)) {
        return Err(BadHead("has a field value with a control character"));
    }
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let lead = value.iter().take_while(|b| blank(b)).count();
    let tail = value[lead..].iter().rev().take_while(|b| blank(b)).count();
    let from = start + colon + 1 + lead;
    Ok(Field {
        name: Span::new(start, start + colon),
        value: Span::new(from, end - tail),
        known: Known::of(&line[..colon]),
    })
}

/// Whether a byte may stand in a token (RFC 9110, 5.6.2).
#[inline]
pub fn is_token(byte: u8) -> bool {
    CLASS[byte as usize] & TOKEN != 0
}

/// Whether a byte may stand in a field value (RFC 9110, 5.5); bytes above 127 are opaque.
#[inline]
pub fn is_value(byte: u8) -> bool {
    CLASS[byte as usize] & VALUE != 0
}

/// Whether a byte may stand in a request target: no blanks, no controls, no fragment. What browsers send unescaped passes.
#[inline]
pub fn is_target(byte: u8) -> bool {
    CLASS[byte as usize] & TARGET != 0
}

const TOKEN: u8 = 1;
const VALUE: u8 = 2;
const TARGET: u8 = 4;

static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mark = matches!(
            b,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        if b.is_ascii_alphanumeric() || mark {
            class[byte] |= TOKEN;
        }
        if b == b'\t' || (b >= 0x20 && b != 0x7f) {
            class[byte] |= VALUE;
        }
        if b > 0x20 && b != 0x7f && b != b'#' {
            class[byte] |= TARGET;
        }
        byte += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for cut in 0..head.len() {
            let mut scan = Scan::default();
            let first = scan.end(&head[..cut]).unwrap();
            let found = first.or_else(|| scan.end(head).unwrap());
            assert_eq!(found, Some(27), "cut at {cut}");
        }
    }

    #[test]
    fn lines_that_are_not_plainly_right_are_refused() {
        for bad in ["A : b", " a: b", "a", "a b: c", ": b", "a: b\x00", "a: \x0bb", "a: b\rc", "(a): b", "a\x7f: b"] {
            assert!(field(bad.as_bytes(), 0, bad.len()).is_err(), "{bad:?} was taken for a field");
        }
        let line = b"Name: \t value \t";
        let field = field(line, 0, line.len()).unwrap();
        assert_eq!((field.name.of(line), field.value.of(line)), (&b"Name"[..], &b"value"[..]));
    }
}
