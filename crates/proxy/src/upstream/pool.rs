//! Idle connections to instances, kept by each worker for itself.
//!
//! The last one put in is taken first, so that the surplus grows old and is closed. An idle connection is never longer kept
//! than the limit of its service, which lies below the time after which common servers close theirs; that makes the race "the
//! instance closes while we write" rare. The retry rule in `serve::retry` takes care of the rest.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::wire::Wire;
use crate::live::gate::Admits;
use crate::live::target::LiveTarget;

/// How many idle connections one worker keeps to one target.
const KEPT: usize = 128;

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    shelves: RefCell<HashMap<u64, Shelf>>,
}

#[derive(Debug)]
struct Shelf {
    target: Arc<LiveTarget>,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    wire: Wire,
    until: u64,
}

impl Pool {
    /// Takes a connection on which the instance has not said anything, least of all goodbye. `certain` asks the kernel; else
    /// only what the event loop knows already is used, which is free.
    pub fn take(&self, target: &LiveTarget, now: u64, certain: bool) -> Option<Wire> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.get_mut(&target.serial)?;
        while let Some(idle) = shelf.idle.pop() {
            target.counts.idle.fetch_sub(1, Relaxed);
            if now < idle.until && idle.wire.is_quiet(certain) {
                return Some(idle.wire);
            }
        }
        None
    }

    /// Keeps a connection for up to `keep`, unless its target takes nothing more, or has said more than it was asked (in TLS perhaps goodbye).
    pub fn put(&self, target: &Arc<LiveTarget>, wire: Wire, now: u64, keep: Duration) {
        if !target.gate.admits(Admits::Named) || !wire.is_read_out() {
            return;
        }
        let keep = if keep.is_zero() { u64::MAX } else { u64::try_from(keep.as_millis()).unwrap_or(u64::MAX) };
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.entry(target.serial).or_insert_with(|| Shelf { target: target.clone(), idle: Vec::new() });
        if shelf.idle.len() < KEPT {
            target.counts.idle.fetch_add(1, Relaxed);
            shelf.idle.push(Idle { wire, until: now.saturating_add(keep) });
        }
    }

    /// Closes all connections to the targets for which `closed` holds.
    pub fn purge(&self, closed: impl Fn(&LiveTarget) -> bool) {
        self.shelves.borrow_mut().retain(|_, shelf| {
            let closed = closed(&shelf.target);
            if closed {
                shelf.target.counts.idle.fetch_sub(shelf.idle.len() as u64, Relaxed);
            }
            !closed
        });
    }

    /// Closes what has been idle for too long, and what the instance closed. Gives the number of those that stay.
    pub fn sweep(&self, now: u64) -> usize {
        let mut kept = 0;
        self.shelves.borrow_mut().retain(|_, shelf| {
            let before = shelf.idle.len();
            shelf.idle.retain(|idle| now < idle.until && idle.wire.is_quiet(false));
            shelf.target.counts.idle.fetch_sub((before - shelf.idle.len()) as u64, Relaxed);
            kept += shelf.idle.len();
            !shelf.idle.is_empty()
        });
        kept
    }
}
