//! The answer to a stream: what was written for a client of HTTP/1.1, taken apart and said in HTTP/2.
//!
//! Only what this proxy wrote itself arrives here, so that nothing can be read in two ways.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::StatusCode;

use super::append;
use super::outflow::Outflow;
use super::websocket::Upgrade;
use crate::http::body::Framing;
use crate::http::field::Known;
use crate::http::head::Scan;
use crate::http::response::Response;

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    respond: SendResponse<Bytes>,
    out: Option<Outflow>,
    bodiless: bool,
    /// If the client wants a WebSocket: how one looks that came about.
    upgrade: Option<Upgrade>,
    head: Vec<u8>,
    /// Whether the rest of what is written is for nobody.
    dropped: bool,
    /// What the client is told if the answer breaks off.
    reason: Reason,
}

impl Answer {
    /// None yet. `bodiless` if it answers `HEAD`.
    pub fn new(respond: SendResponse<Bytes>, bodiless: bool, upgrade: Option<Upgrade>) -> Self {
        let (out, head, reason) = (None, Vec::new(), Reason::INTERNAL_ERROR);
        Self { respond, out, bodiless, upgrade, head, dropped: false, reason }
    }

    /// Whether its head was said.
    pub fn has_begun(&self) -> bool {
        self.out.is_some()
    }

    /// Whether it was said to its end.
    pub fn ended(&self) -> bool {
        self.dropped || self.out.as_ref().is_some_and(Outflow::ended)
    }

    /// Whether something waits.
    pub fn is_waiting(&self) -> bool {
        self.out.as_ref().is_some_and(Outflow::is_waiting)
    }

    /// The client is told this reason, if the answer breaks off.
    pub fn breaks_for(&mut self, reason: Reason) {
        self.reason = reason;
    }

    /// Takes what a client of HTTP/1.1 would get next.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.dropped {
            return Ok(());
        }
        if let Some(out) = &mut self.out {
            return out.take(bytes);
        }
        self.head.extend_from_slice(bytes);
        while self.out.is_none() && !self.dropped {
            let Some(end) = Scan::default().end(&self.head).map_err(|bad| bad_answer(bad.0))? else { return Ok(()) };
            let head: Vec<u8> = self.head.drain(..end).collect();
            let mut response = Response::default();
            response.parse(&head, self.bodiless).map_err(|bad| bad_answer(bad.0))?;
            self.say(&head, &response)?;
        }
        let rest = std::mem::take(&mut self.head);
        self.out.as_mut().map_or(Ok(()), |out| out.take(&rest))
    }

    /// Says a head.
    fn say(&mut self, head: &[u8], response: &Response) -> io::Result<()> {
        let mut message = message(head, response);
        let framing = match (&self.upgrade, response.status) {
            (Some(upgrade), 101) => {
                upgrade.check(message.headers_mut())?;
                // The stream is the tunnel (RFC 8441, 5).
                *message.status_mut() = StatusCode::OK;
                self.reason = Reason::CANCEL;
                Framing::UntilClose
            }
            (Some(_), 200..=299) => {
                // To the client it would look like a tunnel.
                *message.status_mut() = StatusCode::BAD_GATEWAY;
                message.headers_mut().clear();
                self.dropped = true;
                Framing::Empty
            }
            (_, 100..=199) => return self.respond.send_informational(message).map_err(io::Error::other),
            _ => response.framing,
        };
        let send = self.respond.send_response(message, framing == Framing::Empty).map_err(io::Error::other)?;
        self.out = Some(Outflow::new(send, framing));
        Ok(())
    }

    /// Sends what waits, as far as the client has room for it. Ready when nothing waits.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.out {
            Some(out) => out.poll_send(cx).map_err(io::Error::other),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Ends a tunnel. Whatever else was not said to its end stays so.
    pub fn close(&mut self) {
        if let Some(out) = self.out.as_mut().filter(|_| self.upgrade.is_some()) {
            out.close();
        }
    }

    /// Waits until the client gives the stream up, or is gone.
    pub fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.out {
            Some(out) => out.poll_given_up(cx),
            None => self.respond.poll_reset(cx).map(drop),
        }
    }
}

impl Drop for Answer {
    /// What was not said to its end must not look as if it was.
    fn drop(&mut self) {
        match &mut self.out {
            Some(out) if out.ended() => {}
            Some(out) => out.reset(self.reason),
            None => self.respond.send_reset(self.reason),
        }
    }
}

fn bad_answer(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A head for HTTP/2: the status, and the fields that are not about the connection.
fn message(head: &[u8], response: &Response) -> http::Response<()> {
    let mut message = http::Response::new(());
    *message.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let fields = message.headers_mut();
    fields.reserve(response.fields.len());
    // A call of gRPC that ends with its head has trailers only, and no length of anything.
    let trailers_only = response.framing == Framing::Empty
        && response.fields.iter().any(|field| field.name.of(head).eq_ignore_ascii_case(b"grpc-status"));
    for field in &response.fields {
        let length_of_nothing = trailers_only && field.known == Known::ContentLength;
        if !field.known.is_of_connection() && !length_of_nothing {
            append(fields, field.name.of(head), field.value.of(head));
        }
    }
    message
}
