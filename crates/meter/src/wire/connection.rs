//! One TCP connection, with what has arrived on it and not been read yet.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::body::{Decoder, Step};
use super::head::Head;
use crate::failure::{Class, Fault};

/// How much is read at once.
const READ_SIZE: usize = 16 * 1024;

/// A connection, and the count of what went over it for the present request.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the unread part of the buffer begins.
    start: usize,
    reused: bool,
    sent: u64,
    received: u64,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await.map_err(|error| not_connected(&error))?;
        // Without this, the pieces of a slow upload would wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, buffer: Vec::new(), start: 0, reused: false, sent: 0, received: 0 })
    }

    /// Whether this connection has carried an answer before the present request.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Bytes sent and received for the present request.
    pub(crate) fn moved(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// Asks the kernel now whether the other side has closed or sent what nobody asked for. The runtime's own knowledge
    /// may be older than this moment.
    pub(crate) fn looks_closed(&self) -> bool {
        let mut byte = [0];
        let looked = rustix::net::recv(&self.stream, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        !matches!(looked, Err(rustix::io::Errno::AGAIN))
    }

    /// Ends the present request: the connection is as good as new, but for having been used.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        if self.start < self.buffer.len() {
            return Err(Fault::malformed("bytes after the end of the answer"));
        }
        (self.reused, self.sent, self.received) = (true, 0, 0);
        Ok(())
    }

    /// Writes all of `bytes`.
    ///
    /// An error here is not the verdict: the server may have answered before it closed. Whoever gets one should still try to
    /// read, and will then get either the answer or the verdict.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.stream.write(bytes).await?;
            self.sent += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Done when there is something to read, be it the end.
    pub(crate) async fn readable(&self) {
        let _ = self.stream.readable().await;
    }

    /// Reads the head of the answer, past interim ones (RFC 9110, section 15.2), but not past an agreement to upgrade.
    pub(crate) async fn head(&mut self, may_upgrade: bool) -> Result<Head, Fault> {
        loop {
            match Head::read(self.unread())? {
                None => {
                    if self.fill().await? == 0 {
                        return Err(self.ended());
                    }
                }
                Some((head, length)) => {
                    self.start += length;
                    match head.status {
                        101 if may_upgrade => return Ok(head),
                        101 => {
                            return Err(Fault::malformed("status 101, but nothing was to be upgraded"));
                        }
                        100..=199 => {}
                        _ => return Ok(head),
                    }
                }
            }
        }
    }

    /// Reads the next piece of a body. `None` at its proper end.
    pub(crate) async fn piece(&mut self, decoder: &mut Decoder) -> Result<Option<&[u8]>, Fault> {
        loop {
            match decoder.step(&self.buffer[self.start..])? {
                Step::End => return Ok(None),
                Step::Framing(length) => self.start += length,
                Step::Data(length) => {
                    let from = self.start;
                    self.start += length;
                    return Ok(Some(&self.buffer[from..from + length]));
                }
                Step::More => {
                    if self.fill().await? == 0 {
                        return if decoder.ends_with_connection() { Ok(None) } else { Err(self.ended()) };
                    }
                }
            }
        }
    }

    /// What has arrived and not been read.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Marks the first `length` unread bytes as read.
    pub(crate) fn consume(&mut self, length: usize) {
        self.start += length;
    }

    /// Waits for more bytes and gives their number; 0 at the end of the connection.
    pub(crate) async fn fill(&mut self) -> Result<usize, Fault> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(READ_SIZE);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(count) => {
                self.received += count as u64;
                Ok(count)
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// The verdict on a connection that was closed in good order, but too early.
    pub(crate) fn ended(&self) -> Fault {
        if self.received == 0 {
            Fault::new(Class::ClosedWithoutAnswer, "the connection was closed")
        } else {
            Fault::new(Class::Truncated, "the connection was closed in the middle of the answer")
        }
    }

    fn broken(&self, error: &io::Error) -> Fault {
        let class = match (self.received, self.reused) {
            (0, true) => Class::ResetOnReused,
            (0, false) => Class::ResetOnFresh,
            (_, _) => Class::Truncated,
        };
        Fault::new(class, error.to_string())
    }
}

fn not_connected(error: &io::Error) -> Fault {
    use rustix::io::Errno;
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    let class = match error.kind() {
        ErrorKind::ConnectionRefused => Class::Refused,
        ErrorKind::ConnectionReset => Class::ResetOnFresh,
        // Out of ports or descriptors on this side.
        ErrorKind::AddrNotAvailable => Class::Meter,
        _ if is(Errno::MFILE) || is(Errno::NFILE) => Class::Meter,
        _ => Class::Unreachable,
    };
    Fault::new(class, format!("could not connect: {error}"))
}
