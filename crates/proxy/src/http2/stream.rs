//! A stream of HTTP/2 as a connection of HTTP/1.1 with one request.
//!
//! Reading gives the head, then the body in its framing, then nothing until the client gives up; writing takes the answer. A stream that has
//! become a tunnel reads and writes plain bytes, and each side ends when it ends.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Answer;
use super::inflow::Inflow;
use super::request::Head;

/// A stream.
#[derive(Debug)]
pub struct Stream {
    /// Whether its connection is encrypted.
    pub secure: bool,
    /// Whether it is to become a tunnel.
    tunnel: bool,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    request: Inflow,
    answer: Answer,
    /// How much of the write that is being tried was taken.
    accepted: usize,
}

impl Stream {
    /// With the head of its request.
    pub fn new(head: Head, body: RecvStream, respond: SendResponse<Bytes>, secure: bool) -> Self {
        let Head { bytes, chunked, bodiless, upgrade } = head;
        let tunnel = upgrade.is_some();
        let answer = Answer::new(respond, bodiless, upgrade);
        let inner = Inner { request: Inflow::behind(bytes.into(), body, chunked), answer, accepted: 0 };
        Self { secure, tunnel, inner: RefCell::new(inner) }
    }

    /// Reads the request as it would come by HTTP/1.1. Its end is that the client takes no answer any more, or has it.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner.borrow_mut();
        let before = buf.filled().len();
        if !inner.request.is_over() {
            ready!(inner.request.poll_read(cx, buf))?;
        }
        // The end of a request may come by itself. It is not the end of its client, but in a tunnel.
        if buf.filled().len() == before && !self.tunnel && !inner.answer.ended() {
            ready!(inner.answer.poll_given_up(cx));
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the answer as it would go by HTTP/1.1. It is on its way to the client when this is ready.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.accepted == 0 {
            inner.answer.take(bytes)?;
            inner.accepted = bytes.len();
        }
        ready!(inner.answer.poll_send(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut inner.accepted)))
    }

    /// Writes what there is room for at once.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.accepted > 0 || inner.answer.is_waiting() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        inner.answer.take(bytes)?;
        match inner.answer.poll_send(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(sent) => sent.map(|()| bytes.len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether the answer has begun.
    pub fn has_answer(&self) -> bool {
        self.inner.borrow().answer.has_begun()
    }

    /// Whether the client has given up an answer that is not whole.
    pub fn poll_given_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.answer.ended() { Poll::Pending } else { inner.answer.poll_given_up(cx) }
    }

    /// If the answer breaks off, the client is told this reason.
    pub fn breaks_for(&self, reason: Reason) {
        self.inner.borrow_mut().answer.breaks_for(reason);
    }

    /// Waits until the client has made room for all of it.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().answer.poll_send(cx)
    }

    /// Ends a tunnel; any other answer ends by itself.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner.borrow_mut();
        ready!(inner.answer.poll_send(cx))?;
        inner.answer.close();
        inner.answer.poll_send(cx)
    }
}

impl AsyncRead for &Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Stream::poll_read(*self, cx, buf)
    }
}

impl AsyncWrite for &Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Stream::poll_write(*self, cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_flush(*self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_shutdown(*self, cx)
    }
}
