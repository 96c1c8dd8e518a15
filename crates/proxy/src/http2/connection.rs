//! A connection of HTTP/2: its streams, its limits and its end.
//!
//! Each stream is served by a task of its own. When the connection is to end (its listener goes, the process quits, nothing happened for
//! long), the client is told in two steps (RFC 9113, 6.8): that it should begin no more, and after one round trip, which streams were
//! taken; so that none that is on the wire is lost.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use super::request;
use super::stream::Stream;
use crate::http::head::MAX_HEAD;
use crate::serve;
use crate::serve::connection::guarded;
use crate::socket::Socket;
use crate::worker::Worker;
use crate::worker::clock::{Signal, Slot};

/// How many requests of one connection are served at once.
const STREAMS: u32 = 100;

/// How much of one body may be on its way to us.
const STREAM_WINDOW: u32 = 256 << 10;

/// The same of all bodies of a connection together.
const WINDOW: u32 = 1 << 20;

/// How much of one answer waits for the client.
const WAITING: usize = 64 << 10;

/// What small frames that nobody has read yet may cost beyond their content, in the library's measure: 256 bytes for each. A client that
/// streams little messages to an instance that is slow must not lose its connection; half the window, the library's own limit, is two thousand.
const SMALL_FRAMES: usize = 16 << 20;

/// How long a client may take to begin.
const PREFACE: Duration = Duration::from_secs(10);

/// How long a connection without streams is kept.
const IDLE: Duration = Duration::from_secs(75);

/// How long a client without streams that was told of the end is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many requests a client may give up before they are answered, beyond as many as were answered. Who gives up more makes work
/// for nothing (CVE-2023-44487). One whose answer has begun is no such request: who reads a stream often leaves before its end.
const GIVEN_UP: u64 = 100;

/// What is given up later than this, in milliseconds, makes no more work than one that is waited for: calls have deadlines.
const HASTE: u64 = 1000;

/// What the tasks of one connection tell each other.
#[derive(Debug)]
struct Load {
    slot: Rc<Slot>,
    open: Cell<u64>,
    answered: Cell<u64>,
    given_up: Cell<u64>,
}

/// What happens on a connection.
enum Event {
    Request(Box<(Request<RecvStream>, SendResponse<Bytes>)>),
    /// It is over.
    Over,
    /// It should end.
    Retired,
    /// Nothing happened for too long.
    Late,
}

/// Serves a connection to its end.
pub async fn serve<S>(worker: &Rc<Worker>, io: S, secure: bool, slot: Rc<Slot>, peer: Option<SocketAddr>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let now = || worker.shared.now_ms();
    slot.within(now(), PREFACE);
    let Ok(Ok(mut connection)) = guarded(&slot, builder().handshake::<_, Bytes>(io)).await else { return };
    slot.within(now(), IDLE);
    let load = Load { slot: slot.clone(), open: Cell::new(0), answered: Cell::new(0), given_up: Cell::new(0) };
    let (load, mut ending) = (Rc::new(load), false);
    loop {
        let event = poll_fn(|cx| {
            if let Poll::Ready(accepted) = connection.poll_accept(cx) {
                let request = accepted.and_then(Result::ok).map(|request| Event::Request(Box::new(request)));
                return Poll::Ready(request.unwrap_or(Event::Over));
            }
            if slot.retired() && !ending {
                return Poll::Ready(Event::Retired);
            }
            match slot.poll(cx) {
                Some(Signal::Late) => Poll::Ready(Event::Late),
                Some(Signal::Close) | None => Poll::Pending,
            }
        });
        match event.await {
            Event::Over => return,
            Event::Request(request) => {
                if load.given_up.get() > GIVEN_UP + load.answered.get() {
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    ending = true;
                    slot.within(now(), FAREWELL);
                    continue;
                }
                let open = Open::new(&load, worker.clone());
                tokio::task::spawn_local(one(worker.clone(), *request, secure, peer, open));
            }
            // The client does not answer to its end, or has nothing under way that could be waited for.
            Event::Late if ending => return,
            Event::Late | Event::Retired => {
                connection.graceful_shutdown();
                ending = true;
                if load.open.get() == 0 {
                    slot.within(now(), FAREWELL);
                }
            }
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(WAITING)
        .data_frame_budget(SMALL_FRAMES)
        .enable_connect_protocol()
        .max_header_list_size(MAX_HEAD as u32);
    builder
}

/// Serves one stream to its end.
async fn one(
    worker: Rc<Worker>,
    (request, mut respond): (Request<RecvStream>, SendResponse<Bytes>),
    secure: bool,
    peer: Option<SocketAddr>,
    open: Open,
) {
    let (parts, body) = request.into_parts();
    let nonce = || (u128::from(worker.random()) << 64 | u128::from(worker.random())).to_be_bytes();
    match request::head(&parts, &body, nonce) {
        Ok(head) => {
            let stream = Rc::new(Stream::new(head, body, respond, secure));
            let slot = worker.clock.slot(open.load.slot.listener());
            serve::connection::serve(&worker, Socket::Stream(stream.clone()), slot, peer).await;
            open.ended(stream.has_answer());
        }
        Err(why) => {
            worker.counts().refused("bad-request");
            let refusal = http::Response::builder().status(400).header("cutover-error", "bad-request").body(());
            let text = Bytes::from(format!("cutover: the request {why}\n"));
            if let Ok(refusal) = refusal
                && let Ok(mut send) = respond.send_response(refusal, false)
            {
                let _ = send.send_data(text, true);
            }
            open.ended(true);
        }
    }
}

/// A stream that is served, while it lives.
struct Open {
    load: Rc<Load>,
    worker: Rc<Worker>,
    began: u64,
}

impl Open {
    fn new(load: &Rc<Load>, worker: Rc<Worker>) -> Self {
        load.open.set(load.open.get() + 1);
        load.slot.limit(0);
        Self { load: load.clone(), began: worker.shared.now_ms(), worker }
    }

    fn ended(&self, answered: bool) {
        let hasty = self.worker.shared.now_ms().saturating_sub(self.began) < HASTE;
        match answered {
            true => self.load.answered.set(self.load.answered.get() + 1),
            false => self.load.given_up.set(self.load.given_up.get() + u64::from(hasty)),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Load { slot, open, .. } = &*self.load;
        open.set(open.get() - 1);
        if open.get() == 0 {
            slot.within(self.worker.shared.now_ms(), if slot.retired() { FAREWELL } else { IDLE });
        }
    }
}
