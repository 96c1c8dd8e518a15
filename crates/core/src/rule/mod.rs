//! Rules that answer one question each, from values: is it ready, has it drained, is the new release worse, when to try again,
//! and when to give up.

mod backoff;
mod deliver;
mod drain;
mod ready;
pub mod verdict;

pub use backoff::{poll_pause, revive_pause};
pub use deliver::{KEPT_TRYING, TRIES, try_again};
pub use drain::{Drained, drained};
pub use ready::{Gate, GateAnswer};
