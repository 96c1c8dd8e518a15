//! Which clients a canary takes, when it takes clients and not requests.
//!
//! Each client has a point, one of ten thousand, that stays the same while a deployment runs; the canary takes those whose point
//! lies below its share. A share that grows therefore only moves clients from the old release to the new one, each of them once,
//! and a canary that is taken back gives all of them back. The next deployment deals the points anew: it is not always the same
//! clients who try what is new.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{DeploymentId, ReleaseNo, ServiceName};
use crate::unit::duration;

/// How many points there are.
pub const POINTS: u16 = 10_000;

/// How the name of every cookie of ours begins; the name of the service follows.
pub const COOKIE: &str = "cutover-canary-";

/// What a client is told apart by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinBy {
    /// A cookie of the proxy's own.
    Cookie,
    /// The value of this request header.
    Header(String),
    /// Its address.
    Address,
}

/// Binds clients to a release while a canary is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// What a client is told apart by.
    pub by: PinBy,
    /// The release that is tried out.
    pub release: ReleaseNo,
    /// The points below this one are its own.
    pub share: u16,
    /// The deployment. Points of another one mean nothing.
    pub deployment: DeploymentId,
    /// How long a client keeps its cookie: longer than the shares are held.
    #[serde(with = "duration")]
    pub life: Duration,
}

impl Pin {
    /// Whether the release that is tried out takes the client with this point.
    pub fn takes(&self, point: u16) -> bool {
        point < self.share
    }

    /// The point of the client whom such a text tells apart.
    pub fn point(&self, text: &[u8]) -> u16 {
        // FNV-1a, mixed as in SplitMix64: it must give the same in every process and every version of the proxy.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let salt = self.deployment.0.to_le_bytes();
        let mut hash = salt.iter().chain(text).fold(0xcbf2_9ce4_8422_2325, step);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        ((u128::from(hash) * u128::from(POINTS)) >> 64) as u16
    }

    /// The point of the client with this address. Of an IPv6 address the first 64 bits count: the others change by the day.
    pub fn point_of(&self, address: IpAddr) -> u16 {
        match address.to_canonical() {
            IpAddr::V4(address) => self.point(&address.octets()),
            IpAddr::V6(address) => self.point(&address.octets()[..8]),
        }
    }

    /// The value of a cookie for this point.
    pub fn cookie(&self, point: u16) -> String {
        format!("{}.{point}", self.deployment)
    }

    /// The point in a cookie's value, if it is one of this deployment. Whoever makes up a value chooses a release, and no more.
    pub fn point_in(&self, value: &[u8]) -> Option<u16> {
        let (deployment, point) = std::str::from_utf8(value).ok()?.split_once('.')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let ours = digits(deployment) && digits(point) && deployment.parse() == Ok(self.deployment.0);
        point.parse().ok().filter(|point| ours && *point < POINTS)
    }
}

/// The name of the cookie of a service.
pub fn cookie_name(service: &ServiceName) -> String {
    format!("{COOKIE}{service}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pin(share: u16, deployment: u64) -> Pin {
        let (deployment, release) = (DeploymentId(deployment), ReleaseNo(2));
        Pin { by: PinBy::Cookie, release, share, deployment, life: Duration::from_secs(60) }
    }

    /// Seen to fail with the mixing at the end taken out: texts that differ in their last byte then lie side by side.
    #[test]
    fn points_are_dealt_out_evenly() {
        for share in [100, 500, 2500, 5000, 9900] {
            let pin = pin(share, 7);
            for text in ["user-", "10.0.0.", ""] {
                let taken = (0..10_000).filter(|i| pin.takes(pin.point(format!("{text}{i}").as_bytes()))).count();
                let off = taken as f64 / 100.0 - f64::from(share) / 100.0;
                assert!(off.abs() < 2.0, "{text}: {taken} of 10,000 for {share}");
            }
        }
    }

    /// Seen to fail without the deployment in the hash.
    #[test]
    fn another_deployment_deals_anew() {
        let (one, other) = (pin(1000, 1), pin(1000, 2));
        let both = (0..10_000u32)
            .filter(|i| one.takes(one.point(&i.to_le_bytes())) && other.takes(other.point(&i.to_le_bytes())));
        let both = both.count();
        assert!((50..200).contains(&both), "{both} of 1,000 are the same clients");
        assert_eq!(one.point_in(b"2.17"), None);
    }

    #[test]
    fn neighbours_in_one_network_are_one_client_in_ipv6_only() {
        let pin = pin(1, 3);
        let point = |text: &str| pin.point_of(text.parse().unwrap());
        assert_eq!(point("2001:db8::1"), point("2001:db8::ffff:1"));
        assert_ne!(point("2001:db8::1"), point("2001:db8:0:1::1"));
        assert_eq!(point("::ffff:10.0.0.1"), point("10.0.0.1"));
        assert_ne!(point("10.0.0.1"), point("10.0.0.2"));
    }

    #[test]
    fn what_is_no_cookie_of_ours_says_nothing() {
        let pin = pin(5000, 12);
        assert_eq!(pin.point_in(b"12.9999"), Some(9999));
        for text in [
            "",
            ".",
            "12",
            "12.",
            "12.10000",
            "12.-1",
            "12.+1",
            "+12.1",
            "12.1.1",
            "12.99999999999",
            "13.1",
            "12. 1",
            "12.1\u{e9}",
        ] {
            assert_eq!(pin.point_in(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(pin.point_in(&[0xff, b'.', b'1']), None);
    }

    proptest! {
        /// Seen to fail with the share in the hash.
        #[test]
        fn a_share_that_grows_only_moves_clients_to_the_new_release(text in ".*", from in 0..=POINTS, more in 0..=POINTS) {
            let (before, after) = (pin(from, 5), pin((from + more).min(POINTS), 5));
            let point = before.point(text.as_bytes());
            prop_assert!(point < POINTS);
            prop_assert_eq!(before.point_in(before.cookie(point).as_bytes()), Some(point));
            prop_assert!(!before.takes(point) || after.takes(after.point(text.as_bytes())));
        }

        #[test]
        fn any_bytes_may_stand_in_a_cookie(value in proptest::collection::vec(any::<u8>(), 0..20)) {
            prop_assert!(pin(1, 1).point_in(&value).is_none_or(|point| point < POINTS));
        }
    }
}
