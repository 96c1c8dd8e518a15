//! The encoders, each writing into memory.

use std::io::{self, Write};

use brotli::CompressorWriter;
use cutover_core::rules::Coding;
use flate2::write::GzEncoder;

/// Levels that cost about as much as they save on the wire of a small server; nginx's default for gzip is 1, and its users' 5.
const GZIP: u32 = 5;
const BROTLI: u32 = 4;
const ZSTD: i32 = 3;

/// How far back is looked, as a power of two: 256 KiB. Memory for each answer under way follows from it.
const WINDOW: u32 = 18;

/// One answer being compressed.
pub struct Encoder(Kind);

enum Kind {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Done,
}

impl Encoder {
    /// An encoder that has seen nothing.
    pub fn new(coding: Coding) -> io::Result<Self> {
        Ok(Self(match coding {
            Coding::Gzip => Kind::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP))),
            Coding::Br => Kind::Brotli(Box::new(CompressorWriter::new(Vec::new(), 4096, BROTLI, WINDOW))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD)?;
                encoder.window_log(WINDOW)?;
                Kind::Zstd(encoder)
            }
        }))
    }

    /// Takes what has come, and appends to `out` what the client can be sent of it, as a chunk; with the lines of trailers, which may be none,
    /// also the end of the body.
    pub fn pass(&mut self, plain: &[u8], trailers: Option<&[u8]>, out: &mut Vec<u8>) -> io::Result<()> {
        let coded = if trailers.is_some() { self.finish(plain)? } else { self.flush(plain)? };
        if !coded.is_empty() {
            write!(out, "{:x}\r\n", coded.len())?;
            out.extend_from_slice(&coded);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(lines) = trailers {
            for piece in [b"0\r\n", lines, b"\r\n"] {
                out.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    fn flush(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        if plain.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match &mut self.0 {
            Kind::Gzip(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Kind::Brotli(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Kind::Zstd(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Kind::Done => Vec::new(),
        })
    }

    fn finish(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match std::mem::replace(&mut self.0, Kind::Done) {
            Kind::Gzip(mut encoder) => {
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Kind::Brotli(mut encoder) => {
                encoder.write_all(plain)?;
                Ok(encoder.into_inner())
            }
            Kind::Zstd(mut encoder) => {
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Kind::Done => Ok(Vec::new()),
        }
    }
}
