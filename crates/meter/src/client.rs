//! The clients: each is one task with its own connection and its own schedule.

pub(crate) mod events;
mod frames;
pub(crate) mod requests;
pub(crate) mod upload;
pub(crate) mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::context::{Context, Met};
use crate::failure::{Class, Fault, Kind};
use crate::pace;
use crate::report::StreamEnd;
use crate::wire::Wire;

/// How long a stream's client waits before it opens the next one.
const BETWEEN_STREAMS: Duration = Duration::from_millis(20);

/// What every client knows.
pub(crate) struct Seat {
    pub context: Arc<Context>,
    pub kind: Kind,
    pub stop: watch::Receiver<bool>,
}

/// How a stream ended.
pub(crate) enum End {
    /// We ended it.
    Ours,
    /// The server ended it in good order, in these words.
    Theirs(String),
}

impl Seat {
    /// Notes that a stream is open.
    fn opened(&self) {
        let mut tally = self.context.tally();
        let streams = tally.streams(self.kind);
        streams.opened += 1;
        streams.open += 1;
    }

    /// Notes how a stream ended, or that it was never opened.
    fn closed(&self, name: &str, wire: Option<&Wire>, was_open: bool, result: Result<End, Fault>) {
        let (proper, how) = match result {
            Ok(End::Ours) => {
                let mut tally = self.context.tally();
                let streams = tally.streams(self.kind);
                streams.open -= 1;
                streams.kept += 1;
                return;
            }
            Ok(End::Theirs(how)) => (true, how),
            Err(mut fault) => {
                if was_open && matches!(fault.class, Class::Truncated | Class::ClosedWithoutAnswer) {
                    fault.class = Class::Cut;
                }
                let how = format!("{}: {}", fault.class, fault.detail);
                self.context.fail(self.kind, name, None, met(wire), fault);
                (false, how)
            }
        };
        let mut tally = self.context.tally();
        if was_open {
            let at = self.context.started.elapsed();
            tally.stream_ended(StreamEnd { at, client: self.kind, proper, how });
        } else {
            tally.streams(self.kind).not_opened += 1;
        }
    }

    /// Counts a message or event that was skipped or repeated on a stream that goes on.
    fn gap(&self, name: &str, wire: &Wire, detail: String) {
        self.context.tally().streams(self.kind).gaps += 1;
        self.context.fail(self.kind, name, None, met(Some(wire)), Fault::new(Class::Gap, detail));
    }

    /// Waits a little before the next stream. `None` when it is time to stop.
    async fn between_streams(&mut self) -> Option<()> {
        pace::pause(Instant::now() + BETWEEN_STREAMS, &mut self.stop).await
    }

    fn must_stop(&self) -> bool {
        *self.stop.borrow()
    }
}

/// In which state a connection was; when there was none yet, nothing had moved.
fn met(wire: Option<&Wire>) -> Met {
    wire.map(|wire| Met { reused: wire.is_reused(), moved: wire.moved() }).unwrap_or_default()
}

/// The fault of not being answered in time.
fn late(limit: Duration) -> Fault {
    Fault::new(Class::Timeout, format!("nothing within {} ms", limit.as_millis()))
}
