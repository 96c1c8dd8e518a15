//! Instances: a scripted one for each test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use super::client::Conn;

/// An instance that listens on the loopback. Its threads end with the test's process.
#[derive(Clone)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
}

/// A connection as an instance sees it.
pub struct Peer {
    /// The bytes.
    pub conn: Conn,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Reads a request's head and notes it. None if the connection ended instead.
    pub fn request(&mut self) -> Option<String> {
        let mut first = [0];
        if !matches!(self.conn.stream.peek(&mut first), Ok(1)) {
            return None;
        }
        let head = self.conn.head();
        self.seen.lock().unwrap().push(head.clone());
        Some(head)
    }

    /// Answers with a body.
    pub fn ok(&mut self, body: &str) {
        self.conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }
}

impl Backend {
    /// An instance that treats each connection by a script.
    pub fn scripted(script: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Self { address, accepted: Arc::default(), closed: Arc::default(), seen: Arc::default() };
        let (ours, script) = (backend.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                ours.clone().accept(stream, script.clone());
            }
        });
        backend
    }

    fn accept(self, stream: TcpStream, script: Arc<dyn Fn(Peer) + Send + Sync>) {
        self.accepted.fetch_add(1, SeqCst);
        std::thread::spawn(move || {
            let peer = Peer { conn: Conn::of(stream), seen: self.seen.clone() };
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| script(peer)));
            self.closed.fetch_add(1, SeqCst);
        });
    }

    /// An instance that answers everything with its name, over connections that it keeps.
    pub fn named(name: &'static str) -> Self {
        Self::scripted(move |mut peer| {
            while let Some(head) = peer.request() {
                match field(&head, "content-length") {
                    Some(length) => drop(peer.conn.exactly(length.parse().unwrap())),
                    None if head.contains("chunked") => while peer.conn.chunk().is_some() {},
                    None => {}
                }
                peer.ok(name);
            }
        })
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.accepted.load(SeqCst) - self.closed.load(SeqCst)
    }

    /// The request heads so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// A field of a head.
pub fn field(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}
