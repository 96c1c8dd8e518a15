//! TLS on the side of the clients, by rustls: certificates ([`pair`], [`certificates`]), which of them a client is shown
//! ([`door`]), the handshake ([`handshake`]) and what follows ([`stream`]), and resuming sessions ([`ticket`]).
//!
//! The proxy reads keys from the files that its table names. They are in no table, no answer of the control socket and no log.

pub(crate) mod certificates;
pub(crate) mod door;
pub(crate) mod handshake;
mod pair;
pub(crate) mod stream;
mod ticket;

pub use pair::{Facts, Pair, PairError};
