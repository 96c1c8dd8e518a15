//! Certificates that the proxy orders by itself (ACME, RFC 8555), keeps, and renews in time.
//!
//! The proxy does this, not the agent: an agent may be away for longer than a certificate lives, and the authority asks its
//! questions where clients arrive. Which names, and which authority, stand in the table.
//!
//! Everything is a file in the **store** ([`store`]): the account, each certificate with its key, how often it was tried in vain,
//! who is at it ([`lease`]), and what the authority is to be answered ([`answer`]). So a proxy that starts again, a successor, and other
//! hosts that share the store find what was there, and nobody orders what another has. What serves is read from the store as from
//! any other file (`tls::certificates`): a certificate that was renewed, by whomever, is in use half a second later.
//!
//! [`upkeep`] is a thread of its own: no worker waits for a disk or an authority, nor does the control socket. It looks what is due, and
//! makes one attempt after the other ([`order`]). Every attempt is written down before it begins, with the time of the next one, so
//! that not even a proxy that dies in each of them asks without a pause.
//!
//! **Invariant:** only the process that is the proxy of its directory orders. **Invariant:** between two attempts for a name lies the pause of
//! `cutover_core::rule::order_pause`, unless a person removes the note of the last one.
//!
//! Deliberately absent: DNS-01 and with it wildcards, several names in one certificate, revocation, renewal at the authority's wish
//! (RFC 9773), a self-signed certificate for clients while there is no other.

mod account;
pub mod answer;
pub mod http;
mod lease;
mod order;
mod round;
pub mod store;
mod trouble;
pub mod upkeep;

use std::time::{SystemTime, UNIX_EPOCH};

use cutover_core::Timestamp;
use cutover_core::acme::Authority;

/// A certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// The name that it is for.
    pub name: String,
    /// Who is asked for it.
    pub authority: Authority,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
