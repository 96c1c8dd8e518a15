//! HTTP/1.1, one request after the other on a connection.

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::{Latencies, again, micros};
use crate::bench::backend::{MESSAGE, some};
use crate::bench::site::HOST;

/// Opens a connection.
pub fn open(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// A request for so many bytes.
pub fn request(host: &str, bytes: usize, more: &str) -> String {
    format!("GET /bytes/{bytes}?a=1 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n{more}\r\n")
}

/// Asks on one connection.
pub fn get(address: SocketAddr, host: &str, bytes: usize, stop: &AtomicBool) -> Result<Latencies, Error> {
    let (mut stream, mut buffer) = (open(address)?, vec![0; 64 << 10]);
    let request = request(host, bytes, "");
    again(stop, || {
        stream.write_all(request.as_bytes())?;
        answer(&mut stream, &mut buffer, bytes)
    })
}

/// Asks on one connection each time that it is due. What is late is asked at once, and its time counts from when it was due.
pub fn paced(
    address: SocketAddr,
    host: &str,
    first: Instant,
    gap: Duration,
    stop: &AtomicBool,
) -> Result<Latencies, Error> {
    let (mut stream, mut buffer) = (open(address)?, vec![0; 4 << 10]);
    let (request, mut due, mut latencies) = (request(host, MESSAGE, ""), first, Vec::new());
    while !stop.load(Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        answer(&mut stream, &mut buffer, MESSAGE)?;
        latencies.push(micros(due));
        due += gap;
    }
    Ok(latencies)
}

/// Sends bodies on one connection.
pub fn upload(address: SocketAddr, bytes: usize, stop: &AtomicBool) -> Result<Latencies, Error> {
    let (mut stream, mut buffer) = (open(address)?, vec![0; 64 << 10]);
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {bytes}\r\n\r\n");
    let mut request = head.into_bytes();
    request.resize(request.len() + bytes, b'x');
    again(stop, || {
        stream.write_all(&request)?;
        answer(&mut stream, &mut buffer, MESSAGE)
    })
}

/// Asks on a new connection each time, which the proxy closes.
pub fn connect(address: SocketAddr, stop: &AtomicBool) -> Result<Latencies, Error> {
    let mut buffer = vec![0; 4 << 10];
    let request = request(HOST, MESSAGE, "Connection: close\r\n");
    again(stop, || {
        let mut stream = open(address)?;
        stream.write_all(request.as_bytes())?;
        answer(&mut stream, &mut buffer, MESSAGE)?;
        // The end comes from the proxy, so that its ports and not ours are the ones that wait.
        match stream.read(&mut buffer)? {
            0 => Ok(()),
            _ => Err(Error::other("more than the answer")),
        }
    })
}

/// Reads an answer with a body of this length.
pub fn answer(stream: &mut impl Read, buffer: &mut [u8], body: usize) -> Result<(), Error> {
    let mut filled = 0;
    let head = loop {
        filled += some(stream.read(&mut buffer[filled..])?)?;
        if let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break head;
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 200 ") {
        return Err(Error::other(String::from_utf8_lossy(&buffer[..head]).into_owned()));
    }
    let mut left = (head + 4 + body).checked_sub(filled).ok_or_else(|| Error::other("more than the answer"))?;
    while left > 0 {
        let room = left.min(buffer.len());
        left -= some(stream.read(&mut buffer[..room])?)?;
    }
    Ok(())
}
