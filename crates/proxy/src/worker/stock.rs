//! Spare buffers of one worker. An idle connection holds none, so ten thousand of them cost little.

use std::cell::RefCell;
use std::rc::Rc;

use crate::http::request::Request;
use crate::http::response::Response;

/// The size of a read buffer: a whole head fits.
pub const READ: usize = 16 << 10;

/// The size of a large read buffer: what the kernel passes on at once on a fast network, and four records of TLS.
pub const WIDE: usize = 64 << 10;

/// How many large ones are lent. They make long bodies cheap while few move; thousands of slow downloads go by the small ones.
const LENT: usize = 32;

/// How many of each kind are kept.
const KEPT: usize = 64;

/// What a scratch space may keep. Messages grow it; in time every one has had a long message, and together they would be megabytes that nobody uses.
const SMALL: usize = READ;

/// How many are kept with what they have grown to, up to [`LARGEST`] for each buffer: the next long message comes soon.
const GROWN: usize = 8;

/// Larger ones are never kept.
const LARGEST: usize = 64 << 10;

/// What serving one request needs besides its read buffers.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The parsed request.
    pub request: Request,
    /// The parsed answer.
    pub response: Response,
    /// What is sent to the instance: the head, and the body as far as it is buffered.
    pub sent: Vec<u8>,
    /// What is being written to the client.
    pub out: Vec<u8>,
    /// A copy of the head as the client sent it, if its request is to be told of.
    pub head: Vec<u8>,
    /// Its `traceparent`, if it has one that is used.
    pub trace: Vec<u8>,
}

/// The spare buffers.
#[derive(Debug, Default)]
pub struct Stock {
    reads: RefCell<Vec<Vec<u8>>>,
    wides: RefCell<Vec<Vec<u8>>>,
    /// Everyone who has a large buffer has this too, however that ends.
    lent: Rc<()>,
    #[expect(clippy::vec_box, reason = "they are lent as boxes, so that the future of a connection stays small")]
    scratches: RefCell<Vec<Box<Scratch>>>,
    /// Where tunnels read; shared, because nothing stays in it from one step to the next.
    pub tunnel: RefCell<Vec<u8>>,
}

impl Stock {
    /// A read buffer of [`READ`] bytes.
    pub fn read(&self) -> Vec<u8> {
        self.reads.borrow_mut().pop().unwrap_or_else(|| vec![0; READ])
    }

    /// Gives one back.
    pub fn give_read(&self, buffer: Vec<u8>) {
        let mut reads = self.reads.borrow_mut();
        if buffer.len() == READ && reads.len() < KEPT {
            reads.push(buffer);
        }
    }

    /// A buffer of [`WIDE`] bytes, with what counts as having one; none if enough are lent.
    pub fn wide(&self) -> Option<(Vec<u8>, Rc<()>)> {
        let bytes = || self.wides.borrow_mut().pop().unwrap_or_else(|| vec![0; WIDE]);
        (Rc::strong_count(&self.lent) <= LENT).then(|| (bytes(), self.lent.clone()))
    }

    /// Gives one back.
    pub fn give_wide(&self, buffer: Vec<u8>) {
        self.wides.borrow_mut().push(buffer);
    }

    /// A scratch space with empty buffers.
    pub fn scratch(&self) -> Box<Scratch> {
        self.scratches.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives one back.
    pub fn give_scratch(&self, mut scratch: Box<Scratch>) {
        let mut scratches = self.scratches.borrow_mut();
        if scratches.len() < KEPT {
            let most = if scratches.len() < GROWN { LARGEST } else { SMALL };
            let Scratch { sent, out, head, trace, .. } = &mut *scratch;
            for buffer in [sent, out, head, trace] {
                if buffer.capacity() > most { *buffer = Vec::new() } else { buffer.clear() }
            }
            scratches.push(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with every scratch space kept as it is.
    #[test]
    fn few_scratch_spaces_stay_grown() {
        let stock = Stock::default();
        let grown = |size| Box::new(Scratch { sent: vec![0; size], out: vec![0; size], ..Scratch::default() });
        for _ in 0..2 * KEPT {
            stock.give_scratch(grown(LARGEST));
        }
        stock.give_scratch(grown(LARGEST + 1));
        let kept = stock.scratches.borrow();
        let capacity: usize = kept.iter().map(|scratch| scratch.sent.capacity() + scratch.out.capacity()).sum();
        assert_eq!((kept.len(), capacity), (KEPT, GROWN * 2 * LARGEST));
        assert!(kept.iter().all(|scratch| scratch.sent.is_empty() && scratch.out.is_empty()));
    }
}
