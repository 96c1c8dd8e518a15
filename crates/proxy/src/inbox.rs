//! Bytes read from a socket and not yet used.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::worker::stock::Stock;

/// A read buffer that is borrowed from the worker's stock only while there is something to read.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// What was read and not used.
    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether there is nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first `count` bytes are used.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes sure that there is a buffer.
    #[inline]
    pub fn borrow(&mut self, stock: &Stock) {
        if self.bytes.is_empty() {
            self.bytes = stock.read();
        }
    }

    /// Gives the buffer back if it is empty.
    #[inline]
    pub fn release(&mut self, stock: &Stock) {
        if self.is_empty() && !self.bytes.is_empty() {
            stock.give_read(std::mem::take(&mut self.bytes));
        }
    }

    /// Whether nothing more fits.
    pub fn full(&self) -> bool {
        self.end - self.start == self.bytes.len()
    }

    /// Reads once. Zero is the end of the stream; with a full buffer it would be mistaken for that, so the caller must have
    /// looked.
    #[inline]
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(from).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Reads once.
    pub async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx, from)).await
    }
}
