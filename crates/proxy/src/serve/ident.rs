//! The ids that follow a request: `X-Request-ID`, and `traceparent` of W3C Trace Context (Level 1).

use std::io::Write;

use super::connection::Client;
use crate::http::field::{Known, line};
use crate::http::head::Field;
use crate::span::Context;
use crate::worker::Worker;
use crate::worker::stock::Scratch;
use cutover_core::trail::{Spans, Trail};

/// The longest id that is taken from a trusted peer.
const LONGEST: usize = 128;

/// Finds or makes the ids of a request before its head is rewritten, and takes those fields out that are replaced. They are left in the
/// scratch space and the record for the answer, the log and the span; [`write`] puts them into the rewritten head. A request that does not
/// `count` leaves no span: nobody but ourselves asked it.
///
/// Whether there is one to put there.
pub fn find(scratch: &mut Scratch, head: &[u8], trail: &Trail, trusted: bool, counts: bool, client: &Client) -> Made {
    let worker = &client.worker;
    scratch.trace.clear();
    if trail.request_id {
        request_id(scratch, &mut client.record.id.borrow_mut(), head, trusted, worker);
    }
    let trace = match trail.spans.as_ref().filter(|_| counts) {
        Some(spans) => span(scratch, head, spans, trusted, client),
        None => (trail.trace || trail.log.is_some()) && trace(scratch, head, trail.trace, worker),
    };
    Made { id: trail.request_id, trace }
}

/// Which ids have to be put into the rewritten head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    id: bool,
    trace: bool,
}

fn request_id(scratch: &mut Scratch, id: &mut Vec<u8>, head: &[u8], trusted: bool, worker: &Worker) {
    let is_ours = |field: &&mut Field| field.known == Known::Other && named(field, head, b"x-request-id");
    for field in scratch.request.fields.iter_mut().filter(is_ours) {
        // Several, or one that is no plain word, name nothing.
        let value = field.value.of(head);
        let is_good = trusted && id.is_empty() && value.len() <= LONGEST && value.iter().all(u8::is_ascii_graphic);
        if is_good {
            id.extend_from_slice(value);
        }
        field.known = Known::Hop;
    }
    if id.is_empty() {
        let _ = write!(id, "{:016x}{:016x}", worker.random(), worker.random());
    }
}

/// A `traceparent` that can be read is kept, whoever sent it: nothing is decided by it. One that cannot be read is replaced.
/// Whether one was made.
fn trace(scratch: &mut Scratch, head: &[u8], make: bool, worker: &Worker) -> bool {
    if let Some(value) = parent(scratch, head) {
        scratch.trace.extend_from_slice(value);
        return false;
    }
    if make {
        replace(scratch, head, true, begun(worker, SAMPLED));
    }
    make
}

/// Finds the place of a request in its trace, and whether a span is to be sent for it: as its parent says, whose word counts; else as the
/// share says. The instance is told what was decided, and of our span as its parent.
/// Whether its `traceparent` was replaced.
fn span(scratch: &mut Scratch, head: &[u8], spans: &Spans, trusted: bool, client: &Client) -> bool {
    let worker = &client.worker;
    let Some(value) = parent(scratch, head) else {
        let context = begun(worker, 0);
        // By its id, which is random: whoever samples by that too decides alike.
        let flags = if spans.ratio.takes(context.trace as u64) { SAMPLED } else { 0 };
        return record(scratch, head, true, Context { flags, ..context }, client);
    };
    let above = read(value);
    let is_believed = spans.anyone || trusted;
    if is_believed && above.flags & SAMPLED == 0 {
        // Nothing of ours is below it: it goes on as it came.
        scratch.trace.extend_from_slice(value);
        return false;
    }
    let sampled = if is_believed || spans.ratio.takes(worker.random()) { SAMPLED } else { 0 };
    let flags = (above.flags & RANDOM) | sampled;
    let context = Context { span: worker.random().max(1), parent: above.span, flags, ..above };
    record(scratch, head, false, context, client)
}

fn record(scratch: &mut Scratch, head: &[u8], begins: bool, context: Context, client: &Client) -> bool {
    client.record.span.set((context.flags & SAMPLED != 0).then_some(context));
    replace(scratch, head, begins, context);
    true
}

