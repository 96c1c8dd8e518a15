//! What a worker writes with.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use cutover_core::trail::Format;
use rtrb::Producer;

use super::Logs;
use super::line::{self, Clock, Told};

/// What stands before each line in a ring: the number of its file and its length.
pub const HEADER: usize = 8;

/// One worker's way into the logs.
#[derive(Debug)]
pub struct Pen {
    logs: Arc<Logs>,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    ring: Option<Producer<u8>>,
    line: Vec<u8>,
    clock: Clock,
}

impl Pen {
    /// That of this worker.
    pub fn new(logs: &Arc<Logs>, worker: usize) -> Self {
        let mut producers = logs.producers.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = producers.get_mut(worker).and_then(Option::take);
        Self { logs: logs.clone(), inner: RefCell::new(Inner { ring, line: Vec::new(), clock: Clock::default() }) }
    }

    /// Writes a line to the file of this number. False if there is no room.
    pub fn write(&self, file: u32, format: &Format, told: &Told<'_>) -> bool {
        let Inner { ring, line, clock } = &mut *self.inner.borrow_mut();
        line.clear();
        line.extend_from_slice(&file.to_le_bytes());
        line.extend_from_slice(&[0; 4]);
        line::write(line, format, told, clock);
        line.push(b'\n');
        let length = u32::try_from(line.len() - HEADER).unwrap_or(u32::MAX);
        line[4..HEADER].copy_from_slice(&length.to_le_bytes());
        let written = ring.as_mut().is_some_and(|ring| ring.push_entire_slice(line).is_ok());
        // The flag is looked at first: while the writer is awake, this costs one read of a line that nobody writes.
        if !self.logs.awake.load(Relaxed) && !self.logs.awake.swap(true, SeqCst) {
            self.logs.wake();
        }
        written
    }
}
