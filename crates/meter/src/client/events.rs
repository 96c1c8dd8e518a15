//! The client that holds an event stream open and checks that no event is missing.

use tokio::time::{Instant, timeout};

use super::{End, Seat, late};
use crate::context::Context;
use crate::failure::{Class, Fault};
use crate::judge;
use crate::wire::{Decoder, Head, Template, Wire};

/// A line of an event longer than this is refused.
const LONGEST_LINE: usize = 1024 * 1024;

/// Holds one stream after another until it is time to stop.
pub(crate) async fn run(mut seat: Seat) {
    let load = &seat.context.load;
    let mut template = Template::new(load, "GET", &load.paths.sse, "accept: text/event-stream\r\n");
    while !seat.must_stop() {
        let mut slot = None;
        match open(&seat.context, &mut template, &mut slot).await {
            Ok((mut wire, head)) => {
                seat.opened();
                let result = follow(&mut seat, &template.name, &mut wire, &head).await;
                seat.closed(&template.name, Some(&wire), true, result);
            }
            Err(fault) => seat.closed(&template.name, slot.as_ref(), false, Err(fault)),
        }
        if seat.between_streams().await.is_none() {
            return;
        }
    }
}

/// Opens a stream. When that fails, the connection is left in `slot` for the report.
async fn open(context: &Context, template: &mut Template, slot: &mut Option<Wire>) -> Result<(Wire, Head), Fault> {
    let (begun, limit) = (Instant::now(), context.load.timeout);
    let id = context.book.other_id();
    let ask = async {
        let wire = slot.insert(Wire::connect(context.address).await?);
        let _ = wire.write(template.render(&id, "")).await;
        wire.head(false).await
    };
    let head = timeout(limit, ask).await.unwrap_or_else(|_| Err(late(limit)))?;
    judge::origin(context, &head, begun, false)?;
    judge::status(&head)?;
    if head.status != 200 {
        return Err(Fault::new(Class::StatusOther, format!("status {}", head.status)));
    }
    judge::origin(context, &head, begun, true)?;
    let kind = head.get("content-type").unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Err(Fault::malformed(format!("content-type {kind:?} is not text/event-stream")));
    }
    Ok((slot.take().expect("a head has come over a connection"), head))
}

async fn follow(seat: &mut Seat, name: &str, wire: &mut Wire, head: &Head) -> Result<End, Fault> {
    let limit = seat.context.load.timeout;
    let mut decoder = Decoder::new(head.framing);
    let mut events = Events::new(seat.context.load.expect.first_event);
    loop {
        let piece = tokio::select! {
            piece = timeout(limit, wire.piece(&mut decoder)) => piece.unwrap_or_else(|_| Err(late(limit)))?,
            () = crate::pace::stopped(&mut seat.stop) => return Ok(End::Ours),
        };
        let Some(piece) = piece else {
            return events.end();
        };
        let (count, gaps) = events.read(piece)?;
        seat.context.tally().sse.received += count;
        for gap in gaps {
            seat.gap(name, wire, gap);
        }
    }
}

/// Reads events, and compares their numbers (the `id`, else the first word of the data).
struct Events {
    line: Vec<u8>,
    /// Whether the lines so far are the beginning of an event.
    within: bool,
    number: Option<u64>,
    farewell: bool,
    expected: Option<u64>,
}

impl Events {
    fn new(expected: Option<u64>) -> Self {
        Self { line: Vec::new(), within: false, number: None, farewell: false, expected }
    }

    /// Reads a piece of the stream. Gives the number of events that ended in it, and what was wrong with their numbers.
    fn read(&mut self, piece: &[u8]) -> Result<(u64, Vec<String>), Fault> {
        let (mut count, mut gaps) = (0, Vec::new());
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LONGEST_LINE {
                return Err(Fault::malformed("a line of an event has no end"));
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                if self.take_line(&line) {
                    count += 1;
                    gaps.extend(self.compare());
                }
            }
        }
        Ok((count, gaps))
    }

    /// Takes one line. True when it ends an event.
    fn take_line(&mut self, line: &str) -> bool {
        if line.is_empty() {
            return std::mem::take(&mut self.within);
        }
        self.within |= !line.starts_with(':');
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let number = || value.split_whitespace().next().and_then(|word| word.parse().ok());
        match field {
            "id" => self.number = number().or(self.number),
            "data" => self.number = self.number.or_else(number),
            "event" => self.farewell |= value.trim() == "end",
            _ => {}
        }
        false
    }

    fn compare(&mut self) -> Option<String> {
        let number = self.number.take()?;
        let expected = self.expected.replace(number + 1);
        let expected = expected.filter(|expected| *expected != number)?;
        Some(format!("event {number} came instead of {expected}"))
    }

    /// The stream's body has ended in good order. In the middle of an event it is a cut all the same.
    fn end(&self) -> Result<End, Fault> {
        if self.within || !self.line.is_empty() {
            Err(Fault::new(Class::Cut, "the stream ended within an event"))
        } else if self.farewell {
            Ok(End::Theirs("with a farewell".into()))
        } else {
            Ok(End::Theirs("without a farewell".into()))
        }
    }
}
