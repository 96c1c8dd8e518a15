//! What a worker writes with.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use cutover_core::trail::Format;

use super::Logs;
use super::line::{self, Clock, Told};
use crate::ring::Mouth;

/// One worker's way into the logs.
#[derive(Debug)]
pub struct Pen {
    logs: Arc<Logs>,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    mouth: Mouth,
    clock: Clock,
}

impl Pen {
    /// That of this worker.
    pub fn new(logs: &Arc<Logs>, worker: usize) -> Self {
        let inner = Inner { mouth: logs.rings.mouth(worker), clock: Clock::default() };
        Self { logs: logs.clone(), inner: RefCell::new(inner) }
    }

    /// Writes a line to the file of this number. False if there is no room.
    pub fn write(&self, file: u32, format: &Format, told: &Told<'_>) -> bool {
        let Inner { mouth, clock } = &mut *self.inner.borrow_mut();
        let written = mouth.put(file, |line| {
            line::write(line, format, told, clock);
            line.push(b'\n');
        });
        // The flag is looked at first: while the writer is awake, this costs one read of a line that nobody writes.
        if !self.logs.awake.load(Relaxed) && !self.logs.awake.swap(true, SeqCst) {
            self.logs.wake();
        }
        written
    }
}
