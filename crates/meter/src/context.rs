//! What all clients of one run share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::expectation::Expectation;
use crate::failure::{Class, Failure, Fault, Kind};
use crate::ledger::Book;
use crate::load::Load;
use crate::tally::Tally;

/// What all clients of one run share.
pub(crate) struct Context {
    pub load: Load,
    pub address: SocketAddr,
    pub releases: Expectation,
    pub book: Arc<Book>,
    pub seed: u64,
    pub started: Instant,
    tally: Mutex<Tally>,
}

impl Context {
    pub(crate) fn new(load: Load, address: SocketAddr) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = unix.as_nanos() as u64 ^ (u64::from(std::process::id()) << 40);
        let started = Instant::now();
        Self {
            tally: Mutex::new(Tally::new(unix, load.failures_kept)),
            load,
            address,
            releases: Expectation::default(),
            book: Arc::new(Book::new(format!("m{seed:x}"))),
            seed,
            started,
        }
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a fault, and keeps it in full while there is room.
    pub(crate) fn fail(&self, client: Kind, asked: &str, id: Option<&str>, met: Met, fault: Fault) {
        let failure = Failure {
            at: self.started.elapsed(),
            class: fault.class,
            client,
            reused: met.reused,
            request: asked.to_owned(),
            id: id.map(str::to_owned),
            sent: met.moved.0,
            received: met.moved.1,
            detail: fault.detail,
        };
        self.tally().fail(failure);
    }

    /// Counts a fault of the meter itself.
    pub(crate) fn confess(&self, detail: String) {
        self.fail(Kind::Meter, "the meter", None, Met::default(), Fault::new(Class::Meter, detail));
    }
}

/// In which state a connection was when a fault was met.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Met {
    pub reused: bool,
    /// Bytes sent and received.
    pub moved: (u64, u64),
}
