//! A stream of HTTP/2 as a connection of HTTP/1.1 with one request.
//!
//! Reading gives the head, then the body in its framing, then nothing until the client gives up; writing takes the answer. Data is
//! taken from the library only when there is a reader for it, so that a slow upload fills no more than the window of its stream.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::io::ReadBuf;

use super::answer::Answer;
use super::request::{Head, line};

/// A stream.
#[derive(Debug)]
pub struct Stream {
    /// Whether its connection is encrypted.
    pub secure: bool,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    body: RecvStream,
    chunked: bool,
    /// Whether all of the request was taken from the library.
    whole: bool,
    /// What is to be read next.
    ready: Vec<Bytes>,
    answer: Answer,
    /// How much of the write that is being tried was taken.
    accepted: usize,
}

impl Stream {
    /// With the head of its request.
    pub fn new(head: Head, body: RecvStream, respond: SendResponse<Bytes>, secure: bool) -> Self {
        let Head { bytes, chunked, bodiless } = head;
        let (whole, answer) = (body.is_end_stream(), Answer::new(respond, bodiless));
        let inner = Inner { body, chunked, whole, ready: vec![bytes.into()], answer, accepted: 0 };
        Self { secure, inner: RefCell::new(inner) }
    }

    /// Reads the request as it would come by HTTP/1.1. Its end is that the client takes no answer any more, or has it.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner.borrow_mut();
        loop {
            if let Some(next) = inner.ready.first_mut() {
                let count = next.len().min(buf.remaining());
                buf.put_slice(&next[..count]);
                next.advance(count);
                if next.is_empty() {
                    inner.ready.remove(0);
                }
                return Poll::Ready(Ok(()));
            }
            if !inner.whole {
                ready!(inner.poll_body(cx))?;
            } else if inner.answer.ended() {
                return Poll::Ready(Ok(()));
            } else {
                ready!(inner.answer.poll_given_up(cx));
                return Poll::Ready(Ok(()));
            }
        }
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

    /// Whether the answer was said to its end.
    pub fn is_answered(&self) -> bool {
        self.inner.borrow().answer.ended()
    }

    /// Waits until the client has made room for all of it.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().answer.poll_send(cx)
    }
}

impl Inner {
    /// Takes the next piece of the body from the library, and makes room for another.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(data) = ready!(self.body.poll_data(cx)) {
            let data = data.map_err(io::Error::other)?;
            self.body.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
            if !data.is_empty() {
                match self.chunked {
                    true => {
                        let size = format!("{:x}\r\n", data.len());
                        self.ready.extend([size.into(), data, Bytes::from_static(b"\r\n")]);
                    }
                    false => self.ready.push(data),
                }
            }
            return Poll::Ready(Ok(()));
        }
        let trailers = ready!(self.body.poll_trailers(cx)).map_err(io::Error::other)?;
        self.whole = true;
        if self.chunked {
            let mut end = b"0\r\n".to_vec();
            for (name, value) in trailers.iter().flatten() {
                line(&mut end, name.as_str().as_bytes(), value.as_bytes());
            }
            end.extend_from_slice(b"\r\n");
            self.ready.push(end.into());
        }
        Poll::Ready(Ok(()))
    }
}
