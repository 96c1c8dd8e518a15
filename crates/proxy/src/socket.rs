//! A client's socket: plain, in TLS, or a stream of HTTP/2. What is served over it is the same code, and a plain one costs one
//! comparison more.
//!
//! **Rule for writers:** a write that was not taken is tried again with the same bytes, perhaps with more behind them, or not at
//! all. TLS may have taken them into its next record by then. All writers here do: they keep what was not taken.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::halves;
use crate::http2::stream::Stream;
use crate::tls::stream::Secured;

/// A client's socket.
#[derive(Debug)]
pub enum Socket {
    /// In the clear: by TCP or by a unix socket (see `worker::accept`).
    Plain(TcpStream),
    /// In TLS, after the handshake.
    Tls(Box<Secured>),
    /// A stream of HTTP/2, which reads and writes as HTTP/1.1 would.
    Stream(Rc<Stream>),
}

/// What reads from a socket while something else writes to it.
pub type Reader<'a> = halves::Reader<'a, &'a Stream>;

/// What writes to a socket while something else reads from it.
pub type Writer<'a> = halves::Writer<'a, &'a Stream>;

impl Socket {
    /// Both directions, for one task.
    #[inline]
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Self::Plain(tcp) => {
                let (reader, writer) = tcp.split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            Self::Tls(tls) => (Reader::Tls(tls), Writer::Tls(tls)),
            Self::Stream(stream) => (Reader::Other(stream), Writer::Other(stream)),
        }
    }

    /// Whether what passes here is encrypted.
    #[inline]
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(_) => true,
            Self::Stream(stream) => stream.secure,
        }
    }

    /// The connection below, if it is for this alone.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(tls) => Some(tls.tcp()),
            Self::Stream(_) => None,
        }
    }

    /// The stream of HTTP/2, if it is one.
    #[inline]
    pub fn stream(&self) -> Option<&Rc<Stream>> {
        match self {
            Self::Stream(stream) => Some(stream),
            Self::Plain(_) | Self::Tls(_) => None,
        }
    }

    /// Writes if there is room at once.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write(bytes),
            Self::Tls(tls) => tls.try_write(bytes),
            Self::Stream(stream) => stream.try_write(bytes),
        }
    }

    /// The end of this connection will not look like an orderly one: whatever was sent is not all. `abruptly` if the client can
    /// tell that by nothing but how the connection ends.
    pub fn sever(&self, abruptly: bool) {
        if let Self::Tls(tls) = self {
            tls.sever();
        }
        if let Some(tcp) = self.tcp().filter(|_| abruptly) {
            // An orderly end would say "this was all" (RFC 9112, 8): only a reset does not. On a unix socket there is none: there a client
            // of HTTP/1.0 cannot tell.
            let _ = tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().split().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().split().1).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().split().1).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().split().1).poll_shutdown(cx)
    }
}
