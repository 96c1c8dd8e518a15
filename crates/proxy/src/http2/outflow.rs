//! A body that was written as HTTP/1.1 has it, and goes by HTTP/2: unframed, with its trailers as such.
//!
//! At most one write of it waits for the other side to make room.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;

use super::append;
use crate::http::body::{Body, Framing};

/// One body.
#[derive(Debug)]
pub struct Outflow {
    send: SendStream<Bytes>,
    body: Body,
    /// Content for which there is no room yet.
    waiting: Bytes,
    ended: bool,
}

impl Outflow {
    /// A body of which nothing was written. One that is empty was said to be with its head.
    pub fn new(send: SendStream<Bytes>, framing: Framing) -> Self {
        let ended = framing == Framing::Empty;
        Self { send, body: Body::parted(framing), waiting: Bytes::new(), ended }
    }

    /// Whether it was said to its end.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether something waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the next bytes. Those before were waited for.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::with_capacity(bytes.len());
        self.body.pass(bytes, &mut out).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad.0))?;
        self.waiting = out.into();
        Ok(())
    }

    /// Sends what waits, as far as there is room for it. Ready when nothing waits.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while !self.waiting.is_empty() {
            self.send.reserve_capacity(self.waiting.len());
            let room = self.send.capacity().min(self.waiting.len());
            if room == 0 {
                match ready!(self.send.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => return Poll::Ready(Err(h2::Reason::STREAM_CLOSED.into())),
                }
                continue;
            }
            let piece = self.waiting.split_to(room);
            self.ended = self.body.done() && self.waiting.is_empty() && self.body.trailers().is_empty();
            self.send.send_data(piece, self.ended)?;
        }
        if self.body.done() && !self.ended {
            self.ended = true;
            match trailers(self.body.trailers()) {
                trailers if trailers.is_empty() => self.send.send_data(Bytes::new(), true)?,
                trailers => self.send.send_trailers(trailers)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends a body that goes on until somebody says so; any other is left as it is.
    pub fn close(&mut self) {
        // Nothing but a body without a length can be ended so.
        let _ = self.body.closed(&mut Vec::new());
    }

    /// Waits until the other side gives the stream up, or is gone.
    pub fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.send.poll_reset(cx).map(drop)
    }

    /// Gives the stream up.
    pub fn reset(&mut self, reason: h2::Reason) {
        self.send.send_reset(reason);
    }
}

/// Trailers from their lines, which were looked at when they came.
fn trailers(lines: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in lines.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let mut parts = line.splitn(2, |&b| b == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        append(&mut trailers, name, value.trim_ascii());
    }
    trailers
}
