//! A body on its way: read in the framing it arrives in, written in the framing its reader understands.

use super::chunk::{Chunked, Piece};
use super::grpc;
use super::head::BadHead;

/// How a message says where its body ends (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// It has none.
    #[default]
    Empty,
    /// After this many bytes, never zero.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Where the connection ends. Answers only.
    UntilClose,
}

/// A body between its reader and its writer.
#[derive(Debug)]
pub struct Body {
    source: Source,
    chunks: bool,
    received: u64,
    /// The lines of trailers, where they are not written behind the body.
    apart: Option<Vec<u8>>,
    /// How a call of gRPC ended, if its trailers say so.
    outcome: Option<u32>,
}

#[derive(Debug)]
enum Source {
    Done,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Body {
    /// A body that arrives in `framing`, and is written in chunks if `chunks`, otherwise as plain bytes.
    pub fn new(framing: Framing, chunks: bool) -> Self {
        let source = match framing {
            Framing::Empty => Source::Done,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Chunked::default()),
            Framing::UntilClose => Source::UntilClose,
        };
        Self { source, chunks, received: 0, apart: None, outcome: None }
    }

    /// The same as plain bytes, with the trailers kept apart.
    pub fn parted(framing: Framing) -> Self {
        Self { apart: Some(Vec::new()), ..Self::new(framing, false) }
    }

    /// The trailers that were kept apart, as lines.
    pub fn trailers(&self) -> &[u8] {
        self.apart.as_deref().unwrap_or_default()
    }

    /// How a call of gRPC ended, if its trailers said so.
    pub fn outcome(&self) -> Option<u32> {
        self.outcome
    }

    /// Whether its end was read.
    pub fn done(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    /// Whether what was written so far ends with a whole chunk, so that a last one may follow at once.
    pub fn at_chunk(&self) -> bool {
        self.chunks
            && matches!(
                self.source,
                Source::UntilClose | Source::Chunked(Chunked::Size | Chunked::DataEnd | Chunked::Data(_))
            )
    }

    /// How many bytes of content were read.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes as much of so many bytes of input as belongs to the body, if they are written just as they came; nothing if not.
    pub fn pass_as_is(&mut self, available: usize) -> Option<usize> {
        if self.chunks {
            return None;
        }
        let taken = self.take_plain(available)?;
        self.received += taken as u64;
        Some(taken)
    }

    /// Reads as much of `input` as is there and part of the body, and appends to `out` what is to be written. Gives the
    /// number of bytes read.
    pub fn pass(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BadHead> {
        let Some(taken) = self.take_plain(input.len()) else { return self.pass_chunks(input, out) };
        self.write(&input[..taken], out);
        Ok(taken)
    }

    /// How many of so many bytes belong to the body, if it arrives without chunks and has not ended.
    fn take_plain(&mut self, available: usize) -> Option<usize> {
        match &mut self.source {
            Source::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
                *left -= taken as u64;
                if *left == 0 {
                    self.source = Source::Done;
                }
                Some(taken)
            }
            Source::UntilClose => Some(available),
            Source::Done | Source::Chunked(_) => None,
        }
    }

    fn pass_chunks(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BadHead> {
        let mut read = 0;
        loop {
            let Source::Chunked(state) = &mut self.source else { return Ok(read) };
            let before = *state;
            let (taken, piece) = state.step(&input[read..])?;
            read += taken;
            if self.chunks && before == Chunked::Trailers(0) && *state != before {
                out.extend_from_slice(b"0\r\n");
            }
            match piece {
                Piece::More => return Ok(read),
                Piece::Nothing => {}
                Piece::Data(data) => self.write(data, out),
                Piece::Trailer(line) => {
                    self.outcome = self.outcome.or_else(|| grpc::outcome(line));
                    if let Some(to) = if self.chunks { Some(&mut *out) } else { self.apart.as_mut() } {
                        to.extend_from_slice(line);
                        to.extend_from_slice(b"\r\n");
                    }
                }
                Piece::End => {
                    if self.chunks {
                        out.extend_from_slice(b"\r\n");
                    }
                    self.source = Source::Done;
                }
            }
        }
    }

    fn write(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.received += data.len() as u64;
        if !self.chunks {
            out.extend_from_slice(data);
        } else if !data.is_empty() {
            chunk_size(data.len(), out);
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The reader's side was closed: the end of a body that is delimited so, and for any other a cut.
    pub fn closed(&mut self, out: &mut Vec<u8>) -> Result<(), BadHead> {
        match self.source {
            Source::Done => Ok(()),
            Source::UntilClose => {
                self.source = Source::Done;
                if self.chunks {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
                Ok(())
            }
            _ => Err(BadHead("was cut before its end")),
        }
    }
}

fn chunk_size(size: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(size >> (digit * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recode(framing: Framing, chunks: bool, input: &[u8]) -> Result<Vec<u8>, BadHead> {
        let whole = pass_in(framing, chunks, input, input.len().max(1))?;
        for step in 1..input.len() {
            assert_eq!(pass_in(framing, chunks, input, step).map(drop), Ok(()), "in steps of {step}");
        }
        Ok(whole)
    }

    fn pass_in(framing: Framing, chunks: bool, input: &[u8], step: usize) -> Result<Vec<u8>, BadHead> {
        let (mut body, mut out, mut start) = (Body::new(framing, chunks), Vec::new(), 0);
        for end in (0..input.len()).step_by(step).map(|at| (at + step).min(input.len())) {
            start += body.pass(&input[start..end], &mut out)?;
        }
        assert!(body.done(), "not done after all of it");
        Ok(out)
    }

    #[test]
    fn chunks_are_written_in_one_canonical_form() {
        let input = b"005;ext=\"x\"\r\nhello\r\n1\r\n!\r\n00\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n";
        let out = recode(Framing::Chunked, true, input).unwrap();
        assert_eq!(out, b"5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\n\r\n");
        assert_eq!(recode(Framing::Chunked, false, input).unwrap(), b"hello!");
        assert_eq!(recode(Framing::Chunked, true, b"0\r\n\r\n").unwrap(), b"0\r\n\r\n");
    }

    #[test]
    fn chunks_that_are_not_plainly_right_are_refused() {
        let bad = [
            "5\r\nhelloX",
            "5\nhello",
            "g\r\n",
            "-1\r\n",
            "0x5\r\n",
            " 5\r\n",
            "5 \r\n",
            "\r\n",
            "5;\x00\r\n",
            "5\r\nhello\n",
        ];
        for input in bad.iter().map(|text| text.as_bytes()).chain([&[b'f'; 16][..]]) {
            let mut body = Body::new(Framing::Chunked, true);
            let mut input = input.to_vec();
            input.extend_from_slice(b"\r\n");
            assert!(body.pass(&input, &mut Vec::new()).is_err(), "{:?} passed", String::from_utf8_lossy(&input));
        }
    }

    #[test]
    fn a_close_ends_only_what_is_delimited_by_it() {
        let mut out = Vec::new();
        assert!(Body::new(Framing::UntilClose, true).closed(&mut out).is_ok());
        assert_eq!(out, b"0\r\n\r\n");
        assert!(Body::new(Framing::Length(1), false).closed(&mut out).is_err());
        assert!(Body::new(Framing::Chunked, true).closed(&mut out).is_err());
    }
}
