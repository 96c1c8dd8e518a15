//! The load: some connections, each sending one request after the other and checking every answer.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// What a round of load saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Requests answered with 200 and the right length.
    pub requests: u64,
    /// The time it took.
    pub time: Duration,
}

/// Puts load on `address` for `time`. A single wrong answer is an error: a fast proxy that fails is not fast.
pub fn run(address: SocketAddr, connections: usize, time: Duration, body: usize) -> Result<Seen, Error> {
    let (stop, began) = (AtomicBool::new(false), Instant::now());
    let requests = thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(|| client(address, &stop, body))).collect();
        thread::sleep(time);
        stop.store(true, Relaxed);
        let join = |client: thread::ScopedJoinHandle<'_, _>| client.join().expect("a load client does not panic");
        clients.into_iter().map(join).sum::<Result<u64, Error>>()
    })?;
    Ok(Seen { requests, time: began.elapsed() })
}

fn client(address: SocketAddr, stop: &AtomicBool, body: usize) -> Result<u64, Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request =
        "GET /path/to/something?a=1 HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
    let (mut buffer, mut count) = (vec![0; body + 4096], 0);
    while !stop.load(Relaxed) {
        stream.write_all(request.as_bytes())?;
        answer(&mut stream, &mut buffer, body)?;
        count += 1;
    }
    Ok(count)
}

fn answer(stream: &mut TcpStream, buffer: &mut [u8], body: usize) -> Result<(), Error> {
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
        let seen = &buffer[..filled];
        let Some(head) = seen.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        if !seen.starts_with(b"HTTP/1.1 200 ") {
            return Err(Error::other(String::from_utf8_lossy(&seen[..head]).into_owned()));
        }
        if filled == head + 4 + body {
            return Ok(());
        }
    }
}
