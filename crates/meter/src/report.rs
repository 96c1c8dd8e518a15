//! What a run has shown.

mod certainty;
mod render;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use self::certainty::Certainty;
use crate::failure::{Class, Failure, Kind};
use crate::ledger::Book;
pub use crate::ledger::LedgerCheck;

/// What a run has shown, or has shown so far. As JSON, every time is in milliseconds; as text, it is a dozen lines.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When the run began, since the Unix epoch.
    #[serde(rename = "started_unix_ms", serialize_with = "millis")]
    pub started_unix: Duration,
    /// How long it was measured, up to the stop.
    #[serde(rename = "elapsed_ms", serialize_with = "millis")]
    pub elapsed: Duration,
    /// Requests with an answer, uploads included. Streams are counted apart.
    pub requests: Requests,
    /// All failures, those of streams included.
    pub failures_by_class: BTreeMap<Class, u64>,
    /// The first failures in full.
    pub failures: Vec<Failure>,
    /// How long good answers took, uploads left out.
    pub latency: Latency,
    /// The longest time without any good answer, between the first answer and the stop.
    pub longest_gap: Gap,
    /// Who has answered, when the answers say so.
    pub releases: Vec<Release>,
    /// Slow uploads.
    pub uploads: Uploads,
    /// Event streams.
    pub sse: Streams,
    /// WebSockets.
    pub websockets: Streams,
    /// The first streams that did not last until the stop.
    pub stream_ends: Vec<StreamEnd>,
    /// What the count of failures says about the rate of failures.
    pub certainty: Certainty,
    /// What the server's ledger says, once it was asked.
    pub ledger: Option<LedgerCheck>,
    #[serde(skip)]
    pub(crate) book: Arc<Book>,
}

/// Counts of requests. `sent` is the sum of `answered`, `failed` and those that are under way.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Requests {
    /// Requests begun, also those that found no connection.
    pub sent: u64,
    /// Of these, POSTs.
    pub posts: u64,
    /// Requests with the right answer.
    pub answered: u64,
    /// Requests with a wrong answer or none.
    pub failed: u64,
    /// Idle connections that careful clients found closed before they used them. Not failures.
    pub closes_noticed: u64,
    /// Requests sent a second time: always 0.
    pub retries: u64,
}

/// How long good answers took: quantiles of the time from when the request was due.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latency {
    /// Half of them took no longer.
    #[serde(rename = "p50_ms", serialize_with = "millis")]
    pub p50: Duration,
    /// 99 of 100 took no longer.
    #[serde(rename = "p99_ms", serialize_with = "millis")]
    pub p99: Duration,
    /// 999 of 1000 took no longer.
    #[serde(rename = "p99_9_ms", serialize_with = "millis")]
    pub p999: Duration,
    /// The longest.
    #[serde(rename = "max_ms", serialize_with = "millis")]
    pub max: Duration,
}

/// A time without answers.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Gap {
    /// How long it was.
    #[serde(rename = "length_ms", serialize_with = "millis")]
    pub length: Duration,
    /// When it began: the time of the last answer before it.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
}

/// The answers of one release.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// Its label.
    pub name: String,
    /// Its share of all answers, from 0 to 1.
    pub share: f64,
    /// How many and when.
    #[serde(flatten)]
    pub span: Span,
}

/// A number of answers and their times.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Span {
    /// How many.
    pub answers: u64,
    /// The first.
    #[serde(rename = "first_ms", serialize_with = "millis")]
    pub first: Duration,
    /// The last.
    #[serde(rename = "last_ms", serialize_with = "millis")]
    pub last: Duration,
}

/// Counts of slow uploads.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Uploads {
    /// Begun.
    pub begun: u64,
    /// Received whole and answered.
    pub done: u64,
    /// Anything else.
    pub failed: u64,
}

/// Counts of streams of one kind, and of what they carried. A stream that ends is opened again.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Streams {
    /// Opened well.
    pub opened: u64,
    /// Not opened.
    pub not_opened: u64,
    /// Open at this moment.
    pub open: u64,
    /// Open until the meter itself ended them.
    pub kept: u64,
    /// Ended by the server in good order: the end of the body, or a close frame that is not an error.
    pub ended_by_server: u64,
    /// Ended in any other way.
    pub cut: u64,
    /// Events or messages received; echoes are not among these.
    pub received: u64,
    /// Events or messages that were skipped or came twice, seen on a stream that went on.
    pub gaps: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that came back.
    pub echoed: u64,
    /// Messages that had not come back when their WebSocket ended.
    pub unanswered: u64,
}

/// The end of a stream that the meter did not ask for.
#[derive(Debug, Clone, Serialize)]
pub struct StreamEnd {
    /// When.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// Which kind of stream.
    pub client: Kind,
    /// Whether it ended in good order.
    pub proper: bool,
    /// How it ended.
    pub how: String,
}

impl Report {
    /// Whether nothing at all was lost, duplicated, misrouted or cut, as far as was measured. It is not clean to have
    /// measured nothing.
    pub fn clean(&self) -> bool {
        let measured = self.requests.answered + self.sse.opened + self.websockets.opened > 0;
        measured && self.failures_by_class.is_empty() && self.ledger.as_ref().is_none_or(LedgerCheck::clean)
    }

    /// How many failures of this class there were; lost and duplicated ids also by the ledger.
    pub fn count(&self, class: Class) -> u64 {
        let by_ledger = match (class, &self.ledger) {
            (Class::LostId, Some(check)) => check.lost,
            (Class::DuplicatedId, Some(check)) => check.duplicated,
            _ => 0,
        };
        self.failures_by_class.get(&class).copied().unwrap_or_default() + by_ledger
    }

    /// Compares the orders of this run with the server's ledger, a file of lines `id …`, and adds the result to the report.
    /// Ask when the load has stopped: an order that is under way looks lost.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn check_ledger(&mut self, ledger: &Path) -> io::Result<&LedgerCheck> {
        let check = self.book.check(ledger)?;
        Ok(self.ledger.insert(check))
    }
}

/// Writes a time as milliseconds with fractions.
pub(crate) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_micros() as f64 / 1000.0)
}
