//! When a client sends its next request.
//!
//! In the open loop each client has its share of the total rate as a row of equal slots, and sends once at a random
//! moment in each. A request that is due while the client still waits for an earlier answer is sent late, but its
//! latency counts from when it was due. Otherwise a server that stalls would be asked less just while it stalls, and
//! look better than it is ("coordinated omission").

use std::ops::Range;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::chance::Chance;

/// The runtime's timer rounds up to whole milliseconds. A send that is late by less than this was late by the meter's own
/// doing and counts from when it was sent.
const TIMER_GRAIN: Duration = Duration::from_millis(2);

/// In a closed loop, the least pause after a request that had no answer. A server that refuses is not asked in a busy loop.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// One client's rhythm.
pub(crate) struct Pace {
    rhythm: Rhythm,
    chance: Chance,
}

enum Rhythm {
    Open { slot: Instant, length: Duration },
    Closed { think: Range<Duration>, failed: bool },
}

impl Pace {
    /// The rhythm of client number `index` out of `clients` that share `rate` requests per second.
    pub(crate) fn open(rate: f64, index: usize, clients: usize, chance: Chance) -> Self {
        let length = Duration::from_secs_f64(clients as f64 / rate);
        let slot = Instant::now() + length.mul_f64(index as f64 / clients as f64);
        Self { rhythm: Rhythm::Open { slot, length }, chance }
    }

    /// The rhythm of a client that thinks for a while after each answer.
    pub(crate) fn closed(think: Range<Duration>, chance: Chance) -> Self {
        Self { rhythm: Rhythm::Closed { think, failed: false }, chance }
    }

    /// Waits for the next moment to send, and gives the moment from which its latency counts. `None` when it is time to stop.
    pub(crate) async fn next(&mut self, stop: &mut watch::Receiver<bool>) -> Option<Instant> {
        let now = Instant::now();
        let due = match &mut self.rhythm {
            Rhythm::Open { slot, length } => {
                let due = *slot + length.mul_f64(self.chance.unit());
                *slot += *length;
                due
            }
            Rhythm::Closed { think, failed } => {
                let least = if std::mem::take(failed) { AFTER_FAILURE } else { Duration::ZERO };
                now + self.chance.within(think).max(least)
            }
        };
        if due > now {
            pause(due, stop).await?;
        } else if *stop.borrow() {
            return None;
        }
        let woken = Instant::now();
        Some(if woken - due <= TIMER_GRAIN { woken } else { due })
    }

    /// Says that the last request had no answer.
    pub(crate) fn failed(&mut self) {
        if let Rhythm::Closed { failed, .. } = &mut self.rhythm {
            *failed = true;
        }
    }

    pub(crate) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }
}

/// Waits until `due`. `None` when it is time to stop before that.
pub(crate) async fn pause(due: Instant, stop: &mut watch::Receiver<bool>) -> Option<()> {
    tokio::select! {
        () = tokio::time::sleep_until(due) => Some(()),
        () = stopped(stop) => None,
    }
}

/// Done when it is time to stop, also because nobody is left to say so.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
