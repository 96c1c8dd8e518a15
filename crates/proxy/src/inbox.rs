//! Bytes read from a socket and not yet used.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::worker::stock::{READ, Stock};

/// A read buffer that is borrowed from the worker's stock only while there is something to read.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// That the buffer is one of the large ones, of which there are few.
    wide: Option<Rc<()>>,
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

    /// Makes room for more at once, if the last read filled what there was: a body comes faster than it is taken.
    #[inline]
    pub fn widen(&mut self, stock: &Stock) {
        if self.end - self.start == READ
            && self.bytes.len() == READ
            && let Some((mut bytes, token)) = stock.wide()
        {
            bytes[..READ].copy_from_slice(&self.bytes);
            stock.give_read(std::mem::replace(&mut self.bytes, bytes));
            self.wide = Some(token);
        }
    }

    /// Gives the buffer back if it is empty.
    #[inline]
    pub fn release(&mut self, stock: &Stock) {
        if self.is_empty() && !self.bytes.is_empty() {
            let bytes = std::mem::take(&mut self.bytes);
            if self.wide.take().is_some() { stock.give_wide(bytes) } else { stock.give_read(bytes) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::stock::WIDE;

    /// An inbox that has read as much as fits, and then had the occasion to become larger.
    async fn full(stock: &Stock) -> Inbox {
        let mut inbox = Inbox::default();
        inbox.borrow(stock);
        let mut source = &[b'x'; READ + 1][..];
        assert_eq!(inbox.fill(&mut source).await.unwrap(), READ);
        inbox.widen(stock);
        inbox
    }

    /// Seen to fail with the token not taken along, with no limit, and with what was read forgotten.
    #[tokio::test]
    async fn few_have_a_large_buffer_and_those_that_end_make_room() {
        let stock = Stock::default();
        let mut all = Vec::new();
        for _ in 0..100 {
            let inbox = full(&stock).await;
            assert_eq!(inbox.data(), [b'x'; READ]);
            all.push(inbox);
        }
        let large = |all: &[Inbox]| all.iter().filter(|inbox| inbox.bytes.len() == WIDE).count();
        assert_eq!(large(&all), 32);
        // One is given back, one is lost with its connection.
        all[0].consume(READ);
        all[0].release(&stock);
        all.swap_remove(1);
        all.push(full(&stock).await);
        all.push(full(&stock).await);
        all.push(full(&stock).await);
        assert_eq!(large(&all), 32);
        let mut more = Inbox::default();
        more.borrow(&stock);
        more.widen(&stock);
        assert_eq!(more.bytes.len(), READ, "nothing has come yet");
    }
}
