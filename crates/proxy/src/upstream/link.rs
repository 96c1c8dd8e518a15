//! The way to an instance for one request: a connection for it alone, or a stream of one that others share. What is served over it is the same
//! code; a connection costs one comparison for each read and write, as a client's socket does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::call::{Break, Call};
use super::wire::{self, Wire};

/// The way to an instance.
#[derive(Debug)]
pub enum Link {
    /// A connection of HTTP/1.1.
    Wire(Wire),
    /// A stream of HTTP/2, which reads and writes as HTTP/1.1 would.
    Call(Box<Call>),
}

/// What reads from a link while something else writes to it.
#[derive(Debug)]
pub enum Reader<'a> {
    /// A connection.
    Wire(wire::Reader<'a>),
    /// A stream.
    Call(&'a Call),
}

/// What writes to a link while something else reads from it.
#[derive(Debug)]
pub enum Writer<'a> {
    /// A connection.
    Wire(wire::Writer<'a>),
    /// A stream.
    Call(&'a Call),
}

impl Link {
    /// Both directions, for one task.
    #[inline]
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Self::Wire(wire) => {
                let (reader, writer) = wire.split();
                (Reader::Wire(reader), Writer::Wire(writer))
            }
            Self::Call(call) => (Reader::Call(call), Writer::Call(call)),
        }
    }

    /// Why a stream broke off, if it did.
    pub fn broken(&self) -> Option<Break> {
        match self {
            Self::Wire(_) => None,
            Self::Call(call) => call.broken(),
        }
    }

    /// Whether bytes of a request may be on their way of which nobody was told that they were taken.
    pub fn is_writing(&self) -> bool {
        match self {
            Self::Wire(wire) => wire.is_writing(),
            Self::Call(_) => false,
        }
    }

    /// Whoever asked here waited in vain: nothing new goes the same way.
    pub fn shun(&self) {
        if let Self::Call(call) = self {
            call.shun();
        }
    }
}

impl AsyncRead for Reader<'_> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Wire(wire) => Pin::new(wire).poll_read(cx, buf),
            Self::Call(call) => call.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Writer<'_> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Wire(wire) => Pin::new(wire).poll_write(cx, bytes),
            Self::Call(call) => call.poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Wire(wire) => Pin::new(wire).poll_flush(cx),
            Self::Call(call) => call.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Wire(wire) => Pin::new(wire).poll_shutdown(cx),
            Self::Call(call) => call.poll_flush(cx),
        }
    }
}
