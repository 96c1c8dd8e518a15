//! Units that live in types: a moment, a size, and durations as people write them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch. Deadlines are stored as moments, so that they hold across a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time from `earlier` to here; zero if `earlier` is later (clocks step back).
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A number of bytes, written as `512MiB`, `10MB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SizeText", into = "u64")]
pub struct ByteSize(pub u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum SizeText {
    Bytes(u64),
    Text(String),
}

/// Why a text is not a size or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a size.
    #[error("{0:?} is not a size: write a number of bytes or for example 512KiB, 64MiB, 2GiB, 10MB")]
    Size(String),
    /// Not a duration.
    #[error("{0:?} is not a duration: write for example 250ms, 30s, 5m, 2h or 1m30s")]
    Duration(String),
}

impl From<ByteSize> for u64 {
    fn from(size: ByteSize) -> u64 {
        size.0
    }
}

impl TryFrom<SizeText> for ByteSize {
    type Error = UnitError;
    fn try_from(text: SizeText) -> Result<Self, UnitError> {
        match text {
            SizeText::Bytes(bytes) => Ok(Self(bytes)),
            SizeText::Text(text) => text.parse(),
        }
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Size(text.to_owned());
        let (number, unit) = split_unit(text.trim()).ok_or_else(wrong)?;
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1_000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "kib" | "ki" => 1 << 10,
            "mib" | "mi" => 1 << 20,
            "gib" | "gi" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return f.pad(&format!("{}{unit}", self.0 / factor));
            }
        }
        f.pad(&format!("{}B", self.0))
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim_start()))
}

/// Durations as people write them: `250ms`, `30s`, `1m30s`. Used by serde as `#[serde(with = "duration")]`.
pub mod duration {
    use super::*;

    /// Reads a duration; units are `ms`, `s`, `m`, `h` and `d`, and several may follow each other.
    pub fn parse(text: &str) -> Result<Duration, UnitError> {
        let wrong = || UnitError::Duration(text.to_owned());
        let mut rest = text.trim();
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let (number, tail) = split_unit(rest).ok_or_else(wrong)?;
            let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let millis = match tail[..end].trim() {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            let part = number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)?;
            total = total.checked_add(part).ok_or_else(wrong)?;
            rest = tail[end..].trim_start();
        }
        Ok(total)
    }

    /// Writes a duration in the largest units that hold it exactly.
    pub fn text(time: Duration) -> String {
        let mut millis = time.as_millis();
        if millis == 0 {
            return "0s".to_owned();
        }
        let mut text = String::new();
        for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if millis >= factor {
                text.push_str(&format!("{}{unit}", millis / factor));
                millis %= factor;
            }
        }
        text
    }

    /// For serde.
    pub fn serialize<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text(*time))
    }

    /// For serde.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        parse(&text).map_err(serde::de::Error::custom)
    }

    /// The same for one that may be missing.
    pub mod optional {
        use super::*;

        /// For serde.
        pub fn serialize<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
            time.map(text).serialize(to)
        }

        /// For serde.
        pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| parse(&text)).transpose().map_err(serde::de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_written() {
        for text in ["250ms", "30s", "1m30s", "2h", "1h1m1s1ms", "0s"] {
            assert_eq!(duration::text(duration::parse(text).unwrap()), text);
        }
        for text in ["", "30", "s", "1.5s", "-1s", "1y", "99999999999999999999s"] {
            assert!(duration::parse(text).is_err(), "{text:?} was taken for a duration");
        }
    }

    #[test]
    fn sizes_know_their_units() {
        let sizes = [("512MiB", 512 << 20), ("10MB", 10_000_000), ("7", 7), ("1 GiB", 1 << 30)];
        for (text, bytes) in sizes {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
        assert!("many".parse::<ByteSize>().is_err());
        assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
    }
}
