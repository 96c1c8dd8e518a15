//! Which releases may answer, and since when.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// The history of what was allowed.
///
/// A request may be answered by any release that was allowed at some moment between its beginning and its answer. One that
/// begins after a change therefore knows the new rule only, and one that was on its way is not blamed for it.
#[derive(Default)]
pub(crate) struct Expectation(Mutex<Vec<Rule>>);

struct Rule {
    since: Instant,
    /// Nothing in it allows everything.
    allowed: Vec<String>,
}

impl Expectation {
    /// Allows these releases from now on, and no other. An empty list allows all.
    pub(crate) fn allow(&self, allowed: Vec<String>) {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken under the lock, so that the rules are in the order of their times.
        rules.push(Rule { since: Instant::now(), allowed });
    }

    /// Whether `release` may answer, now, a request begun at `begun`. `None` stands for an answer that does not say.
    pub(crate) fn permits(&self, release: Option<&str>, begun: Instant) -> bool {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let permitted = |rule: &Rule| {
            rule.allowed.is_empty() || release.is_some_and(|release| rule.allowed.iter().any(|one| one == release))
        };
        for rule in rules.iter().rev() {
            if permitted(rule) {
                return true;
            }
            if rule.since <= begun {
                return false;
            }
        }
        // Begun before the first rule, when everything was allowed.
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_was_allowed_while_the_request_was_under_way_is_permitted() {
        let before = Instant::now();
        let expectation = Expectation::default();
        assert!(expectation.permits(None, before));
        for allowed in [&["1"][..], &["1", "2"][..], &["2"][..]] {
            expectation.allow(allowed.iter().map(|one| (*one).to_owned()).collect());
        }
        let after = Instant::now() + Duration::from_secs(1);
        let first = expectation.0.lock().unwrap()[0].since;
        assert!(expectation.permits(Some("3"), before));
        assert!(expectation.permits(Some("1"), first) && expectation.permits(Some("2"), first));
        assert!(!expectation.permits(Some("3"), first) && !expectation.permits(None, first));
        assert!(expectation.permits(Some("2"), after) && !expectation.permits(Some("1"), after));
        expectation.allow(Vec::new());
        assert!(expectation.permits(None, after));
    }
}
