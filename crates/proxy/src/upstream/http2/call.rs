//! A stream to an instance as a connection of HTTP/1.1 with one request: what is written to it are the head and the body in its framing,
//! what is read from it is the answer.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::Reason;
use h2::client::ResponseFuture;
use tokio::io::ReadBuf;

use super::message::{self, Message};
use super::trunk::Place;
use crate::http2::inflow::Inflow;
use crate::http2::outflow::Outflow;

/// A stream.
#[derive(Debug)]
pub struct Call {
    place: Place,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    way: Way,
    request: Option<Outflow>,
    bodiless: bool,
    /// How much of the write that is being tried was taken.
    accepted: usize,
    /// Why it broke off.
    broken: Option<Break>,
    /// Who waits for an answer before the request was sent.
    reader: Option<Waker>,
}

/// How far it has come.
#[derive(Debug)]
enum Way {
    /// The request was not sent yet.
    Before(Option<Box<Message>>),
    /// What comes before the answer.
    Waiting(ResponseFuture, Vec<u8>),
    /// The answer.
    Answering(Inflow),
}

/// Why a stream broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The instance says that it has done nothing with it (RFC 9113, 8.7), or nothing was ever sent.
    Refused,
    /// The instance gave it up, for this reason.
    Reset(Reason),
    /// The connection is gone, or nobody can say.
    Lost,
}

impl Break {
    fn of(error: &h2::Error) -> Self {
        match error.reason() {
            // The library says so only of streams beyond the last one that the instance has taken (RFC 9113, 6.8).
            Some(_) if error.is_go_away() && error.is_remote() => Self::Refused,
            Some(Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() => Self::Refused,
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason),
            _ => Self::Lost,
        }
    }
}

impl Call {
    /// One that was not sent yet. `bodiless` if its method is `HEAD`.
    pub fn new(place: Place, message: Message, bodiless: bool) -> Self {
        let way = Way::Before(Some(Box::new(message)));
        let inner = Inner { way, request: None, bodiless, accepted: 0, broken: None, reader: None };
        Self { place, inner: RefCell::new(inner) }
    }

    /// Why it broke off, if it did.
    pub fn broken(&self) -> Option<Break> {
        self.inner.borrow().broken
    }

    /// Nothing new goes to its connection.
    pub fn shun(&self) {
        self.place.shun();
    }

    /// Writes the request as it would go by HTTP/1.1; its whole head comes first. It is on its way when this is ready.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.accepted == 0 {
            inner.take(&self.place, bytes)?;
            inner.accepted = bytes.len();
        }
        ready!(inner.poll_send(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut inner.accepted)))
    }

    /// Waits until the instance has made room for all of it.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().poll_send(cx)
    }

    /// Reads the answer as it would come by HTTP/1.1. Nothing, once it is over.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner.borrow_mut();
        loop {
            match &mut inner.way {
                Way::Before(_) if inner.broken.is_some() => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Way::Before(_) => {
                    inner.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Way::Waiting(_, before) if !before.is_empty() => {
                    let count = before.len().min(buf.remaining());
                    buf.put_slice(&before[..count]);
                    before.drain(..count);
                    return Poll::Ready(Ok(()));
                }
                Way::Waiting(response, before) => match ready!(poll_head(cx, response, before, inner.bodiless)) {
                    Ok(None) => {}
                    Ok(Some(answer)) => inner.way = Way::Answering(answer),
                    Err(error) => return Poll::Ready(Err(inner.broke(&error))),
                },
                Way::Answering(answer) => {
                    let read = ready!(answer.poll_read(cx, buf));
                    if let (Err(_), Some(error)) = (&read, answer.broken()) {
                        let why = Break::of(error);
                        inner.broken.get_or_insert(why);
                    }
                    return Poll::Ready(read);
                }
            }
        }
    }
}

/// Waits for the head of the answer, or for one that comes before it, which is written to `before`.
fn poll_head(
    cx: &mut Context<'_>,
    response: &mut ResponseFuture,
    before: &mut Vec<u8>,
    bodiless: bool,
) -> Poll<Result<Option<Inflow>, h2::Error>> {
    if let Poll::Ready(Some(informational)) = response.poll_informational(cx) {
        message::informational(before, &informational?);
        return Poll::Ready(Ok(None));
    }
    let response = ready!(Pin::new(response).poll(cx))?;
    let mut head = Vec::with_capacity(512);
    let chunked = message::response(&mut head, &response, bodiless);
    Poll::Ready(Ok(Some(Inflow::behind(Bytes::from(head), response.into_body(), chunked))))
}

impl Inner {
    fn take(&mut self, place: &Place, bytes: &[u8]) -> io::Result<()> {
        let Way::Before(message) = &mut self.way else {
            return self.request.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |request| request.take(bytes));
        };
        let Message { request, framing, head } = *message.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let rest = bytes.get(head..).ok_or(io::ErrorKind::InvalidInput)?;
        let ends = framing == crate::http::body::Framing::Empty;
        let (response, send) = match place.send.clone().send_request(request, ends) {
            Ok(sent) => sent,
            Err(error) => {
                let nothing_sent = error.is_go_away() || error.is_io();
                self.broken = Some(if nothing_sent { Break::Refused } else { Break::Lost });
                self.reader.take().into_iter().for_each(Waker::wake);
                return Err(io::Error::other(error));
            }
        };
        self.way = Way::Waiting(response, Vec::new());
        self.reader.take().into_iter().for_each(Waker::wake);
        let mut outflow = Outflow::new(send, framing);
        outflow.take(rest)?;
        self.request = Some(outflow);
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(request) = &mut self.request else { return Poll::Ready(Ok(())) };
        match ready!(request.poll_send(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            // Whoever reads the answer will know better why.
            Err(error) => Poll::Ready(Err(io::Error::other(error))),
        }
    }

    fn broke(&mut self, error: &h2::Error) -> io::Error {
        self.broken.get_or_insert(Break::of(error));
        io::Error::other(error.to_string())
    }
}

impl Drop for Call {
    /// What is not over is given up, so that the instance learns that nobody waits.
    fn drop(&mut self) {
        let Inner { way, request, .. } = self.inner.get_mut();
        let answered = matches!(way, Way::Answering(answer) if answer.is_over());
        if let Some(request) = request.as_mut().filter(|request| !request.ended() || !answered) {
            request.reset(Reason::CANCEL);
        }
    }
}
