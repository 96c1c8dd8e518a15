//! The formats of the journal, oldest first. A format that was released never changes; a new one is added behind it.

use std::path::Path;

use rusqlite::{Connection, Error};

use super::OpenError;

/// Marks the file as ours (`PRAGMA application_id`): "cuto".
const APPLICATION: i64 = 0x6375_746f;

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE event (
        seq        INTEGER PRIMARY KEY,
        at         INTEGER NOT NULL,
        service    TEXT NOT NULL,
        deployment INTEGER,
        body       TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_by_deployment ON event (deployment);
    CREATE TABLE release (
        service TEXT NOT NULL,
        number  INTEGER NOT NULL,
        body    TEXT NOT NULL,
        PRIMARY KEY (service, number)
    ) STRICT;
    CREATE TABLE agent (starts INTEGER NOT NULL) STRICT;
    INSERT INTO agent VALUES (0);
",
    "
    -- How an instance runs, and who sends traffic to it, became a choice of several.
    UPDATE release SET body = json_remove(
        json_set(body, '$.spec.run', json_object('process', json_extract(body, '$.spec.process'))), '$.spec.process')
        WHERE json_type(body, '$.spec.process') IS NOT NULL;
    UPDATE release SET body = json_set(body, '$.spec.route', json_object('proxy', json_extract(body, '$.spec.route')))
        WHERE json_type(body, '$.spec.route.listen') IS NOT NULL;
",
    "
    -- Who is told of a service, with all secrets, and after which event that was said.
    CREATE TABLE notify (service TEXT PRIMARY KEY, body TEXT NOT NULL, after INTEGER NOT NULL) STRICT;
    -- What they are told: one row for each event and receiver.
    CREATE TABLE notification (
        event      INTEGER NOT NULL,
        sink       TEXT NOT NULL,
        service    TEXT NOT NULL,
        deployment INTEGER NOT NULL,
        message    TEXT NOT NULL,
        made       INTEGER NOT NULL,
        tries      INTEGER NOT NULL,
        due        INTEGER NOT NULL,
        state      TEXT NOT NULL,
        said       TEXT,
        PRIMARY KEY (event, sink)
    ) STRICT;
    CREATE INDEX notification_by_deployment ON notification (deployment);
    CREATE INDEX notification_by_state ON notification (state);
    -- A name for this journal that no other has, and the last event that somebody was to be told of. What happened before
    -- is nobody's news.
    CREATE TABLE notifier (name TEXT NOT NULL, seen INTEGER NOT NULL) STRICT;
    INSERT INTO notifier SELECT lower(hex(randomblob(8))), coalesce(max(seq), 0) FROM event;
",
];

/// Refuses what is not ours, is newer than we are, or is damaged. Changes nothing.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source: Error| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            OpenError::Damaged { path: path.to_owned(), report: source.to_string() }
        }
        _ => OpenError::Sqlite { path: path.to_owned(), source },
    };
    let report: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
    if report != "ok" {
        return Err(OpenError::Damaged { path: path.to_owned(), report });
    }
    let empty: bool =
        connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0)).map_err(sqlite)?;
    if !empty && number(connection, "application_id").map_err(sqlite)? != APPLICATION {
        return Err(OpenError::NotOurs { path: path.to_owned() });
    }
    let (found, known) = (number(connection, "user_version").map_err(sqlite)?, MIGRATIONS.len() as i64);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Brings the file up to date, each format in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let found = usize::try_from(number(connection, "user_version")?).unwrap_or(0);
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn number(connection: &Connection, pragma: &str) -> Result<i64, Error> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
