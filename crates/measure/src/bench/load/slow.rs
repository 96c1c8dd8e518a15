//! Clients that take their time: a few threads drive thousands of them.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::TcpMaxSeg};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::bench::site::HOST;

/// The name that those ask for who want much.
pub const SLOW_HOST: &str = "large.bench.example";

/// How many threads drive them.
const THREADS: usize = 4;

/// Each is looked at once in a second, a hundredth of them at a time.
const TURNS: usize = 100;

/// From how many addresses they come: each has some 28,000 ports.
const ADDRESSES: usize = 8;

/// How much is taken of an answer in a second.
const PIECE: usize = 1 << 10;

/// A small receive buffer, and small segments. By the latter the kernel decides how much it keeps for the sender: with the segments of the
/// loopback it would take whole answers off the proxy's hands.
const RECEIVE: usize = 4 << 10;
const SEGMENT: u32 = 536;

/// Slow clients, until they are released.
pub struct Slow {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

/// One of them.
struct Client {
    index: usize,
    stream: TcpStream,
}

impl Slow {
    /// Connects so many, and goes on with them.
    pub fn hold(address: SocketAddr, count: usize) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let open = |thread: usize| -> Result<JoinHandle<Result<(), Error>>, Error> {
            let indices = (thread..count).step_by(THREADS);
            let clients: Vec<Client> = indices.map(|index| Client::open(address, index)).collect::<Result<_, _>>()?;
            let stop = stop.clone();
            Ok(thread::spawn(move || drive(address, clients, &stop)))
        };
        let threads = (0..THREADS).map(open).collect::<Result<_, _>>()?;
        Ok(Self { stop, threads })
    }

    /// Closes all of them.
    pub fn release(self) -> Result<(), Error> {
        self.stop.store(true, Relaxed);
        self.threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    }
}

fn drive(address: SocketAddr, mut clients: Vec<Client>, stop: &AtomicBool) -> Result<(), Error> {
    let (mut due, pause) = (Instant::now(), Duration::from_secs(1) / TURNS as u32);
    for turn in (0..TURNS).cycle() {
        if stop.load(Relaxed) {
            break;
        }
        for client in clients.iter_mut().skip(turn).step_by(TURNS) {
            if !client.goes_on() {
                *client = Client::open(address, client.index)?;
            }
        }
        due += pause;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

impl Client {
    fn open(address: SocketAddr, index: usize) -> Result<Self, Error> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        set_socket_recv_buffer_size(&socket, RECEIVE)?;
        setsockopt(&socket, TcpMaxSeg, &SEGMENT)?;
        // Nothing is left behind that would hold a port.
        set_socket_linger(&socket, Some(Duration::ZERO))?;
        let own = Ipv4Addr::new(127, 0, 0, u8::try_from(2 + index % ADDRESSES).unwrap_or(2));
        bind(&socket, &SocketAddrV4::new(own, 0))?;
        connect(&socket, &address)?;
        let mut client = Self { index, stream: TcpStream::from(socket) };
        let begins = match client.drips() {
            true => format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: "),
            false => format!("GET / HTTP/1.1\r\nHost: {SLOW_HOST}\r\n\r\n"),
        };
        client.stream.write_all(begins.as_bytes())?;
        client.stream.set_nonblocking(true)?;
        Ok(client)
    }

    /// Whether it sends slowly; the others receive slowly.
    fn drips(&self) -> bool {
        self.index.is_multiple_of(2)
    }

    /// A byte more, or a piece less. False if it was sent away, or has all that it wanted.
    fn goes_on(&mut self) -> bool {
        let mut buffer = [0; PIECE];
        let is_nothing = |error: &Error| error.kind() == ErrorKind::WouldBlock;
        match self.stream.read(&mut buffer) {
            // Whoever has not asked yet is told something only when it is refused.
            Ok(count) if count == 0 || self.drips() => return false,
            Ok(_) => {}
            Err(error) if is_nothing(&error) => {}
            Err(_) => return false,
        }
        !self.drips() || self.stream.write(b"x").map_or_else(|error| is_nothing(&error), |_| true)
    }
}
