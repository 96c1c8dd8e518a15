//! A connection to an instance that carries many streams.
//!
//! It is driven by a task of its own, which ends when the connection has; whoever wants a stream takes a [`Place`] first. A trunk is
//! opened only when the instance has said what it allows (its SETTINGS): before that, nobody knows whether it speaks HTTP/2 at all.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use rustix::net::RecvFlags;
use tokio::sync::Notify;

use crate::http::head::MAX_HEAD;
use crate::live::target::LiveTarget;
use crate::tls::seal::refused;
use crate::upstream::connect::connect;
use crate::upstream::wire::Wire;

/// How many streams one trunk carries at once, if the instance allows as many.
const STREAMS: usize = 100;

/// How much of one answer may wait for its client.
const STREAM_WINDOW: u32 = 64 << 10;

/// The same of all streams together: so much that clients who take nothing hold up nobody else.
const WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;

/// How much of one request waits for the instance.
const WAITING: usize = 64 << 10;

/// What small frames that nobody has read yet may cost beyond their content, in the library's measure. The windows bound them already, and a
/// connection that is closed for it would take the streams of others along.
const SMALL_FRAMES: usize = 1 << 30;

/// A connection, as its shelf sees it.
#[derive(Debug)]
pub struct Trunk {
    send: SendRequest<Bytes>,
    life: Rc<Life>,
}

/// What a trunk, its streams and its driver share.
#[derive(Debug)]
struct Life {
    target: Arc<LiveTarget>,
    /// How many streams the instance allows; none before it has said so.
    allowed: Cell<usize>,
    open: Cell<usize>,
    /// Whether it stands among the idle connections of its target.
    idle: Cell<bool>,
    /// Since when it is idle, in milliseconds; zero if nobody has looked yet.
    since: Cell<u64>,
    /// Whether nothing new is to go there.
    shunned: Cell<bool>,
    /// How it ended, once it has.
    ended: RefCell<Option<String>>,
    changed: Notify,
    /// To ask the kernel whether something has come.
    wire: RefCell<Option<OwnedFd>>,
}

/// A place for one stream. Giving it back is dropping it.
#[derive(Debug)]
pub struct Place {
    /// For the one request.
    pub send: SendRequest<Bytes>,
    life: Rc<Life>,
}

impl Trunk {
    /// Connects, and waits for what the instance allows. The caller sets the limit.
    pub async fn open(target: &Arc<LiveTarget>) -> io::Result<Self> {
        let connected = connect(target, Duration::ZERO).await?;
        let wire = connected.socket().try_clone_to_owned()?;
        let shaken = builder().handshake(connected).await;
        let (send, connection) = shaken.map_err(|error| not_http2(target, &error.to_string()))?;
        let life = Rc::new(Life {
            target: target.clone(),
            allowed: Cell::new(0),
            open: Cell::new(0),
            idle: Cell::new(false),
            since: Cell::new(0),
            shunned: Cell::new(false),
            ended: RefCell::new(None),
            changed: Notify::new(),
            wire: RefCell::new(Some(wire)),
        });
        tokio::task::spawn_local(drive(connection, life.clone()));
        while life.allowed.get() == 0 {
            life.changed.notified().await;
            if let Some(why) = &*life.ended.borrow() {
                return Err(not_http2(target, why));
            }
        }
        life.become_idle();
        Ok(Self { send, life })
    }

    /// A place for a stream, if there is one. `certain` asks the kernel whether an idle instance has said goodbye.
    pub fn place(&self, certain: bool) -> Option<Place> {
        let life = &self.life;
        let free = life.open.get() < life.allowed.get().min(STREAMS);
        let taken = free && !self.gone() && (life.open.get() > 0 || life.stands(certain));
        taken.then(|| Place::new(self.send.clone(), life))
    }

    /// Whether nothing new can go there.
    pub fn gone(&self) -> bool {
        let ready = |cx: &mut Context<'_>| self.send.clone().poll_ready(cx);
        let refuses = || matches!(ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)));
        self.life.shunned.get() || self.life.ended.borrow().is_some() || refuses()
    }

    /// Whether it has been idle for so long (zero is for ever). Begins to count where nobody has.
    pub fn rests(&self, now: u64, keep: Duration) -> bool {
        let Life { open, since, .. } = &*self.life;
        if open.get() > 0 {
            return false;
        }
        if since.get() == 0 {
            since.set(now);
        }
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        keep > 0 && now.saturating_sub(since.get()) >= keep
    }
}

impl Place {
    fn new(send: SendRequest<Bytes>, life: &Rc<Life>) -> Self {
        life.open.set(life.open.get() + 1);
        life.since.set(0);
        life.leave_idle();
        Self { send, life: life.clone() }
    }

    /// Nothing new goes to this trunk: whoever asked there waited in vain.
    pub fn shun(&self) {
        self.life.shunned.set(true);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let life = &self.life;
        life.open.set(life.open.get() - 1);
        if life.open.get() == 0 && life.ended.borrow().is_none() {
            life.become_idle();
        }
    }
}

impl Life {
    /// It counts as an idle connection until a stream takes it or it is closed: an instance is stopped only when none is left.
    fn become_idle(&self) {
        if !self.idle.replace(true) {
            self.target.counts.idle.fetch_add(1, Relaxed);
        }
    }

    fn leave_idle(&self) {
        if self.idle.replace(false) {
            self.target.counts.idle.fetch_sub(1, Relaxed);
        }
    }

    /// Whether no end has come that the driver has not seen. A word of the protocol may have: if it is a goodbye, whatever is sent after it
    /// counts as refused and may go elsewhere.
    fn stands(&self, certain: bool) -> bool {
        let wire = self.wire.borrow();
        let Some(wire) = wire.as_ref().filter(|_| certain) else { return true };
        match rustix::net::recv(wire, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, count)) => count > 0,
            Err(error) => error == rustix::io::Errno::WOULDBLOCK,
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(WAITING)
        .max_header_list_size(MAX_HEAD as u32)
        .data_frame_budget(SMALL_FRAMES);
    builder
}

/// Reads and writes until the connection has ended: when the instance ends it, or nobody has a handle or a stream any more.
async fn drive(connection: Connection<Wire, Bytes>, life: Rc<Life>) {
    let ended = {
        let mut connection = pin!(connection);
        poll_fn(|cx| {
            let polled = connection.as_mut().poll(cx);
            let allowed = connection.max_concurrent_send_streams();
            if life.allowed.replace(allowed) == 0 && allowed > 0 {
                life.changed.notify_one();
            }
            polled
        })
        .await
    };
    life.wire.borrow_mut().take();
    *life.ended.borrow_mut() = Some(ended.err().map_or_else(|| "it was closed".to_owned(), |error| error.to_string()));
    life.leave_idle();
    life.changed.notify_one();
}

fn not_http2(target: &LiveTarget, why: &str) -> io::Error {
    // In TLS 1.3 it looks at our certificate when our side of the handshake is over.
    if target.seal.is_some() && why.contains("fatal alert") {
        return refused(why);
    }
    let how = if target.seal.is_some() { "inside TLS" } else { "without TLS (protocol = \"h2c\")" };
    let text = format!("it does not speak HTTP/2 {how}: {why}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
