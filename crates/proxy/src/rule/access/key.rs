//! By what clients are told apart.

use std::net::IpAddr;

/// The address, of IPv6 the first 64 bits. Those that cannot be told apart count as one.
pub fn of(address: Option<IpAddr>) -> u128 {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
        Some(IpAddr::V6(address)) => address.to_bits() >> 64 << 64,
        None => 0,
    }
}
