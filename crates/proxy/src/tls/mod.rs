//! TLS with clients, by rustls: certificates ([`pair`], [`certificates`]), which of them a client is shown
//! ([`door`]), the handshake ([`handshake`]) and what follows ([`stream`]), and resuming sessions ([`ticket`]). [`self_signed`] has those
//! that no client sees: for an authority that asks, and for our own agent.
//!
//! And with instances that want it: what is asked of them and shown to them ([`terms`]), kept up to date ([`seal`]), and why a handshake
//! failed ([`failure`]).
//!
//! The proxy reads keys from the files that its table names. They are in no table, no answer of the control socket and no log.

pub(crate) mod certificates;
pub(crate) mod door;
pub(crate) mod failure;
pub(crate) mod handshake;
mod pair;
pub(crate) mod roots;
pub(crate) mod seal;
mod self_signed;
mod source;
pub(crate) mod stream;
mod terms;
mod ticket;

pub use failure::told as failed_with_instance;
pub use handshake::LOOKING;
pub use pair::{Facts, Pair, PairError};
pub use roots::RootsError;
pub use terms::{Terms, TermsError};
