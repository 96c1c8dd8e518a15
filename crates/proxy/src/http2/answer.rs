//! The answer to a stream: what was written for a client of HTTP/1.1, taken apart and said in HTTP/2.
//!
//! Only what this proxy wrote itself arrives here, so that nothing can be read in two ways. At most one write of it waits for the
//! client to make room.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderName, HeaderValue};

use crate::http::body::{Body, Framing};
use crate::http::field::Known;
use crate::http::head::Scan;
use crate::http::response::Response;

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    bodiless: bool,
    head: Vec<u8>,
    body: Option<Body>,
    /// Content for which the client has no room yet.
    waiting: Bytes,
    ended: bool,
}

impl Answer {
    /// None yet. `bodiless` if it answers `HEAD`.
    pub fn new(respond: SendResponse<Bytes>, bodiless: bool) -> Self {
        Self { respond, send: None, bodiless, head: Vec::new(), body: None, waiting: Bytes::new(), ended: false }
    }

    /// Whether it was said to its end.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether something waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes what a client of HTTP/1.1 would get next.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.body.is_some() {
            return self.content(bytes);
        }
        self.head.extend_from_slice(bytes);
        while let Some(end) = Scan::default().end(&self.head).map_err(|bad| bad_answer(bad.0))? {
            let head: Vec<u8> = self.head.drain(..end).collect();
            let mut response = Response::default();
            response.parse(&head, self.bodiless).map_err(|bad| bad_answer(bad.0))?;
            let message = message(&head, &response);
            if response.status < 200 {
                self.respond.send_informational(message).map_err(io::Error::other)?;
                continue;
            }
            self.ended = response.framing == Framing::Empty;
            self.send = Some(self.respond.send_response(message, self.ended).map_err(io::Error::other)?);
            self.body = Some(Body::new(response.framing, false));
            let rest = std::mem::take(&mut self.head);
            return self.content(&rest);
        }
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(body) = &mut self.body else { return Ok(()) };
        let mut out = Vec::with_capacity(bytes.len());
        body.pass(bytes, &mut out).map_err(|bad| bad_answer(bad.0))?;
        // Nothing waits: the write before was waited for.
        self.waiting = Bytes::from(out);
        Ok(())
    }

    /// Sends what waits, as far as the client has room for it. Ready when nothing waits.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (Some(send), Some(body)) = (&mut self.send, &self.body) else { return Poll::Ready(Ok(())) };
        while !self.waiting.is_empty() {
            send.reserve_capacity(self.waiting.len());
            let room = send.capacity().min(self.waiting.len());
            if room == 0 {
                match ready!(send.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                }
            }
            let piece = self.waiting.split_to(room);
            self.ended = body.done() && self.waiting.is_empty();
            send.send_data(piece, self.ended).map_err(io::Error::other)?;
        }
        if body.done() && !self.ended {
            self.ended = true;
            send.send_data(Bytes::new(), true).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the client gives the stream up, or is gone.
    pub fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.send {
            Some(send) => send.poll_reset(cx).map(drop),
            None => self.respond.poll_reset(cx).map(drop),
        }
    }
}

impl Drop for Answer {
    /// What was not said to its end must not look as if it was.
    fn drop(&mut self) {
        match &mut self.send {
            _ if self.ended => {}
            Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

fn bad_answer(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A head for HTTP/2: the status, and the fields that are not about the connection.
fn message(head: &[u8], response: &Response) -> http::Response<()> {
    let mut message = http::Response::new(());
    *message.status_mut() = http::StatusCode::from_u16(response.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let fields = message.headers_mut();
    fields.reserve(response.fields.len());
    for field in &response.fields {
        if matches!(field.known, Known::Connection | Known::TransferEncoding | Known::Upgrade | Known::Hop) {
            continue;
        }
        let name = HeaderName::from_bytes(field.name.of(head));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value.of(head))) {
            fields.append(name, value);
        }
    }
    message
}
