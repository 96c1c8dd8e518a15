use cutover_core::machine::Event;
use cutover_core::spec::NotifySpec;
use cutover_core::{DeploymentId, ReleaseNo, Timestamp};

use super::*;

fn record(seq: u64) -> Record {
    let service = ServiceName::new("web").unwrap();
    let event = Event::Unlocked { by: format!("person {seq}") };
    Record { seq, at: Timestamp(seq), service, deployment: None, event }
}

#[tokio::test]
async fn what_was_appended_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    journal.append(&[record(1), record(2)]).await.unwrap();
    // An append that reported an error although it was durable is tried again.
    journal.append(&[record(2), record(3)]).await.unwrap();
    drop(journal);
    let journal = SqliteJournal::open(dir.path()).unwrap();
    assert_eq!(journal.load().await.unwrap(), [record(1), record(2), record(3)]);
}

/// Seen to fail with the inserts outside of the transaction.
#[tokio::test]
async fn an_append_is_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    journal.append(&[record(2)]).await.unwrap();
    let clash = Record { event: Event::Unlocked { by: "another".into() }, ..record(2) };
    let error = journal.append(&[record(1), clash]).await.unwrap_err();
    assert!(error.to_string().contains("event 2 is there already"), "{error}");
    assert_eq!(journal.load().await.unwrap(), [record(2)]);
}

#[tokio::test]
async fn a_newer_journal_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteJournal::open(dir.path()).unwrap());
    let path = dir.path().join("journal.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let error = SqliteJournal::open(dir.path()).err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_is_not_a_journal_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE photo (id INTEGER)").unwrap();
    assert!(matches!(SqliteJournal::open(dir.path()), Err(OpenError::NotOurs { .. })));
    std::fs::write(&path, "this is not a database, it is a text that somebody put here by mistake").unwrap();
    assert!(matches!(SqliteJournal::open(dir.path()), Err(OpenError::Damaged { .. })));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("this is not"));
}

/// Cuts pages out of a real journal: either it is refused, or everything in it is still there.
#[tokio::test]
async fn a_damaged_journal_is_never_half_believed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let all: Vec<Record> = (1..500).map(record).collect();
    journal.append(&all).await.unwrap();
    drop(journal);
    let path = dir.path().join("journal.db");
    let whole = std::fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(1000).skip(1) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        if let Ok(journal) = SqliteJournal::open(dir.path()) {
            let believed = journal.load().await;
            assert!(believed.is_err() || believed.unwrap() == all, "cut at {cut}");
        }
        let _ = std::fs::remove_file(dir.path().join("journal.db-wal"));
        let _ = std::fs::remove_file(dir.path().join("journal.db-shm"));
    }
}

#[tokio::test]
async fn releases_are_kept_until_dropped_and_only_their_owner_can_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let service = ServiceName::new("web").unwrap();
    journal.drop_releases(&service, &[ReleaseNo(1)]).await.unwrap();
    assert!(journal.releases().await.unwrap().is_empty());
    for file in ["journal.db", "journal.db-wal"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
}

fn entry(event: u64, sink: &str) -> Entry {
    Entry {
        event,
        sink: sink.to_owned(),
        service: ServiceName::new("web").unwrap(),
        deployment: DeploymentId(1),
        message: "{}".to_owned(),
        made: Timestamp(event),
        tries: 0,
        due: Timestamp(event),
        state: State::Waiting,
        said: None,
    }
}

/// Seen to fail with a row that was replaced when the same event was taken in again.
#[tokio::test]
async fn what_is_to_be_told_is_written_down_once_and_stays_settled() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    journal.enqueue(&[entry(1, "a"), entry(1, "b")], 1).await.unwrap();
    let settled = Entry { tries: 3, state: State::Delivered, said: Some("ok".into()), ..entry(1, "a") };
    journal.settle(&settled).await.unwrap();
    drop(journal);
    let journal = SqliteJournal::open(dir.path()).unwrap();
    journal.enqueue(&[entry(1, "a"), entry(1, "b")], 1).await.unwrap();
    assert_eq!(journal.waiting().await.unwrap(), [entry(1, "b")]);
    assert_eq!(journal.notifications(DeploymentId(1)).await.unwrap(), [settled, entry(1, "b")]);
    assert_eq!(journal.notifier().await.unwrap().1, 1);
    journal.enqueue(&[], 0).await.unwrap();
    assert_eq!(journal.notifier().await.unwrap().1, 1, "what was seen is unseen");
}

/// Seen to fail without the limit, and with one over all receivers.
#[tokio::test]
async fn a_queue_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let entries: Vec<Entry> = (1..=130).map(|event| entry(event, "away")).collect();
    journal.enqueue(&entries, 130).await.unwrap();
    journal.enqueue(&[entry(131, "other")], 131).await.unwrap();
    let waiting = journal.waiting().await.unwrap();
    assert_eq!(waiting.len(), 101);
    assert_eq!(waiting.first().map(|entry| entry.event), Some(31), "the newest are kept");
    let all = journal.notifications(DeploymentId(1)).await.unwrap();
    assert_eq!(all.iter().filter(|entry| entry.state == State::GivenUp).count(), 30);
}

/// Seen to fail without the look at what still waits, and without the one at when it was said.
#[tokio::test]
async fn who_was_told_of_a_removed_service_is_forgotten_when_all_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let service = ServiceName::new("web").unwrap();
    let spec = NotifySpec { project: "shop".into(), sinks: Vec::new() };
    journal.save_notify(&service, &spec).await.unwrap();
    journal.append(&[record(1)]).await.unwrap();
    journal.enqueue(&[entry(1, "a")], 1).await.unwrap();
    journal.forget_notify(&service).await.unwrap();
    assert_eq!(journal.notify_of(&service).await.unwrap(), spec, "somebody has yet to be told");
    journal.settle(&Entry { state: State::Delivered, ..entry(1, "a") }).await.unwrap();
    // Said anew behind the last event: it is about to be deployed again.
    journal.save_notify(&service, &spec).await.unwrap();
    journal.forget_notify(&service).await.unwrap();
    assert_eq!(journal.notify_of(&service).await.unwrap(), spec);
    journal.append(&[record(2)]).await.unwrap();
    journal.forget_notify(&service).await.unwrap();
    assert_eq!(journal.notify_of(&service).await.unwrap(), NotifySpec::default());
}

/// Seen to fail with a migration that began at the first event.
#[tokio::test]
async fn what_an_older_cutover_did_is_nobodys_news() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    journal.append(&[record(1), record(2)]).await.unwrap();
    drop(journal);
    let connection = Connection::open(dir.path().join("journal.db")).unwrap();
    let older = "DROP TABLE notify; DROP TABLE notification; DROP TABLE notifier; PRAGMA user_version = 2";
    connection.execute_batch(older).unwrap();
    drop(connection);
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let (name, seen) = journal.notifier().await.unwrap();
    assert_eq!((name.len(), seen), (16, 2));
    assert_eq!(journal.load().await.unwrap(), [record(1), record(2)]);
}
