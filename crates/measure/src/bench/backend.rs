//! The instances behind every measured proxy: they answer as cheaply as they can.
//!
//! `/bytes/N` is answered with N bytes, a body is read to its end first, an upgrade is accepted, and behind it each message of
//! [`MESSAGE`] bytes is answered with another.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;

/// How many bytes are in a message, behind an upgrade or on plain TCP.
pub const MESSAGE: usize = 64;

/// A message of that size of a WebSocket client (RFC 6455, 5.2), masked with zeros.
pub const MASKED: usize = 6 + MESSAGE;

/// The same from a server.
pub const UNMASKED: usize = 2 + MESSAGE;

/// Where they listen.
#[derive(Debug, Clone, Copy)]
pub struct Backends {
    /// HTTP/1.1.
    pub http: SocketAddr,
    /// Messages of [`MESSAGE`] bytes.
    pub tcp: SocketAddr,
}

/// Starts both on ports of the loopback; they go on until the process ends.
pub fn start() -> Result<Backends> {
    Ok(Backends { http: accept(http)?, tcp: accept(|stream| echo(stream, MESSAGE, &[0; MESSAGE]))? })
}

/// Starts one more, which answers everything with 1 MiB, as fast as that is taken. It keeps little of it in its socket, and has it only once
/// in memory: thousands may wait for it.
pub fn large() -> Result<SocketAddr> {
    accept(|stream| {
        static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| written(1 << 20));
        rustix::net::sockopt::set_socket_send_buffer_size(&*stream, 16 << 10)?;
        let (mut buffer, mut filled) = ([0; 4 << 10], 0);
        loop {
            filled += some(stream.read(&mut buffer[filled..])?)?;
            if buffer[..filled].ends_with(b"\r\n\r\n") {
                filled = 0;
                stream.write_all(&ANSWER)?;
            }
        }
    })
}

fn accept(serve: fn(&mut TcpStream) -> Result<()>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A small stack: there may be thousands.
            let serve = move || stream.set_nodelay(true).and_then(|()| serve(&mut stream));
            let _ = thread::Builder::new().stack_size(256 << 10).spawn(serve);
        }
    });
    Ok(address)
}

fn http(stream: &mut TcpStream) -> Result<()> {
    let (mut buffer, mut filled, mut answer) = (vec![0; 64 << 10], 0, Vec::new());
    let mut prepared = None;
    loop {
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            filled += some(stream.read(&mut buffer[filled..])?)?;
            continue;
        };
        let asked = Asked::read(&buffer[..head]);
        if asked.upgrade {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")?;
            let mut frame = [0; UNMASKED];
            frame[..2].copy_from_slice(&[0x82, 64]);
            return echo(stream, MASKED, &frame);
        }
        let (end, mut left) = (head + 4, asked.body);
        let here = left.min(filled - end);
        buffer.copy_within(end + here..filled, 0);
        (left, filled) = (left - here, filled - end - here);
        while left > 0 {
            // Nothing can come behind a body before it was answered, so the buffer is free.
            let room = left.min(buffer.len());
            left -= some(stream.read(&mut buffer[..room])?)?;
        }
        if prepared != Some(asked.bytes) {
            (answer, prepared) = (written(asked.bytes), Some(asked.bytes));
        }
        stream.write_all(&answer)?;
    }
}

/// What of a request matters here.
struct Asked {
    bytes: usize,
    body: usize,
    upgrade: bool,
}

impl Asked {
    fn read(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let number = |behind: &str| {
            let digits = text.split_once(behind)?.1.trim_start();
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        Self {
            bytes: number(" /bytes/").unwrap_or(MESSAGE),
            body: number("\ncontent-length:").unwrap_or(0),
            upgrade: text.contains("\nupgrade:"),
        }
    }
}

fn written(bytes: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + bytes, b'x');
    answer
}

fn echo(stream: &mut TcpStream, request: usize, answer: &[u8]) -> Result<()> {
    let mut buffer = [0; MASKED];
    loop {
        stream.read_exact(&mut buffer[..request])?;
        stream.write_all(answer)?;
    }
}

/// How much was read; nothing is the end.
pub fn some(count: usize) -> Result<usize> {
    if count == 0 { Err(Error::from(ErrorKind::UnexpectedEof)) } else { Ok(count) }
}
