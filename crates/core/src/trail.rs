//! What a request leaves behind: a line in an access log, an id that follows it, a trace.

mod format;
mod spans;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use format::{BadFormat, Field, Format, Piece};
pub use spans::Spans;

use crate::unit::ByteSize;

/// What is noted of the requests of one service. Nothing, unless it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trail {
    /// Where a line is written for each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<AccessLog>,
    /// Whether each request has an `X-Request-ID`, which its answer names too: that of a trusted peer, else a new one.
    pub request_id: bool,
    /// Whether a request without a `traceparent` (W3C Trace Context) gets one. One that has it keeps it in any case.
    pub trace: bool,
    /// Where a span is sent for each request, or for some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<Spans>,
    /// How an instance is told of its client at the beginning of a connection, on a TCP route; not at all if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preamble: Option<Preamble>,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preamble {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl Trail {
    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An access log of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// The file; absolute. Services may share one if they agree in how it is rotated.
    pub file: PathBuf,
    /// How a line is written.
    pub format: Format,
    /// Whether the query of a target, and of the page that led there, is written.
    pub query: bool,
    /// At this size the file is set aside and begun anew; zero: never.
    pub max_size: ByteSize,
    /// How many that were set aside are kept.
    pub keep: u32,
}
