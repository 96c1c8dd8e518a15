//! The chunked transfer coding (RFC 9112, 7.1), read strictly.
//!
//! Chunk extensions are read and dropped, as the standard allows: nobody uses them but those who probe for two readings.
//! Trailers are checked like any field; those that mean something only in a head are dropped (`trailer`).

use super::field::Known;
use super::head::{self, BadHead};
use super::trailer;

/// The longest line with a chunk's size.
const MAX_SIZE_LINE: usize = 256;

/// All trailers together.
const MAX_TRAILERS: usize = 8 << 10;

/// Where a chunked body is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunked {
    /// Before the line with a chunk's size.
    #[default]
    Size,
    /// Inside a chunk of which this much is left.
    Data(u64),
    /// Before the CR LF after a chunk.
    DataEnd,
    /// Among the trailers, of which so much was read.
    Trailers(usize),
    /// After the end.
    Done,
}

/// What came out of one step.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// More bytes are needed.
    More,
    /// Content.
    Data(&'a [u8]),
    /// A trailer line, without its end, that may be passed on.
    Trailer(&'a [u8]),
    /// Something that is not passed on.
    Nothing,
    /// The end of the body.
    End,
}

impl Chunked {
    /// Takes one piece from the start of `input`; also says how many bytes it was.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Piece<'a>), BadHead> {
        match *self {
            Self::Size => self.size(input),
            Self::Data(_) if input.is_empty() => Ok((0, Piece::More)),
            Self::Data(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let left = left - taken as u64;
                *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                Ok((taken, Piece::Data(&input[..taken])))
            }
            Self::DataEnd => match input {
                [b'\r', b'\n', ..] => {
                    *self = Self::Size;
                    Ok((2, Piece::Nothing))
                }
                [] | [b'\r'] => Ok((0, Piece::More)),
                _ => Err(BadHead("has a chunk that is longer than it says")),
            },
            Self::Trailers(read) => self.trailer(input, read),
            Self::Done => Ok((0, Piece::End)),
        }
    }

    fn size<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Piece<'a>), BadHead> {
        let Some(end) = line(input, MAX_SIZE_LINE)? else { return Ok((0, Piece::More)) };
        let digits = input[..end].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let extension = &input[digits..end];
        let clean = extension.is_empty() || (extension[0] == b';' && extension.iter().all(|&b| head::is_value(b)));
        let size = std::str::from_utf8(&input[..digits]).ok().filter(|_| (1..=15).contains(&digits) && clean);
        let size = size.and_then(|text| u64::from_str_radix(text, 16).ok());
        *self = match size.ok_or(BadHead("has a malformed chunk size"))? {
            0 => Self::Trailers(0),
            size => Self::Data(size),
        };
        Ok((end + 2, Piece::Nothing))
    }

    fn trailer<'a>(&mut self, input: &'a [u8], read: usize) -> Result<(usize, Piece<'a>), BadHead> {
        let Some(end) = line(input, MAX_TRAILERS - read.min(MAX_TRAILERS))? else { return Ok((0, Piece::More)) };
        if end == 0 {
            *self = Self::Done;
            return Ok((2, Piece::End));
        }
        *self = Self::Trailers(read + end + 2);
        let field = head::field(input, 0, end)?;
        let passes = field.known == Known::Other && trailer::passes(field.name.of(input));
        let piece = if passes { Piece::Trailer(&input[..end]) } else { Piece::Nothing };
        Ok((end + 2, piece))
    }
}

/// The length of the first line without its end; `None` if it has not come whole.
fn line(input: &[u8], limit: usize) -> Result<Option<usize>, BadHead> {
    match memchr::memchr(b'\n', input) {
        Some(at) if at > limit => Err(BadHead("has a chunk line that is too long")),
        Some(at) if at > 0 && input[at - 1] == b'\r' => Ok(Some(at - 1)),
        Some(_) => Err(BadHead("has a chunk line that does not end in CR LF")),
        None if input.len() > limit => Err(BadHead("has a chunk line that is too long")),
        None => Ok(None),
    }
}
