//! Tells people and programs what becomes of deployments.
//!
//! A subscriber of the journal: it reads the events that were recorded, writes down in the journal's own file what is to be told to
//! whom (`store::outbox`), and then tells it, each receiver at its own pace. No deployment waits for it, and none knows of it.
//!
//! **Invariant.** An event is seen, and what follows from it written down, in one transaction; a try is crossed off only after the
//! receiver has taken it. Killed anywhere, the next agent goes on: everybody is told at least once, and a message that comes
//! twice has the same id.
//!
//! Deliberately absent: an order between messages. One that is tried again does not hold up those behind it.

mod deliver;
pub mod message;
mod redact;
mod sink;
mod trial;

pub use deliver::Notifier;
pub(crate) use sink::connector;