/// The flags that have a meaning: it is recorded; its id is random.
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// A trace of our own.
fn begun(worker: &Worker, flags: u8) -> Context {
    // Neither part may be zero (2.2.2.3).
    let (high, low, span) = (worker.random(), worker.random().max(1), worker.random().max(1));
    Context { trace: u128::from(high) << 64 | u128::from(low), span, parent: 0, flags }
}

/// The only `traceparent` of a request, if it can be read.
fn parent<'a>(scratch: &Scratch, head: &'a [u8]) -> Option<&'a [u8]> {
    let is_parent = |field: &&Field| named(field, head, b"traceparent");
    let mut parents = scratch.request.fields.iter().filter(is_parent).map(|field| field.value.of(head));
    let (first, second) = (parents.next(), parents.next());
    first.filter(|value| second.is_none() && is_traceparent(value))
}

/// What a good one says.
fn read(value: &[u8]) -> Context {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let hex = |from: usize, to: usize| text.get(from..to).and_then(|digits| u128::from_str_radix(digits, 16).ok());
    let part = |from: usize, to: usize| u64::try_from(hex(from, to).unwrap_or(0)).unwrap_or(0);
    Context { trace: hex(3, 35).unwrap_or(0), span: part(36, 52), parent: 0, flags: part(53, 55) as u8 }
}

/// Takes the fields of a request out, and leaves ours to be written. A trace that we begin has no `tracestate` either (3.3: "the vendor creates a
/// new traceparent header and deletes the tracestate").
fn replace(scratch: &mut Scratch, head: &[u8], begins: bool, context: Context) {
    let Scratch { request, trace, .. } = scratch;
    let replaced =
        |field: &&mut Field| named(field, head, b"traceparent") || (begins && named(field, head, b"tracestate"));
    request.fields.iter_mut().filter(replaced).for_each(|field| field.known = Known::Hop);
    let Context { trace: id, span, flags, .. } = context;
    let _ = write!(trace, "00-{id:032x}-{span:016x}-{flags:02x}");
}

fn named(field: &Field, head: &[u8], name: &[u8]) -> bool {
    field.name.of(head).eq_ignore_ascii_case(name)
}

/// Version 00 as it is written, or a later one that begins like it (3.2.2, 4.3).
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |from: usize, to: usize| {
        let digits = &value[from..to];
        digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |from: usize, to: usize| value[from..to].iter().all(|b| *b == b'0');
    let shape = value.len() >= 55 && [2, 35, 52].iter().all(|at| value[*at] == b'-');
    let known = shape && &value[..2] == b"00" && value.len() == 55;
    let later = shape && &value[..2] != b"00" && &value[..2] != b"ff" && (value.len() == 55 || value[55] == b'-');
    (known || later) && hex(0, 2) && hex(3, 35) && hex(36, 52) && hex(53, 55) && !zero(3, 35) && !zero(36, 52)
}

/// Puts the ids into a rewritten head, before the empty line at its end.
pub fn write(scratch: &mut Scratch, id: &[u8], made: Made) {
    let Scratch { sent, trace, .. } = scratch;
    if !made.id && !made.trace {
        return;
    }
    sent.truncate(sent.len() - 2);
    if made.id {
        line(sent, b"X-Request-ID", id);
    }
    if made.trace {
        line(sent, b"traceparent", trace);
    }
    sent.extend_from_slice(b"\r\n");
}

/// Puts an id into an answer of the proxy itself, behind its first line.
pub fn name(answer: &mut Vec<u8>, id: &[u8]) {
    if let Some(end) = memchr::memchr(b'\n', answer).filter(|_| !id.is_empty()) {
        answer.splice(end + 1..end + 1, [b"X-Request-ID: ", id, b"\r\n"].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_a_traceparent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let later = format!("cc{}-what-comes-later", &good[2..]);
        for value in [good, &good.replace("00-0", "01-0"), &later] {
            assert!(is_traceparent(value.as_bytes()), "{value}");
        }
        let bad = [
            String::new(),
            good[..54].to_owned(),
            format!("{good}-more"),
            good.replace("00-0", "ff-0"),
            good.replace("b7ad6b7169203331", "0000000000000000"),
            good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            good.to_uppercase(),
            good.replace('-', "_"),
        ];
        for value in bad {
            assert!(!is_traceparent(value.as_bytes()), "{value}");
        }
    }
}
