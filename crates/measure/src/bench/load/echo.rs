//! Small messages there and back: behind an upgrade, and on a TCP route.

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;

use super::http::open;
use super::{Latencies, again};
use crate::bench::backend::{MASKED, MESSAGE, UNMASKED};
use crate::bench::site::HOST;

/// Messages of a WebSocket.
pub fn websocket(address: SocketAddr, stop: &AtomicBool) -> Result<Latencies, Error> {
    let mut stream = open(address)?;
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    upgraded(&mut stream)?;
    // A binary message, masked with zeros.
    let mut message = [0; MASKED];
    message[..2].copy_from_slice(&[0x82, 0x80 | 64]);
    exchange(stream, &message, UNMASKED, stop)
}

/// Messages on a TCP route.
pub fn tcp(address: SocketAddr, stop: &AtomicBool) -> Result<Latencies, Error> {
    exchange(open(address)?, &[0; MESSAGE], MESSAGE, stop)
}

/// Nothing comes behind the head before we ask, so it is read byte by byte.
fn upgraded(stream: &mut TcpStream) -> Result<(), Error> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") { Ok(()) } else { Err(Error::other("not upgraded")) }
}

fn exchange(mut stream: TcpStream, message: &[u8], answer: usize, stop: &AtomicBool) -> Result<Latencies, Error> {
    let mut buffer = [0; MASKED];
    again(stop, || {
        stream.write_all(message)?;
        stream.read_exact(&mut buffer[..answer])
    })
}
