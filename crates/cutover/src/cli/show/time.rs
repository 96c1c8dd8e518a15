//! Times and durations for people.

use std::time::Duration;

use cutover_core::Timestamp;
use jiff::tz::TimeZone;

/// A moment in the time zone of this machine: `2026-11-21 14:03:07`.
pub fn moment(at: Timestamp) -> String {
    let moment = i64::try_from(at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let moment = moment.map(|moment| moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string());
    moment.unwrap_or_else(|| "?".to_owned())
}

/// A duration with as many digits as matter: `64 µs`, `7 ms`, `1.4 s`, `3 min 20 s`.
pub fn length(time: Duration) -> String {
    match time.as_millis() {
        0 if time.is_zero() => "0 ms".to_owned(),
        0 => format!("{} µs", time.as_micros()),
        millis @ 1..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

/// A number with thousands set apart: `8,412`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_read_well() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(length(Duration::from_micros(300)), "300 µs");
        assert_eq!(length(Duration::from_millis(7)), "7 ms");
        assert_eq!(length(Duration::from_millis(1_440)), "1.4 s");
        assert_eq!(length(Duration::from_secs(200)), "3 min 20 s");
    }
}
