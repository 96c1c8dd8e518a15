//! A connection to an instance: plain, in TLS, or by a unix socket. A plain one costs one comparison for each read and write, as a client's socket does, and the
//! rule for writers is the same (see `socket`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, unix};

use crate::halves;
use crate::tls::stream::Secured;

/// A connection.
#[derive(Debug)]
pub enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// In TLS, after the handshake.
    Tls(Box<Secured>),
    /// By a unix socket.
    Unix(UnixStream),
}

/// What reads from a connection while something else writes to it.
pub type Reader<'a> = halves::Reader<'a, unix::ReadHalf<'a>>;

/// What writes to a connection while something else reads from it.
pub type Writer<'a> = halves::Writer<'a, unix::WriteHalf<'a>>;

impl Wire {
    /// Both directions, for one task.
    #[inline]
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Self::Plain(tcp) => {
                let (reader, writer) = tcp.split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            Self::Tls(tls) => (Reader::Tls(tls), Writer::Tls(tls)),
            Self::Unix(unix) => {
                let (reader, writer) = unix.split();
                (Reader::Other(reader), Writer::Other(writer))
            }
        }
    }

    /// The socket below.
    pub fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(tcp) => tcp.as_fd(),
            Self::Tls(tls) => tls.tcp().as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }

    /// Whether nothing has arrived that nobody has read, not even an end. `certain` asks the kernel; else only what the event loop knows
    /// already is used, which is free. What it finds it may swallow: such a connection is not used again.
    pub fn is_quiet(&self, certain: bool) -> bool {
        let read = match self {
            Self::Plain(tcp) => tcp.try_read(&mut [0]),
            Self::Tls(tls) => tls.tcp().try_read(&mut [0]),
            Self::Unix(unix) => unix.try_read(&mut [0]),
        };
        if !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return false;
        }
        let peek = || rustix::net::recv(self.socket(), &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT).map(drop);
        !certain || peek() == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// Whether everything that came out of the socket has been read.
    pub fn is_read_out(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Unix(_) => true,
            Self::Tls(tls) => tls.is_read_out(),
        }
    }

    /// Whether a part of a write may be on its way of which nobody was told that it was taken.
    pub fn is_writing(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Unix(_) => false,
            Self::Tls(tls) => tls.is_writing(),
        }
    }
}

impl AsyncRead for Wire {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().split().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
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
