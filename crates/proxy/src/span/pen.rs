//! Where a worker leaves its spans.

use std::cell::RefCell;
use std::sync::Arc;

use super::describe::{self, Around};
use super::{Lost, Spans};
use crate::log::Told;
use crate::ring::Mouth;

/// One worker's way out.
#[derive(Debug)]
pub struct Pen {
    spans: Arc<Spans>,
    mouth: RefCell<Mouth>,
}

impl Pen {
    /// That of this worker.
    pub fn new(spans: &Arc<Spans>, worker: usize) -> Self {
        Self { spans: spans.clone(), mouth: RefCell::new(spans.rings.mouth(worker)) }
    }

    /// Leaves the span of a request for the receiver of this number. If there is no room, it is dropped and counted.
    pub fn write(&self, receiver: u32, around: &Around, told: &Told<'_>) {
        if !self.mouth.borrow_mut().put(receiver, |span| describe::write(span, around, told)) {
            self.spans.counts.lost(Lost::QueueFull, 1);
        }
    }
}
