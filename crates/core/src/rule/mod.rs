//! Rules that answer one question each, from values: is it ready, has it drained, when to try again, is the new release worse.

mod backoff;
mod drain;
mod ready;
pub mod verdict;

pub use backoff::{poll_pause, revive_pause};
pub use drain::{Drained, drained};
pub use ready::{Gate, GateAnswer};
