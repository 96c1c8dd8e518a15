//! The two directions of a connection while one task reads and writes it at once: of a client's socket, and of a wire to an instance.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::tls::stream::Secured;

/// What reads from a connection while something else writes to it. `O` is what only one of the two can be.
#[derive(Debug)]
pub enum Reader<'a, O> {
    /// In the clear.
    Plain(ReadHalf<'a>),
    /// In TLS.
    Tls(&'a Secured),
    /// Otherwise.
    Other(O),
}

/// What writes to a connection while something else reads from it.
#[derive(Debug)]
pub enum Writer<'a, O> {
    /// In the clear.
    Plain(WriteHalf<'a>),
    /// In TLS.
    Tls(&'a Secured),
    /// Otherwise.
    Other(O),
}

impl<O: AsyncRead + Unpin> AsyncRead for Reader<'_, O> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => tls.poll_read(cx, buf),
            Self::Other(other) => Pin::new(other).poll_read(cx, buf),
        }
    }
}

impl<O: AsyncWrite + Unpin> AsyncWrite for Writer<'_, O> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => tls.poll_write(cx, bytes),
            Self::Other(other) => Pin::new(other).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => tls.poll_flush(cx),
            Self::Other(other) => Pin::new(other).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => tls.poll_shutdown(cx),
            Self::Other(other) => Pin::new(other).poll_shutdown(cx),
        }
    }
}
