//! Rules that answer one question each, from values: is it ready, has it drained, is the new release worse, when to try again,
//! and when to give up.

mod affinity;
mod backoff;
mod deliver;
mod drain;
mod eject;
mod ramp;
mod ready;
mod renew;
pub mod verdict;

pub use affinity::distance;
pub use backoff::{poll_pause, revive_pause};
pub use deliver::{KEPT_TRYING, TRIES, try_again};
pub use drain::{Drained, drained};
pub use eject::{Standing, Trust, may_leave_out};
pub use ramp::ramp;
pub use ready::{Gate, GateAnswer};
pub use renew::{order_pause, renewal};
