use cutover_core::machine::Event;
use cutover_core::{ReleaseNo, Timestamp};

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
