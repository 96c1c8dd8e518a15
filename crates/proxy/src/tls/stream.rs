//! A TLS connection over a socket, without tasks and locks: both directions of it belong to one task.
//!
//! rustls keeps the records, this file moves the bytes. What is written goes out before the write is said to be done, so
//! that no caller has to flush, a stalled peer is seen as one, and no more than a few records wait in memory. What is
//! read comes through one buffer per worker, in steps larger than rustls would take by itself; only what arrives behind a full
//! buffer of plain text is kept by the connection. Clients and instances make no difference here but in who begins.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use rustls::{AlertDescription, Connection};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// How much is read at once: a whole record (RFC 8446, 5.2) and a bit.
const READ: usize = 17 << 10;

/// How much plain text is encrypted at once: four records.
const WRITE: usize = 64 << 10;

/// How much plain text rustls holds for us before it refuses more.
const HELD: usize = 16 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A TLS connection.
#[derive(Debug)]
pub struct Secured {
    tcp: TcpStream,
    session: RefCell<Session>,
}

#[derive(Debug)]
struct Session {
    tls: Connection,
    /// What was received and rustls did not take yet.
    unfed: Vec<u8>,
    /// How much of the write that is being tried went into records already.
    accepted: usize,
    /// Whether the other side was told that nothing more comes.
    closed: bool,
    /// Whether it must not be told so.
    severed: bool,
    /// The alert by which the other side ended it.
    alert: Option<AlertDescription>,
}

/// A socket as rustls wants it: it says `WouldBlock` instead of waiting.
pub struct Now<'a>(pub &'a TcpStream);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Secured {
    /// A connection whose handshake has begun. `unfed` is what was received beyond the greeting.
    pub fn new(tcp: TcpStream, tls: impl Into<Connection>, unfed: Vec<u8>) -> Self {
        let session = Session { tls: tls.into(), unfed, accepted: 0, closed: false, severed: false, alert: None };
        Self { tcp, session: RefCell::new(session) }
    }

    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether the handshake settled on this protocol.
    pub fn speaks(&self, protocol: &[u8]) -> bool {
        self.session.borrow().tls.alpn_protocol() == Some(protocol)
    }

    /// The alert by which the other side ended the connection, if it did.
    pub fn alert(&self) -> Option<AlertDescription> {
        self.session.borrow().alert
    }

    /// Whether a part of a write went into records that may be on their way, though the write has not come to its end.
    pub fn is_writing(&self) -> bool {
        self.session.borrow().accepted > 0
    }

    /// Whether nothing is left that was received and not read, be it text or a farewell.
    pub fn is_read_out(&self) -> bool {
        let session = &mut *self.session.borrow_mut();
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        session.unfed.is_empty() && session.tls.reader().read(&mut [0]).is_err_and(|error| would_block(&error))
    }

    /// The connection will end without a farewell, so that the other side does not take what it has for all.
    pub fn sever(&self) {
        self.session.borrow_mut().severed = true;
    }

    /// Goes on with the handshake until it is done.
    pub fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.session.borrow_mut();
        loop {
            // The tickets that end a handshake can wait for the first answer.
            if !session.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(session.poll_send(&self.tcp, cx))?;
            if ready!(session.poll_receive(&self.tcp, cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads plain text. Zero bytes are the other side's farewell; an end without one is an error.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.session.borrow_mut();
        loop {
            match session.tls.reader().read(buf.initialize_unfilled()) {
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            if session.poll_receive(&self.tcp, cx)?.is_pending() {
                // What rustls says by itself (tickets, an answer to a change of keys) goes out when nothing else does.
                if session.tls.wants_write() && session.accepted == 0 {
                    let _ = session.poll_send(&self.tcp, cx)?;
                }
                return Poll::Pending;
            }
        }
    }

    /// Writes plain text. It is in the socket when this is ready.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let session = &mut *self.session.borrow_mut();
        if session.accepted == 0 {
            session.accepted = session.tls.writer().write(&bytes[..bytes.len().min(WRITE)])?;
        }
        ready!(session.poll_send(&self.tcp, cx))?;
        Poll::Ready(Ok(std::mem::take(&mut session.accepted)))
    }

    /// Waits until everything is in the socket.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.borrow_mut().poll_send(&self.tcp, cx)
    }

    /// Writes what fits at once. Nothing of it is written later.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let session = &mut *self.session.borrow_mut();
        if session.accepted > 0 || session.tls.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = session.tls.writer().write(bytes)?;
        session.send(&self.tcp)?;
        Ok(count)
    }

    /// Says that nothing more comes, in TLS and below it.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = &mut *self.session.borrow_mut();
        if !std::mem::replace(&mut session.closed, true) {
            session.tls.send_close_notify();
        }
        ready!(session.poll_send(&self.tcp, cx))?;
        rustix::net::shutdown(self.tcp.as_fd(), rustix::net::Shutdown::Write)?;
        Poll::Ready(Ok(()))
    }
}

impl Session {
    /// Moves all records there are into the socket, as far as it takes them.
    fn send(&mut self, tcp: &TcpStream) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut Now(tcp))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    fn poll_send(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.send(tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tcp.poll_write_ready(cx))?,
                done => return Poll::Ready(done),
            }
        }
    }

    /// Receives once and decrypts. Gives the number of bytes received; zero at the end.
    fn poll_receive(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.unfed.is_empty() {
            let bytes = std::mem::take(&mut self.unfed);
            return Poll::Ready(self.feed(tcp, &bytes).map(|()| bytes.len()));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                match tcp.try_read(scratch) {
                    Ok(count) => return Poll::Ready(self.feed(tcp, &scratch[..count]).map(|()| count)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tcp.poll_read_ready(cx))?,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        })
    }

    /// Gives rustls what was received; nothing is the end. What it has no room for is kept.
    fn feed(&mut self, tcp: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let taken = self.tls.read_tls(&mut bytes)?;
            match self.tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() >= HELD && !bytes.is_empty() => {
                    self.unfed = bytes.to_vec();
                    return Ok(());
                }
                // Nothing counts after a farewell.
                Ok(_) if bytes.is_empty() || taken == 0 => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    if let rustls::Error::AlertReceived(alert) = error {
                        self.alert = Some(alert);
                    }
                    // The alert that says why, if the socket takes it.
                    let _ = self.send(tcp);
                    self.severed = true;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }
}

impl Drop for Secured {
    /// Says farewell if that is true and costs no wait: a peer that is not told cannot tell the end from a cut.
    fn drop(&mut self) {
        let session = self.session.get_mut();
        let said = session.closed || session.severed || session.tls.is_handshaking();
        if !said && session.accepted == 0 {
            session.tls.send_close_notify();
            let _ = session.send(&self.tcp);
        }
    }
}
