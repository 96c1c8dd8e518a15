//! When a notification that was not taken is tried again, and when it is given up.

use std::time::Duration;

use crate::unit::Timestamp;

/// How often a notification is tried at most.
pub const TRIES: u32 = 30;

/// How long after the event it is still tried.
pub const KEPT_TRYING: Duration = Duration::from_secs(24 * 3600);

/// The longest pause between two tries, unless the receiver asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// When the next try is due, after so many that failed; `None` if it is given up. The pauses double from one second to an
/// hour. `asked` is the pause that the receiver asked for: an earlier try would only annoy it.
pub fn try_again(made: Timestamp, now: Timestamp, tried: u32, asked: Option<Duration>) -> Option<Timestamp> {
    let doublings = tried.saturating_sub(1).min(16);
    let pause = Duration::from_secs(1 << doublings).min(LONGEST_PAUSE);
    let due = now + asked.unwrap_or_default().max(pause);
    (tried < TRIES && due <= made + KEPT_TRYING).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    /// Seen to fail without the limit of a pause, of tries and of age, each alone.
    #[test]
    fn pauses_grow_and_end() {
        let hour = 3600;
        let cases = [
            (at(0), 1, None, Some(at(1))),
            (at(1), 2, None, Some(at(3))),
            (at(3), 3, None, Some(at(7))),
            (at(9000), 13, None, Some(at(9000 + hour))),
            (at(9000), 29, None, Some(at(9000 + hour))),
            (at(9000), 30, None, None),
            (at(23 * hour), 20, None, Some(at(24 * hour))),
            (at(23 * hour + 1), 20, None, None),
            (at(5), 1, Some(60), Some(at(65))),
            (at(5), 8, Some(60), Some(at(5 + 128))),
            (at(5), 1, Some(2 * hour), Some(at(5 + 2 * hour))),
            (at(5), 1, Some(25 * hour), None),
        ];
        for (now, tried, asked, due) in cases {
            assert_eq!(try_again(at(0), now, tried, asked.map(Duration::from_secs)), due, "{now:?} {tried} {asked:?}");
        }
    }
}
