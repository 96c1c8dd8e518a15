//! Virtual time of day.

use cutover::engine::port::Clock;
use cutover_core::Timestamp;

use super::Port;

pub(super) struct SimClock(pub(super) Port);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.world.lock().now()
    }
}
