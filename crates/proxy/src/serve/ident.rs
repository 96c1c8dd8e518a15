//! The ids that follow a request: `X-Request-ID`, and `traceparent` of W3C Trace Context (Level 1).

use std::io::Write;

use super::connection::Client;
use super::forward::line;
use crate::http::field::Known;
use crate::http::head::Field;
use crate::worker::Worker;
use crate::worker::stock::Scratch;
use cutover_core::trail::Trail;

/// The longest id that is taken from a trusted peer.
const LONGEST: usize = 128;

/// Finds or makes the ids of a request before its head is rewritten, and takes those fields out that are replaced. They are left in the
/// scratch space and the record for the answer and the log; [`write`] puts them into the rewritten head.
///
/// Whether there is one to put there.
pub fn find(scratch: &mut Scratch, head: &[u8], trail: &Trail, trusted: bool, client: &Client) -> Made {
    let worker = &client.worker;
    scratch.trace.clear();
    if trail.request_id {
        request_id(scratch, &mut client.record.id.borrow_mut(), head, trusted, worker);
    }
    let trace = (trail.trace || trail.log.is_some()) && trace(scratch, head, trail.trace, worker);
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

/// A `traceparent` that can be read is kept, whoever sent it: nothing is decided by it. One that cannot be read is replaced, and with
/// it goes `tracestate` (3.3: "the vendor creates a new traceparent header and deletes the tracestate").
/// Whether one was made.
fn trace(scratch: &mut Scratch, head: &[u8], make: bool, worker: &Worker) -> bool {
    let Scratch { request, trace, .. } = scratch;
    let is_parent = |field: &Field| named(field, head, b"traceparent");
    let mut parents = request.fields.iter().filter(|field| is_parent(field)).map(|field| field.value.of(head));
    let (first, second) = (parents.next(), parents.next());
    if let (Some(value), None) = (first, second)
        && is_traceparent(value)
    {
        trace.extend_from_slice(value);
        return false;
    }
    if !make {
        return false;
    }
    let replaced = |field: &&mut Field| is_parent(field) || named(field, head, b"tracestate");
    request.fields.iter_mut().filter(replaced).for_each(|field| field.known = Known::Hop);
    // Neither part may be zero (2.2.2.3).
    let (high, low, span) = (worker.random(), worker.random().max(1), worker.random().max(1));
    let _ = write!(trace, "00-{high:016x}{low:016x}-{span:016x}-01");
    true
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
