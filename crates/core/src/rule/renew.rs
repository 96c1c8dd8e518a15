//! When a certificate is renewed, and when it is asked for again after that failed.

use std::time::Duration;

use crate::unit::Timestamp;

/// The pause after the first failure. With those that follow, five attempts fall into the first hour: that is how many failures
/// an hour Let's Encrypt allows for a name.
const FIRST: Duration = Duration::from_secs(120);

/// The longest pause: a certificate that is renewed a month before its end is then tried a hundred times.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// The longest pause that an authority may ask for. Whoever asks for more is asked again after that.
const ASKED: Duration = Duration::from_secs(24 * 3600);

/// When a certificate that is good for this time is renewed: when between 40 and 33 hundredths of it are left. `spread`, from 0 to
/// 1, says where between them, so that many certificates of one day are not renewed in one minute.
pub fn renewal(from: Timestamp, until: Timestamp, spread: f64) -> Timestamp {
    let life = until.since(from);
    until - life.mul_f64(0.4 - spread.clamp(0.0, 1.0) * 0.067)
}

/// How long to wait after so many failures in a row: twice as long each time, and no less than the authority asks for.
pub fn order_pause(failures: u32, asked: Option<Duration>) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let own = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    asked.map_or(own, |asked| asked.min(ASKED).max(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Seen to fail with the time left taken for the time passed.
    #[test]
    fn a_third_of_the_life_is_left_at_least() {
        let from = Timestamp(1_000_000_000_000);
        for days in [6, 45, 90, 398] {
            let until = from + DAY * days;
            let at = |spread| until.since(renewal(from, until, spread)).as_secs_f64() / until.since(from).as_secs_f64();
            assert!((0.399..0.401).contains(&at(0.0)), "{}", at(0.0));
            assert!((0.332..0.334).contains(&at(1.0)), "{}", at(1.0));
            assert!(at(0.5) < at(0.2) && at(7.0) == at(1.0));
        }
        assert_eq!(renewal(from, from - DAY, 0.5), from - DAY, "a certificate that makes no sense is due");
    }

    /// Seen to fail with a first pause of a minute.
    #[test]
    fn failures_are_few_in_an_hour_and_the_authority_is_heard() {
        let starts: Vec<Duration> = (1..20)
            .scan(Duration::ZERO, |at, failures| {
                let now = *at;
                *at += order_pause(failures, None);
                Some(now)
            })
            .collect();
        let within = |time: Duration| starts.iter().filter(|start| **start < time).count();
        assert_eq!(within(Duration::from_secs(3600)), 5);
        assert!(within(DAY) <= 11, "{}", within(DAY));
        assert_eq!(order_pause(0, None), FIRST);
        assert_eq!(order_pause(99, None), LONGEST);
        assert_eq!(order_pause(1, Some(Duration::from_secs(3600))), Duration::from_secs(3600));
        assert_eq!(
            order_pause(9, Some(Duration::from_secs(1))),
            LONGEST,
            "a wait that is too short is not longer than ours"
        );
        assert_eq!(order_pause(1, Some(DAY * 7)), DAY);
    }
}
