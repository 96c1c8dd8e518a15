//! Copying both ways until both sides are done.
//!
//! Nothing is held while nothing moves: both directions read into one buffer of the worker, and only what the other side
//! does not take at once gets memory of its own. A side that closes its half is not answered with closing the other.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::websocket::{CLOSE_CLIENT, CLOSE_INSTANCE, Frames};
use crate::inbox::Inbox;
use crate::live::target::Claim;
use crate::socket::Socket;
use crate::upstream::wire::Wire;
use crate::worker::Worker;
use crate::worker::clock::{Signal, Slot};

const BUFFER: usize = 32 << 10;

/// How long a stream is silent before the kernel asks whether its peer still lives.
const SILENCE: Duration = Duration::from_secs(60);

/// One end of a tunnel, with what was read from it before.
#[derive(Debug)]
pub struct End<'a, S> {
    /// The socket.
    pub stream: &'a mut S,
    /// What was read.
    pub inbox: &'a mut Inbox,
}

/// How many bytes a tunnel carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// From the client.
    pub there: u64,
    /// To it.
    pub back: u64,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    pending: Vec<u8>,
    ended: bool,
    shut: bool,
    frames: Option<Frames>,
    moved: u64,
}

/// Copies until both sides are done, one of them fails, or the stream is ordered to end. Counts as a stream of its target.
pub async fn run(
    worker: &Worker,
    client: End<'_, Socket>,
    target: End<'_, Wire>,
    claim: Claim,
    slot: &Slot,
    websocket: bool,
) -> Moved {
    claim.become_stream();
    slot.limit(0);
    slot.stream_of(claim.target().serial);
    let (mut there, mut back) = (Flow::begin(client.inbox, websocket), Flow::begin(target.inbox, websocket));
    client.inbox.release(&worker.stock);
    target.inbox.release(&worker.stock);
    let (client, target) = (client.stream, target.stream);
    client.tcp().into_iter().for_each(|tcp| notice_death(tcp.as_fd()));
    notice_death(target.socket());
    let ordered = {
        let (mut client_read, mut client_write) = client.split();
        let (mut target_read, mut target_write) = target.split();
        poll_fn(|cx| {
            let there = there.poll(cx, worker, &mut client_read, &mut target_write);
            let back = back.poll(cx, worker, &mut target_read, &mut client_write);
            match (there, back) {
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(false),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(false),
                _ => {}
            }
            match slot.poll(cx) {
                Some(Signal::Close) => Poll::Ready(true),
                Some(Signal::Late) | None => Poll::Pending,
            }
        })
        .await
    };
    if ordered {
        goodbye(&back, client, &CLOSE_CLIENT).await;
        goodbye(&there, target, &CLOSE_INSTANCE).await;
    }
    Moved { there: there.moved, back: back.moved }
}

/// A stream may rightly be silent for hours; a peer that lost its power is silent for ever. The kernel asks after it.
fn notice_death(stream: BorrowedFd<'_>) {
    // Without it the stream still works. A unix socket has no need of it, on either side.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, SILENCE);
}

/// Writes a close frame if that is possible just here. The socket has room or the frame is not worth waiting for.
async fn goodbye(flow: &Flow, stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) {
    let between = flow.frames.as_ref().is_some_and(Frames::between);
    if between && flow.pending.is_empty() && !flow.shut {
        poll_fn(|cx| {
            if matches!(Pin::new(&mut *stream).poll_write(cx, frame), Poll::Ready(Ok(_))) {
                let _ = Pin::new(&mut *stream).poll_shutdown(cx);
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl Flow {
    fn begin(inbox: &mut Inbox, websocket: bool) -> Self {
        let mut frames = websocket.then(Frames::default);
        if let Some(frames) = &mut frames {
            frames.pass(inbox.data());
        }
        let moved = inbox.data().len() as u64;
        let flow = Self { pending: inbox.data().to_vec(), frames, moved, ..Self::default() };
        inbox.consume(inbox.data().len());
        flow
    }

    /// Moves as much as moves. Ready when this direction has ended and the other side was told.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.pending.is_empty() {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, &self.pending))?;
                self.pending.drain(..count);
            }
            self.pending.shrink_to(BUFFER);
            if self.shut {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.shut = true;
                return Poll::Ready(Ok(()));
            }
            ready!(self.step(cx, worker, from, to))?;
        }
    }

    /// Reads once and writes what the other side takes at once.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        let mut buffer = worker.stock.tunnel.borrow_mut();
        buffer.resize(BUFFER, 0);
        let mut room = ReadBuf::new(&mut buffer);
        ready!(Pin::new(from).poll_read(cx, &mut room))?;
        let read = room.filled();
        self.ended = read.is_empty();
        self.moved += read.len() as u64;
        if let Some(frames) = &mut self.frames {
            frames.pass(read);
        }
        let taken = match Pin::new(to).poll_write(cx, read) {
            _ if read.is_empty() => 0,
            Poll::Ready(result) => result?,
            Poll::Pending => 0,
        };
        self.pending.extend_from_slice(&read[taken..]);
        Poll::Ready(Ok(()))
    }
}
