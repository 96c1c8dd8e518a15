//! How the requests of a service are spread over its instances, beyond [`Balance`](crate::table::Balance): who is left out for
//! a while, who is spared at first, and which client stays with whom.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, ServiceName};
use crate::unit::duration;

/// How the name of the cookie begins that names an instance; the name of the service follows.
pub const STICKY: &str = "cutover-sticky-";

/// How requests are spread.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spread {
    /// What tells clients apart where the balance is by hash.
    #[serde(skip_serializing_if = "HashBy::is_address")]
    pub hash: HashBy,
    /// Whether a client stays with its instance by a cookie, as long as that serves.
    pub sticky: bool,
    /// How long an instance that begins to serve is spared; zero: not at all.
    #[serde(with = "duration")]
    pub slow_start: Duration,
    /// When an instance that fails is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eject: Option<Eject>,
}

/// What tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashBy {
    /// Their address.
    #[default]
    Address,
    /// The value of this request header. A request without it goes where the load is least.
    Header(String),
}

/// When an instance that fails is left out, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eject {
    /// After so many failures in a row.
    pub failures: u32,
    /// For so long the first time, twice as long each time after.
    #[serde(with = "duration")]
    pub back_off: Duration,
    /// Never for longer.
    #[serde(with = "duration")]
    pub longest: Duration,
    /// Whether answers with a status from 500 to 599 are failures too.
    pub errors: bool,
}

impl Spread {
    /// Whether there is nothing special about it.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl HashBy {
    fn is_address(&self) -> bool {
        *self == Self::Address
    }
}

/// The number of a text, the same in every process and every version of the proxy: clients must find their instance again.
pub fn number(salt: u64, text: &[u8]) -> u64 {
    // FNV-1a, mixed as in SplitMix64.
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(salt.to_le_bytes().iter().chain(text).fold(0xcbf2_9ce4_8422_2325, step))
}

/// Spreads the bits of a number over all of it.
pub fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The number of an instance: for hashing, and in the cookie, which shall not tell how many instances there are.
pub fn instance_number(instance: &InstanceId) -> u64 {
    number(0, instance.to_string().as_bytes())
}

/// The number of the client with this address. Of an IPv6 address the first 64 bits count: the others change by the day.
pub fn address_number(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => number(1, &address.octets()),
        IpAddr::V6(address) => number(1, &address.octets()[..8]),
    }
}

/// The name of the cookie of a service.
pub fn sticky_name(service: &ServiceName) -> String {
    format!("{STICKY}{service}")
}
