//! The contract of a journal.

use std::sync::Arc;

use cutover::engine::port::Journal;
use cutover_core::machine::{Event, Record};
use cutover_core::{Release, ReleaseNo, ServiceName, Timestamp};

use crate::fixture::Build;
use crate::script::name;
use crate::world::Life;

/// Checks a journal. `open` opens the same journal each time it is called; it is empty at first.
///
/// # Panics
/// Panics at the first thing that is not as it must be.
pub async fn journal(open: impl Fn() -> Arc<dyn Journal>) {
    begins_empty(open().as_ref()).await;
    keeps_events_in_order(&open).await;
    takes_the_same_again(open().as_ref()).await;
    refuses_another_under_a_taken_number(open().as_ref()).await;
    takes_all_or_none(&open).await;
    keeps_releases(&open).await;
    drops_releases(&open).await;
}

fn record(seq: u64, by: &str) -> Record {
    let event = Event::Unlocked { by: by.to_owned() };
    Record { seq, at: Timestamp(1_000 + seq), service: name("web"), deployment: None, event }
}

fn release(number: u32, salt: u64) -> Release {
    let spec = Build::of(Life::good()).spec(&name("web"), salt);
    Release { number: ReleaseNo(number), made: Timestamp(5), fingerprint: Some("abc".to_owned()), spec }
}

async fn begins_empty(journal: &dyn Journal) {
    assert_eq!(journal.load().await.expect("an empty journal can be read"), []);
    assert!(journal.releases().await.expect("an empty journal can be read").is_empty());
}

async fn keeps_events_in_order(open: &impl Fn() -> Arc<dyn Journal>) {
    let journal = open();
    journal.append(&[record(1, "a"), record(2, "b")]).await.expect("two events fit");
    journal.append(&[record(3, "c")]).await.expect("a third event fits");
    let expected = [record(1, "a"), record(2, "b"), record(3, "c")];
    assert_eq!(journal.load().await.expect("it can be read"), expected);
    assert_eq!(open().load().await.expect("it can be read"), expected, "when it is opened again");
}

/// After a crash, what was being written may be written again.
async fn takes_the_same_again(journal: &dyn Journal) {
    journal.append(&[record(2, "b"), record(3, "c")]).await.expect("what is there may come again");
    journal.append(&[record(3, "c"), record(4, "d")]).await.expect("also together with what is new");
    assert_eq!(journal.load().await.expect("it can be read").len(), 4);
}

/// Two engines on one journal, or an engine that lost count, must not overwrite history nor be told that all is well.
async fn refuses_another_under_a_taken_number(journal: &dyn Journal) {
    let refused = journal.append(&[record(4, "somebody else")]).await;
    assert!(refused.is_err(), "another event was taken under the number of one that is there");
    assert_eq!(journal.load().await.expect("it can be read").last(), Some(&record(4, "d")));
}

async fn takes_all_or_none(open: &impl Fn() -> Arc<dyn Journal>) {
    let refused = open().append(&[record(5, "e"), record(4, "somebody else")]).await;
    assert!(refused.is_err(), "a batch with an event that does not fit was taken");
    assert_eq!(open().load().await.expect("it can be read").len(), 4, "a part of a batch was taken");
}

async fn keeps_releases(open: &impl Fn() -> Arc<dyn Journal>) {
    let (web, api) = (name("web"), name("api"));
    let journal = open();
    journal.save_release(&web, &release(1, 1)).await.expect("a release fits");
    journal.save_release(&web, &release(2, 2)).await.expect("a second one fits");
    journal.save_release(&api, &release(1, 3)).await.expect("one of another service fits");
    journal.save_release(&web, &release(2, 4)).await.expect("one takes the place of an older one with its number");
    let expected = [(api, release(1, 3)), (web.clone(), release(1, 1)), (web, release(2, 4))];
    assert_eq!(sorted(open().as_ref()).await, expected);
}

async fn drops_releases(open: &impl Fn() -> Arc<dyn Journal>) {
    let journal = open();
    journal.drop_releases(&name("web"), &[ReleaseNo(1), ReleaseNo(9)]).await.expect("also one that is not there");
    journal.drop_releases(&name("web"), &[ReleaseNo(1)]).await.expect("also again");
    let left = sorted(open().as_ref()).await;
    let left: Vec<(&str, u32)> = left.iter().map(|(owner, release)| (owner.as_str(), release.number.0)).collect();
    assert_eq!(left, [("api", 1), ("web", 2)]);
}

async fn sorted(journal: &dyn Journal) -> Vec<(ServiceName, Release)> {
    let mut releases = journal.releases().await.expect("it can be read");
    releases.sort_by(|one, other| (&one.0, one.1.number).cmp(&(&other.0, other.1.number)));
    releases
}
