//! Starting a load, watching it, and stopping it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::chance::Chance;
use crate::client::requests::RequestClient;
use crate::client::{Seat, events, upload, websocket};
use crate::context::Context;
use crate::failure::Kind;
use crate::load::Load;
use crate::pace::{Pace, stopped};
use crate::report::Report;

/// What clients get on top of their own limits to end.
const STOP_MARGIN: Duration = Duration::from_secs(2);
/// How often a condition that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Starts loads.
pub struct Meter;

/// A load that runs. Dropping it stops the load, but gives no report.
pub struct Running {
    context: Arc<Context>,
    stop: watch::Sender<bool>,
    done: oneshot::Receiver<()>,
}

/// Why a load cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The load makes no sense.
    #[error("the load cannot run: {0}")]
    Load(&'static str),
    /// The host has no address.
    #[error("could not find the address of {0}")]
    Resolve(String, #[source] io::Error),
    /// The thread or its runtime could not be made.
    #[error("could not start a thread for the load")]
    Thread(#[source] io::Error),
}

impl Meter {
    /// Starts a load on the current tokio runtime. Resolves the host first, which blocks for as long as that takes.
    ///
    /// # Errors
    /// When the load makes no sense or its host has no address. Nothing is sent then.
    pub fn start(load: Load) -> Result<Running, StartError> {
        let (running, clients) = prepare(load)?;
        tokio::spawn(clients);
        Ok(running)
    }

    /// Starts a load on a thread of its own, so that a busy program does not disturb the measurement.
    ///
    /// # Errors
    /// As [`Meter::start`], or when the thread cannot be made.
    pub fn start_on_thread(load: Load) -> Result<Running, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let (running, clients) = prepare(load)?;
        let thread = std::thread::Builder::new().name("meter".into());
        thread.spawn(move || runtime.block_on(clients)).map_err(StartError::Thread)?;
        Ok(running)
    }
}

impl Running {
    /// What was seen so far. Cheap enough for once a second.
    pub fn snapshot(&self) -> Report {
        self.context.tally().report(self.context.started.elapsed(), self.context.book.clone())
    }

    /// From now on, only this release may answer: once this has returned, a request that begins and is answered by another
    /// is misrouted. One that is under way may still be answered by what was allowed before.
    pub fn expect_release(&self, release: &str) {
        self.allow_releases(&[release]);
    }

    /// As [`Running::expect_release`], for several releases. With an empty list, all are allowed again.
    pub fn allow_releases(&self, releases: &[&str]) {
        self.context.releases.allow(releases.iter().map(|&release| release.to_owned()).collect());
    }

    /// Waits until at least `count` requests had good answers, but no longer than `limit`. Whether it came to that.
    pub async fn answers(&self, count: u64, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            if self.context.tally().requests.answered >= count {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops the load: no more requests, those under way are finished, streams are ended in good order. Takes no longer
    /// than the load's timeout and a little; what has not ended by then is a fault of the meter in the report.
    pub async fn stop(mut self) -> Report {
        self.tell();
        let _ = (&mut self.done).await;
        self.snapshot()
    }

    /// As [`Running::stop`], for a load on a thread of its own and a caller without a runtime.
    pub fn stop_blocking(self) -> Report {
        self.tell();
        let Self { context, done, stop: _stop } = self;
        let _ = done.blocking_recv();
        context.tally().report(context.started.elapsed(), context.book.clone())
    }

    fn tell(&self) {
        self.context.tally().stop(self.context.started.elapsed());
        self.stop.send_replace(true);
    }
}

fn prepare(load: Load) -> Result<(Running, impl Future<Output = ()> + Send + use<>), StartError> {
    if let Some(mistake) = load.mistake() {
        return Err(StartError::Load(mistake));
    }
    let address = load.url.resolve().map_err(|error| StartError::Resolve(load.url.authority(), error))?;
    let context = Arc::new(Context::new(load, address));
    let (stop, told) = watch::channel(false);
    let (finished, done) = oneshot::channel();
    let clients = supervise(context.clone(), told, finished);
    Ok((Running { context, stop, done }, clients))
}

/// Runs all clients to their ends.
async fn supervise(context: Arc<Context>, mut told: watch::Receiver<bool>, finished: oneshot::Sender<()>) {
    let mut clients = seat_clients(&context, &told);
    stopped(&mut told).await;
    // An upload sends the rest at once when it is told to stop, but a server may be slow to take it.
    let limit = context.load.timeout * 2 + context.load.upload_for + STOP_MARGIN;
    let ended = timeout(limit, async {
        while let Some(ended) = clients.join_next().await {
            if let Err(error) = ended {
                context.confess(format!("a client of the meter died: {error}"));
            }
        }
    });
    if ended.await.is_err() {
        context.confess(format!("{} clients of the meter did not end in time", clients.len()));
    }
    let _ = finished.send(());
}

fn seat_clients(context: &Arc<Context>, told: &watch::Receiver<bool>) -> JoinSet<()> {
    let load = &context.load;
    let mut dice = Chance::seeded(context.seed);
    let mut clients = JoinSet::new();
    let seat = |kind| Seat { context: context.clone(), kind, stop: told.clone() };
    let kinds = [(Kind::Naive, load.reused), (Kind::Peek, load.peek), (Kind::Fresh, load.fresh)];
    let kinds = kinds.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count));
    for (index, kind) in kinds.enumerate() {
        let chance = Chance::seeded(dice.next());
        let pace = if load.rate > 0.0 {
            Pace::open(load.rate, index, load.request_clients(), chance)
        } else {
            Pace::closed(load.think.clone(), chance)
        };
        clients.spawn(RequestClient::new(seat(kind), pace).run());
    }
    for _ in 0..load.uploads {
        clients.spawn(upload::run(seat(Kind::Upload)));
    }
    for _ in 0..load.sse {
        clients.spawn(events::run(seat(Kind::Sse)));
    }
    for _ in 0..load.websockets {
        clients.spawn(websocket::run(seat(Kind::WebSocket), Chance::seeded(dice.next())));
    }
    clients
}
