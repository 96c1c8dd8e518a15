//! Deadlines without timers.
//!
//! A timer per request would cost more than parsing the request. Instead each connection has a [`Slot`] in which it writes
//! when its present wait becomes too long, and one tick per worker looks at all slots ten times a second; so limits are met
//! to a tenth of a second. The tick stops while there is nothing to look at: an idle proxy sleeps.
//!
//! The same slot carries what others want of a connection: to end its stream at a given time, or to close when it is idle.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use cutover_core::listen::ListenAddress;
use tokio::sync::Notify;

use super::Worker;

const TICK: Duration = Duration::from_millis(100);

/// The slots of one worker.
#[derive(Debug, Default)]
pub struct Clock {
    slots: RefCell<Vec<Weak<Slot>>>,
    wake: Notify,
    asleep: Cell<bool>,
    leaving: Cell<bool>,
}

/// What one connection waits for, and what is wanted of it.
#[derive(Debug)]
pub struct Slot {
    listener: ListenAddress,
    limit: Cell<u64>,
    late: Cell<bool>,
    stream_of: Cell<u64>,
    close_at: Cell<u64>,
    close: Cell<bool>,
    retired: Cell<bool>,
    hurried: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The wait took too long.
    Late,
    /// The stream is to be ended.
    Close,
}

impl Clock {
    /// A slot for a connection that came in at `listener`.
    pub fn slot(&self, listener: &ListenAddress) -> Rc<Slot> {
        let slot = Rc::new(Slot {
            listener: listener.clone(),
            limit: Cell::new(0),
            late: Cell::new(false),
            stream_of: Cell::new(0),
            close_at: Cell::new(0),
            close: Cell::new(false),
            retired: Cell::new(self.leaving.get()),
            hurried: Cell::new(false),
            waker: RefCell::new(None),
        });
        self.slots.borrow_mut().push(Rc::downgrade(&slot));
        self.awake();
        slot
    }

    /// There is something to look at.
    pub fn awake(&self) {
        if self.asleep.replace(false) {
            self.wake.notify_one();
        }
    }

    /// Every connection, also one that begins only now, is closed after its next answer; nobody is hurried.
    pub fn leave(&self) {
        self.leaving.set(true);
        for slot in self.slots() {
            slot.signal(&slot.retired);
        }
    }

    /// All live slots.
    pub fn slots(&self) -> Vec<Rc<Slot>> {
        self.slots.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    /// Ends the streams of a target, evenly spread over `over` milliseconds. `shift` moves them within their steps, so that
    /// workers do not close at the same instants.
    pub fn close_streams(&self, of: impl Fn(u64) -> bool, now: u64, over: u64) {
        let streams: Vec<_> = self.slots().into_iter().filter(|slot| of(slot.stream_of.get())).collect();
        let count = streams.len().max(1) as u64;
        for (index, slot) in streams.iter().enumerate() {
            slot.close_at.set(now + over * index as u64 / count);
            if over == 0 {
                slot.signal(&slot.close);
            }
        }
    }

    fn look(&self, now: u64) -> usize {
        let mut slots = self.slots.borrow_mut();
        slots.retain(|slot| slot.upgrade().is_some_and(|slot| slot.look(now)));
        slots.len()
    }
}

impl Slot {
    /// Where its connection came in.
    pub fn listener(&self) -> &ListenAddress {
        &self.listener
    }

    /// The present wait must end before `at` (milliseconds since the start; zero: no limit). Replaces the limit before.
    #[inline]
    pub fn limit(&self, at: u64) {
        self.limit.set(at);
        self.late.set(false);
    }

    /// The present wait may take so long from `now`; zero is no limit.
    #[inline]
    pub fn within(&self, now: u64, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.limit(if millis == 0 { 0 } else { now.saturating_add(millis) });
    }

    /// From now on this connection is a stream of the target with this serial number; zero for none.
    pub fn stream_of(&self, serial: u64) {
        self.stream_of.set(serial);
    }

    /// The connection is to close as soon as it is idle.
    pub fn retire(&self) {
        self.hurried.set(true);
        self.signal(&self.retired);
    }

    /// Whether the connection is to close after its next answer.
    #[inline]
    pub fn retired(&self) -> bool {
        self.retired.get()
    }

    /// Whether it is to close even if no request comes.
    #[inline]
    pub fn hurried(&self) -> bool {
        self.hurried.get()
    }

    /// What it says now. If nothing, the task is woken when that changes.
    #[inline]
    pub fn poll(&self, cx: &mut Context<'_>) -> Option<Signal> {
        if self.late.take() {
            return Some(Signal::Late);
        }
        if self.close.get() {
            return Some(Signal::Close);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        None
    }

    fn signal(&self, what: &Cell<bool>) {
        what.set(true);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Rings if it is time. Always true, for the slot is alive.
    fn look(&self, now: u64) -> bool {
        if self.limit.get() != 0 && self.limit.get() <= now {
            self.limit.set(0);
            self.signal(&self.late);
        }
        if self.close_at.get() != 0 && self.close_at.get() <= now {
            self.close_at.set(0);
            self.signal(&self.close);
        }
        true
    }
}

/// Looks at all slots and idle connections of a worker for as long as it lives.
pub async fn tick(worker: Rc<Worker>) {
    loop {
        let now = worker.shared.now_ms();
        let pending = worker.clock.look(now) + worker.pool.sweep(now) + worker.trunks.sweep(now);
        if pending == 0 {
            worker.clock.asleep.set(true);
            worker.clock.wake.notified().await;
        }
        tokio::time::sleep(TICK).await;
    }
}
