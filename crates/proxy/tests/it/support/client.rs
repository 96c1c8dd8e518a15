//! A client that sees bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustls::ClientConnection;

use super::LIMIT;

/// One connection.
pub struct Conn {
    /// The socket.
    pub stream: TcpStream,
    /// TLS over it, if there is any.
    pub tls: Option<Box<ClientConnection>>,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The whole head.
    pub head: String,
    /// The body, without chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// A field of the head.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Conn {
    /// Connects.
    pub fn to(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    /// Connects to a unix socket, which from there on is a socket like any other.
    pub fn at(path: &Path) -> Self {
        let stream = TcpStream::from(OwnedFd::from(UnixStream::connect(path).unwrap()));
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self { stream, tls: None, unread: Vec::new() }
    }

    /// An accepted connection.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, tls: None, unread: Vec::new() }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).write_all(bytes.as_ref()).unwrap(),
            None => self.stream.write_all(bytes.as_ref()).unwrap(),
        }
    }

    /// Sends a GET.
    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.answer()
    }

    /// Sends a GET with more fields.
    pub fn get_with(&mut self, path: &str, fields: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        self.answer()
    }

    /// Sends a POST.
    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        self.answer()
    }

    /// Reads an answer with a body.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
        if answer.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = answer.field("content-length") {
            answer.body = self.exactly(length.parse().unwrap());
        } else if !matches!(answer.status, 100..=199 | 204 | 304) {
            answer.body = self.rest().unwrap();
        }
        answer
    }

    /// Reads a head.
    pub fn head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let seen = String::from_utf8_lossy(&self.unread).into_owned();
            assert!(self.more(), "closed before the end of a head; so far: {seen:?}");
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        String::from_utf8_lossy(&head).into_owned()
    }

    /// Reads a chunk; none at the end of the body, after which trailers are dropped.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line();
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("{size:?} is not a chunk's size"));
        if size == 0 {
            while !self.line().is_empty() {}
            return None;
        }
        let data = self.exactly(size);
        assert_eq!(self.line(), "");
        Some(data)
    }

    /// Reads a line.
    pub fn line(&mut self) -> String {
        while !self.unread.contains(&b'\n') {
            assert!(self.more(), "closed in the middle of a line");
        }
        let end = self.unread.iter().position(|&b| b == b'\n').unwrap() + 1;
        let line: Vec<u8> = self.unread.drain(..end).collect();
        String::from_utf8(line).unwrap().trim_end_matches("\r\n").to_owned()
    }

    /// Reads so many bytes.
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.more(), "closed after {} of {count} bytes", self.unread.len());
        }
        self.unread.drain(..count).collect()
    }

    /// Reads so many bytes; none if the connection ends before.
    pub fn try_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            if !self.more() {
                return None;
            }
        }
        Some(self.unread.drain(..count).collect())
    }

    /// Reads until the connection ends; an error if it was reset.
    pub fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read_to_end(&mut self.unread)?,
            None => self.stream.read_to_end(&mut self.unread)?,
        };
        Ok(std::mem::take(&mut self.unread))
    }

    /// Reads until the other side ends, in whichever way.
    pub fn rest_or_end(&mut self) -> Vec<u8> {
        while self.stream.read_to_end(&mut self.unread).is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
        std::mem::take(&mut self.unread)
    }

    /// Whether the other side has closed: without waiting.
    pub fn closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        let closed = match self.stream.read(&mut buffer) {
            Ok(0) => true,
            Ok(count) => {
                self.unread.extend(&buffer[..count]);
                false
            }
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.stream.set_nonblocking(false).unwrap();
        closed
    }

    /// Whether anything came that was not read: without waiting.
    pub fn has_answer(&mut self) -> bool {
        !self.unread.is_empty() || self.closed() || !self.unread.is_empty()
    }

    /// Says that nothing more comes.
    pub fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            tls.write_tls(&mut self.stream).unwrap();
        }
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(&mut buffer),
            None => self.stream.read(&mut buffer),
        };
        match read {
            Ok(count) => {
                self.unread.extend(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came within the limit: {error}"),
        }
    }
}
