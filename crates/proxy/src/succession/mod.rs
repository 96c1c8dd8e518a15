//! The proxy is replaced while it runs.
//!
//! ```text
//! old                                    new, started by the old one
//!  │ ◀─────────────────── Hello ───────── │ it runs, and speaks this language
//!  │ (no table is published from here)    │
//!  │ ─ Offer: lock, sockets ────────────▶ │ reads the table from disk, starts its workers
//!  │ ◀─────────────────── Ready ───────── │
//!  │ ─ Commit: counters ────────────────▶ │ accepts
//!  │ ◀─────────────────── Serving ─────── │ answers on the control socket
//!  │ closes its copies, drains, leaves
//! ```
//!
//! What is handed over are the open sockets themselves, so that no queue of waiting connections is ever closed, and the lock of
//! the state directory, which both hold from `Offer` to `Serving` and one of them at any time.
//!
//! **Up to `Commit` the successor may fail as it likes:** it is ended, and the old one goes on. **If the old one dies after
//! `Offer`,** the successor finds the end of the conversation and goes on alone; that is certain, because the old one ends a successor
//! that it gives up before it hangs up.
//!
//! **The one that leaves keeps following.** Its clients may send one more request on their connections, so it must know of every table
//! before that is acknowledged, and what it has in hand counts until it is done: else an instance would be stopped while it
//! works for somebody. It therefore answers on a socket of its own (`leaving.PID`), and whoever is the proxy asks all that lie in the
//! state directory ([`leaving`]), also those that left before its own time. If one of them does not answer though it lives, nothing
//! is acknowledged.
//!
//! Deliberately absent: connections themselves are not handed over; they end where they began.

mod channel;
mod hand_over;
pub mod leaving;
mod message;
pub mod outline;
pub mod past;
mod take_over;

pub use hand_over::hand_over;
pub use take_over::Heir;

/// Which language is spoken. One that is not understood is refused before anything has changed.
pub const LANGUAGE: u32 = 1;
