//! Figures as people read them: lengths of time, and numbers with many digits.

use std::time::Duration;

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
