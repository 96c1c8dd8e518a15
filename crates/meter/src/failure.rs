//! What can go wrong, told apart by what it means.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nobody listened.
    Refused,
    /// There was no connection for another reason than a refusal.
    Unreachable,
    /// A connection that had been used before was reset before the first byte of the answer.
    ResetOnReused,
    /// A new connection was reset before the first byte of the answer.
    ResetOnFresh,
    /// The connection was closed in good order, but without an answer.
    ClosedWithoutAnswer,
    /// The connection ended, in whatever way, in the middle of the answer.
    Truncated,
    /// The answer, or a sign of life on a stream, did not come in time.
    Timeout,
    /// The status was 500 or above.
    #[serde(rename = "status_5xx")]
    Status5xx,
    /// The status was from 400 to 499, or not the one that opens a stream.
    StatusOther,
    /// The answer breaks the protocol.
    Malformed,
    /// The answer came from a release that was not allowed any more, or not yet.
    WrongRelease,
    /// The answer came from another service.
    WrongService,
    /// The answer was to another request.
    WrongId,
    /// The answer does not return the id of the request, or the ledger does not have it.
    LostId,
    /// The ledger has the id more than once.
    DuplicatedId,
    /// The server has received another body than was sent.
    AlteredBody,
    /// A stream ended without an end.
    Cut,
    /// On a stream that goes on, an event or a message was lost or came twice.
    Gap,
    /// The meter itself was at fault: out of ports or descriptors, or a mistake in it. Never the server's failure, but
    /// a measurement with such a hole proves nothing.
    Meter,
}

/// The kind of client that met a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Keeps its connection and does not look.
    Naive,
    /// Keeps its connection and looks for a close before each request.
    Peek,
    /// Opens a new connection for each request.
    Fresh,
    /// A slow upload.
    Upload,
    /// An event stream.
    Sse,
    /// A WebSocket.
    WebSocket,
    /// No client: the meter itself.
    Meter,
}

/// One failure, in full.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// When it was seen, counted from the start of the load.
    #[serde(rename = "at_ms", serialize_with = "crate::report::millis")]
    pub at: Duration,
    /// What it was.
    pub class: Class,
    /// Who met it.
    pub client: Kind,
    /// Whether the connection had carried an answer before.
    pub reused: bool,
    /// What was asked, as in `POST /orders`.
    pub request: String,
    /// The id of the request, when it had one.
    pub id: Option<String>,
    /// The bytes of this request that were handed to the kernel.
    pub sent: u64,
    /// The bytes of the answer that had arrived.
    pub received: u64,
    /// What exactly was wrong.
    pub detail: String,
}

/// A failure as the wire sees it, before it is known whose it is.
#[derive(Debug)]
pub(crate) struct Fault {
    pub class: Class,
    pub detail: String,
}

impl Fault {
    pub(crate) fn new(class: Class, detail: impl Into<String>) -> Self {
        Self { class, detail: detail.into() }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Class::Malformed, detail)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ResetOnReused => "reset on a reused connection",
            Self::ResetOnFresh => "reset on a new connection",
            Self::ClosedWithoutAnswer => "closed without an answer",
            Self::Truncated => "truncated",
            Self::Timeout => "timeout",
            Self::Status5xx => "status 5xx",
            Self::StatusOther => "other status",
            Self::Malformed => "malformed",
            Self::WrongRelease => "wrong release",
            Self::WrongService => "wrong service",
            Self::WrongId => "answer to another request",
            Self::LostId => "lost id",
            Self::DuplicatedId => "duplicated id",
            Self::AlteredBody => "altered body",
            Self::Cut => "stream cut",
            Self::Gap => "gap in a stream",
            Self::Meter => "fault of the meter",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Naive => "naive",
            Self::Peek => "peek",
            Self::Fresh => "fresh",
            Self::Upload => "upload",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Meter => "meter",
        })
    }
}
