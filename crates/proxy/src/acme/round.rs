//! The note of one attempt: written before it begins, and put right when it has ended.
//!
//! What is noted first is that it failed, with the time of the next one. A process that dies in the middle of every attempt then
//! asks an authority no more often than one whose attempts are refused.

use std::io;
use std::time::Duration;

use cutover_core::Timestamp;
use cutover_core::acme::Attempts;
use cutover_core::rule::order_pause;

use super::store::Store;

/// An attempt that goes on. Dropped before its end, it has not been.
#[derive(Debug)]
pub struct Round<'a> {
    store: &'a Store,
    name: &'a str,
    began: Timestamp,
    before: Option<Attempts>,
    ended: bool,
}

impl<'a> Round<'a> {
    /// Notes that it begins. Without that note there is none.
    pub fn begin(store: &'a Store, name: &'a str, began: Timestamp) -> io::Result<Self> {
        let before = store.attempts(name);
        let round = Self { store, name, began, before, ended: false };
        store.note(name, Some(&Attempts { at_work: true, ..round.counted(0, None) }))?;
        Ok(round)
    }

    /// It came to something.
    pub fn succeeded(mut self) -> io::Result<()> {
        self.ended = true;
        self.store.note(self.name, None)
    }

    /// It came to nothing.
    pub fn failed(mut self, error: String, asked: Option<Duration>) -> Attempts {
        self.ended = true;
        let attempts = Attempts { error: Some(error), ..self.counted(1, asked) };
        if let Err(error) = self.store.note(self.name, Some(&attempts)) {
            // The note of the beginning stays: there is a pause all the same.
            tracing::warn!(%error, name = self.name, "the attempt is not noted");
        }
        attempts
    }

    /// The attempts with this one, of which so many more have failed.
    fn counted(&self, more: u32, asked: Option<Duration>) -> Attempts {
        let before = self.before.as_ref();
        let failed = before.map_or(0, |before| before.failed);
        Attempts {
            since: before.map_or(self.began, |before| before.since),
            last: self.began,
            failed: failed + more,
            at_work: false,
            error: before.and_then(|before| before.error.clone()),
            next: super::now() + order_pause(failed + 1, asked),
        }
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.store.note(self.name, self.before.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with nothing noted at the beginning, and with the note of the beginning left by one that was called off.
    #[test]
    fn a_pause_is_noted_before_anything_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let authority = serde_json::from_str(r#"{"directory": "https://ca/dir", "challenge": "http-01"}"#).unwrap();
        let store = Store::of(&authority, dir.path());
        store.make().unwrap();
        let now = super::super::now();
        let noted = || store.attempts("a");
        let first = Round::begin(&store, "a", now).unwrap();
        assert!(noted().unwrap().next >= now + Duration::from_secs(100) && noted().unwrap().at_work);
        drop(first);
        assert_eq!(noted(), None, "called off: it may be tried at once");
        let killed = Round::begin(&store, "a", now).unwrap();
        std::mem::forget(killed);
        assert!(noted().unwrap().next >= now + Duration::from_secs(100), "killed");
        let second = Round::begin(&store, "a", now).unwrap();
        let failed = second.failed("no".to_owned(), Some(Duration::from_secs(3600)));
        assert_eq!(noted(), Some(failed.clone()));
        assert_eq!((failed.failed, failed.error.as_deref(), failed.at_work), (1, Some("no"), false));
        assert!(failed.next >= now + Duration::from_secs(3600));
        Round::begin(&store, "a", now).unwrap().succeeded().unwrap();
        assert_eq!(noted(), None);
    }
}
