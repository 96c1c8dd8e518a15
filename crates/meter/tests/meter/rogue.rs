//! Servers of a few lines that misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use cutover_meter::Url;

/// A server that runs one function for each connection, on a thread each. It lives as long as the test process.
pub struct Rogue;

/// A connection as the server sees it.
pub struct Peer {
    reader: BufReader<TcpStream>,
    /// The number of the connection, from 0.
    pub number: usize,
}

/// A request that has arrived.
pub struct Request {
    pub line: String,
    pub id: String,
    pub body: Vec<u8>,
}

impl Rogue {
    pub fn start(serve: impl Fn(Peer) + Send + Sync + 'static) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = listener.local_addr().unwrap().into();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (serve, reader) = (serve.clone(), BufReader::new(stream.unwrap()));
                std::thread::spawn(move || serve(Peer { reader, number }));
            }
        });
        url
    }

    /// A server that answers every request on every connection with what `answer` makes of it.
    pub fn answering(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Url {
        Self::start(move |mut peer| {
            while let Some(request) = peer.request() {
                if peer.send(&answer(&request)).is_none() {
                    return;
                }
            }
        })
    }
}

impl Peer {
    /// The next request, or `None` when the client has gone.
    pub fn request(&mut self) -> Option<Request> {
        let (mut lines, mut line) = (Vec::new(), String::new());
        while line != "\r\n" {
            line.clear();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            lines.push(line.trim_end().to_owned());
        }
        let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let mut body = vec![0; field("content-length: ").map_or(0, |length| length.parse().unwrap())];
        self.reader.read_exact(&mut body).ok()?;
        Some(Request { line: lines[0].clone(), id: field("x-request-id: ").unwrap_or_default(), body })
    }

    /// Sends text. `None` when the client has gone.
    pub fn send(&mut self, text: &str) -> Option<()> {
        self.send_bytes(text.as_bytes())
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.reader.get_mut().write_all(bytes).ok()
    }

    /// The next WebSocket message, or `None` when the client has closed or gone. Short, masked, whole.
    pub fn frame(&mut self) -> Option<Vec<u8>> {
        let mut head = [0; 6];
        self.reader.read_exact(&mut head).ok()?;
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        self.reader.read_exact(&mut payload).ok()?;
        payload.iter_mut().zip(head[2..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (head[0] & 0x0f == 1).then_some(payload)
    }

    /// Waits until the client sends something, and leaves it unread: to close now is to reset.
    pub fn wait_unread(&mut self) {
        let mut byte = [0];
        let _ = self.reader.get_ref().peek(&mut byte);
    }

    /// Says in good order that nothing more is coming, and waits for the client to go.
    pub fn close(mut self) {
        let _ = self.reader.get_ref().shutdown(Shutdown::Write);
        let _ = self.reader.read_to_end(&mut Vec::new());
    }
}

/// A right answer.
pub fn right(request: &Request) -> String {
    answer(request, "200 OK", "")
}

/// An answer that returns the id, with a status and more header lines.
pub fn answer(request: &Request, status: &str, headers: &str) -> String {
    let id = &request.id;
    format!("HTTP/1.1 {status}\r\nx-request-id: {id}\r\n{headers}content-length: 2\r\n\r\nok")
}
