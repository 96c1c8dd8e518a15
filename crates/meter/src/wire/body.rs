//! Where the body of an answer ends.

use crate::failure::Fault;
use crate::wire::head::Framing;

/// A line of framing (a chunk's size, a trailer) longer than this is refused.
const LONGEST_LINE: usize = 8 * 1024;

/// Follows a body through pieces of any size.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// This many bytes are left.
    Length(u64),
    /// A line with a chunk's size comes next.
    ChunkSize,
    /// This many bytes of a chunk are left.
    Chunk(u64),
    /// The line break after a chunk comes next.
    ChunkEnd,
    /// Trailers and an empty line come next.
    Trailers,
    /// All there is, until the connection is closed.
    UntilClose,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More bytes are needed to tell.
    More,
    /// This many bytes of framing.
    Framing(usize),
    /// This many bytes of the body.
    Data(usize),
    /// The body is over, and no byte belongs to it any more.
    End,
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::ChunkSize,
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the end of the connection is the proper end of this body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Tells what `bytes` begin with, and moves past it.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        match self {
            Self::Length(0) => Ok(Step::End),
            Self::Length(_) | Self::Chunk(_) | Self::UntilClose if bytes.is_empty() => Ok(Step::More),
            Self::UntilClose => Ok(Step::Data(bytes.len())),
            Self::Length(left) => Ok(Step::Data(take(left, bytes))),
            Self::Chunk(left) => {
                let step = Step::Data(take(left, bytes));
                if *left == 0 {
                    *self = Self::ChunkEnd;
                }
                Ok(step)
            }
            Self::ChunkSize => self.chunk_size(bytes),
            Self::ChunkEnd => self.chunk_end(bytes),
            Self::Trailers => self.trailer(bytes),
        }
    }

    fn chunk_size(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        let Some(line) = line(bytes)? else {
            return Ok(Step::More);
        };
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let size =
            std::str::from_utf8(digits).ok().filter(|_| is_hex).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        *self = match size {
            Some(0) => Self::Trailers,
            Some(size) => Self::Chunk(size),
            None => {
                return Err(Fault::malformed(format!("chunk size {:?}", String::from_utf8_lossy(line))));
            }
        };
        Ok(Step::Framing(line.len() + 2))
    }

    fn chunk_end(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        match bytes {
            [b'\r', b'\n', ..] => {
                *self = Self::ChunkSize;
                Ok(Step::Framing(2))
            }
            [] | [b'\r'] => Ok(Step::More),
            _ => Err(Fault::malformed("a chunk is longer than its size")),
        }
    }

    fn trailer(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        let Some(line) = line(bytes)? else {
            return Ok(Step::More);
        };
        if line.is_empty() {
            *self = Self::Length(0);
        } else if !line.contains(&b':') {
            return Err(Fault::malformed(format!("trailer {:?}", String::from_utf8_lossy(line))));
        }
        Ok(Step::Framing(line.len() + 2))
    }
}

/// Takes as many of the bytes that are left as are there.
fn take(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= taken as u64;
    taken
}

/// The first line, without its line break. `None` when its end has not come yet.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Fault> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(&bytes[..end - 1])),
        Some(_) => Err(Fault::malformed("a line of chunk framing ends without a carriage return")),
        None if bytes.len() > LONGEST_LINE => Err(Fault::malformed("a line of chunk framing has no end")),
        None => Ok(None),
    }
}
