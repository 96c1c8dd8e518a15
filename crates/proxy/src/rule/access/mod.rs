//! Who may ask, and how much.

mod at_once;
mod hash;
mod key;
mod password;
mod rate;

use std::net::IpAddr;
use std::sync::Arc;

use cutover_core::rules::Access;

use crate::live::count::ServiceCounts;
use crate::serve::refuse::Refusal;

pub use at_once::Permit;
pub use password::{Login, Verdict};

/// What is remembered of the clients of one service, from one table to the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// Who had to prove who they are.
    pub passwords: password::Passwords,
    rates: rate::Rates,
    at_once: at_once::AtOnce,
}

/// Whether a client at this address may come at all. One that cannot be told is let in only where nobody is kept out.
pub fn admits(access: &Access, address: Option<IpAddr>) -> bool {
    if access.allow.is_empty() && access.deny.is_empty() {
        return true;
    }
    let Some(address) = address else { return false };
    let among = |networks: &[cutover_core::table::Network]| networks.iter().any(|network| network.contains(address));
    !among(&access.deny) && (access.allow.is_empty() || among(&access.allow))
}

/// Counts a request of a client; the permit is kept until it is over.
pub fn count(
    access: &Access,
    counts: &Arc<ServiceCounts>,
    address: Option<IpAddr>,
    now_us: u64,
) -> Result<Option<Permit>, Refusal> {
    let key = key::of(address);
    if let Some(rate) = &access.rate
        && let Err(wait) = counts.memory.rates.take(rate, key, now_us)
    {
        return Err(Refusal::too_many_requests(wait.div_ceil(1_000_000).max(1)));
    }
    let Some(most) = access.at_once else { return Ok(None) };
    Permit::take(counts, key, most).map(Some).ok_or_else(Refusal::too_many_at_once)
}
