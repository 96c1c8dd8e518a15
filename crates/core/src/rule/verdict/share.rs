//! Chances and shares as whole numbers, so that they are equal or not, and mean the same on every machine and after a journal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number from 0 to 1 in steps of a trillionth. Written as a plain decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u64);

const ONE: u64 = 1_000_000_000_000;

/// Why a number is not a share.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not a share: write a number from 0 to 1, for example 0.01 for one per cent")]
pub struct NoShare(f64);

impl Share {
    /// All.
    pub const ONE: Self = Self(ONE);

    /// A share of so many millionths.
    pub const fn millionths(millionths: u32) -> Self {
        Self(if millionths < 1_000_000 { millionths as u64 * 1_000_000 } else { ONE })
    }

    /// The smallest that is no smaller than `value`: for chances, so that rounding never makes a chance look smaller.
    pub(super) fn at_least(value: f64) -> Self {
        Self(((value * ONE as f64).ceil() as u64).clamp(1, ONE))
    }

    /// This share of a share, rounded down: for limits. `of` is not zero.
    pub(super) fn part(self, parts: u64, of: u64) -> Self {
        Self((u128::from(self.0) * u128::from(parts) / u128::from(of)) as u64)
    }

    /// Whether it takes whoever drew this number: as often as it says, of numbers that are spread evenly.
    pub fn takes(self, drawn: u64) -> bool {
        (u128::from(drawn) * u128::from(ONE)) >> 64 < u128::from(self.0)
    }

    /// As a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

impl TryFrom<f64> for Share {
    type Error = NoShare;
    fn try_from(value: f64) -> Result<Self, NoShare> {
        if (0.0..=1.0).contains(&value) { Ok(Self((value * ONE as f64).round() as u64)) } else { Err(NoShare(value)) }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.as_f64()
    }
}

/// Two digits that count: `0.00039`, `0.18`, `1`; below a millionth nobody reads digits.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < ONE / 1_000_000 {
            return f.write_str("less than 0.000001");
        }
        let places = 13 - self.0.ilog10() as usize;
        let text = format!("{:.places$}", self.as_f64());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_shares_are_shares() {
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Share::try_from(wrong).is_err(), "{wrong}");
        }
        let text = |share: f64| Share::try_from(share).unwrap().to_string();
        assert_eq!(["0.00039", "0.18", "1", "0.01"], [text(0.000_39), text(0.18), text(1.0), text(0.01)]);
        assert_eq!(Share::at_least(0.0).to_string(), "less than 0.000001");
        assert_eq!(Share::millionths(10_000), Share::try_from(0.01).unwrap());
    }

    /// Seen to fail with `<=`: none takes nobody.
    #[test]
    fn a_share_takes_as_many_as_it_says() {
        let step = u64::MAX / 1000;
        let drawn = || (0..1000).map(|index| step / 2 + step * index);
        let taken = |share: f64| drawn().filter(|drawn| Share::try_from(share).unwrap().takes(*drawn)).count();
        assert_eq!([0.0, 0.1, 0.5, 1.0].map(taken), [0, 100, 500, 1000]);
        assert!(!Share::default().takes(0) && Share::ONE.takes(u64::MAX));
    }

    proptest! {
        // Seen to fail with the chance rounded down: then one of zero was below every limit, also a limit of zero.
        #[test]
        fn a_chance_never_looks_smaller_than_it_is(chance in 0.0f64..=1.0, tiny in 0.0f64..1e-11) {
            prop_assert!(Share::at_least(chance).as_f64() >= chance);
            prop_assert!(Share::at_least(tiny).as_f64() >= tiny && Share::at_least(tiny) > Share::default());
        }

        #[test]
        fn a_share_reads_back_as_it_was_written(trillionths in 0..=ONE) {
            let text = serde_json::to_string(&Share(trillionths)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Share>(&text).unwrap(), Share(trillionths));
        }
    }
}
