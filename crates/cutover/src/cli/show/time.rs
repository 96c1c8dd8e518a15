//! Times and durations for people.

use cutover_core::Timestamp;
use jiff::tz::TimeZone;

pub use crate::figure::{length, number};

/// A moment in the time zone of this machine: `2026-11-21 14:03:07`.
pub fn moment(at: Timestamp) -> String {
    let moment = i64::try_from(at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let moment = moment.map(|moment| moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string());
    moment.unwrap_or_else(|| "?".to_owned())
}
