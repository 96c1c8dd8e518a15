//! What somebody is to be told, until it was: in the journal's own file, so that it survives whatever the journal survives, and is
//! as private.

use cutover_core::spec::NotifySpec;
use cutover_core::{DeploymentId, ServiceName, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{SqliteJournal, WorkError};
use crate::engine::port::JournalError;

/// How many notifications may wait for one receiver of one service. The oldest are given up for newer ones.
const LONGEST_QUEUE: u32 = 100;

/// How long what was delivered or given up is kept to be looked at.
const KEPT: u64 = 30 * 24 * 3600 * 1000;

/// A notification on its way to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event that it tells of.
    pub event: u64,
    /// Who is told.
    pub sink: String,
    /// The service that the event is about.
    pub service: ServiceName,
    /// The deployment that it belongs to.
    pub deployment: DeploymentId,
    /// What is said, as JSON.
    pub message: String,
    /// When the event happened.
    pub made: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub due: Timestamp,
    /// What became of it.
    pub state: State,
    /// What came back the last time. No secret is in it.
    pub said: Option<String>,
}

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is still tried.
    Waiting,
    /// It was taken.
    Delivered,
    /// It is not tried any more.
    GivenUp,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

impl SqliteJournal {
    /// The name of this journal, and the last event that somebody was to be told of.
    pub async fn notifier(&self) -> Result<(String, u64), JournalError> {
        self.with("read", |connection| {
            Ok(connection.query_row("SELECT name, seen FROM notifier", [], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
        .await
    }

    /// Keeps who is told of a service, in place of whoever was.
    pub async fn save_notify(&self, service: &ServiceName, notify: &NotifySpec) -> Result<(), JournalError> {
        let (service, notify) = (service.clone(), notify.clone());
        self.with("write", move |connection| {
            let body = serde_json::to_string(&notify)?;
            let save = "INSERT OR REPLACE INTO notify (service, body, after)
                        SELECT ?1, ?2, coalesce(max(seq), 0) FROM event";
            connection.execute(save, params![service.as_str(), body])?;
            Ok(())
        })
        .await
    }

    /// Who is told of a service.
    pub async fn notify_of(&self, service: &ServiceName) -> Result<NotifySpec, JournalError> {
        let service = service.clone();
        self.with("read", move |connection| {
            let find = "SELECT body FROM notify WHERE service = ?1";
            let body: Option<String> = connection.query_row(find, [service.as_str()], |row| row.get(0)).optional()?;
            // What another version wrote must not hold up what others are told.
            Ok(body.map_or_else(NotifySpec::default, |body| {
                serde_json::from_str(&body).unwrap_or_else(|error| {
                    tracing::warn!("who is told of {service} cannot be read, until it is deployed again: {error}");
                    NotifySpec::default()
                })
            }))
        })
        .await
    }

    /// Forgets who was told of a service that was removed, with their secrets, unless somebody has yet to be told, or it was said
    /// anew since.
    pub async fn forget_notify(&self, service: &ServiceName) -> Result<(), JournalError> {
        let service = service.clone();
        self.with("write", move |connection| {
            let forget = "DELETE FROM notify WHERE service = ?1
                AND after < (SELECT max(seq) FROM event WHERE service = ?1)
                AND NOT EXISTS (SELECT 1 FROM notification WHERE service = ?1 AND state = 'waiting')";
            connection.execute(forget, [service.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Adds what is to be told of the events up to this one. What is there already stays as it is.
    pub async fn enqueue(&self, entries: &[Entry], seen: u64) -> Result<(), JournalError> {
        let entries = entries.to_vec();
        self.with("write", move |connection| {
            let transaction = connection.transaction()?;
            for entry in &entries {
                insert(&transaction, entry)?;
                shorten(&transaction, entry)?;
            }
            transaction.execute("UPDATE notifier SET seen = ?1 WHERE seen < ?1", [seen])?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Those that are still tried, the next one first.
    pub async fn waiting(&self) -> Result<Vec<Entry>, JournalError> {
        self.with("read", |connection| {
            let mut query = connection.prepare(&select("WHERE state = 'waiting' ORDER BY due, event, sink"))?;
            let rows = query.query_map([], entry)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What was to be told of a deployment, in the order of its events.
    pub async fn notifications(&self, deployment: DeploymentId) -> Result<Vec<Entry>, JournalError> {
        self.with("read", move |connection| {
            let mut query = connection.prepare(&select("WHERE deployment = ?1 ORDER BY event, sink"))?;
            let rows = query.query_map([deployment.0], entry)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Writes down what came of a try.
    pub async fn settle(&self, entry: &Entry) -> Result<(), JournalError> {
        let entry = entry.clone();
        self.with("write", move |connection| {
            let settle =
                "UPDATE notification SET tries = ?3, due = ?4, state = ?5, said = ?6 WHERE event = ?1 AND sink = ?2";
            let (state, due) = (entry.state.name(), entry.due.0);
            connection.execute(settle, params![entry.event, entry.sink, entry.tries, due, state, entry.said])?;
            Ok(())
        })
        .await
    }
}

fn insert(connection: &Connection, entry: &Entry) -> Result<(), WorkError> {
    let insert = "INSERT OR IGNORE INTO notification
        (event, sink, service, deployment, message, made, tries, due, state, said) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let Entry { event, sink, service, deployment, message, made, tries, due, state, said } = entry;
    let (service, state) = (service.as_str(), state.name());
    let row = params![event, sink, service, deployment.0, message, made.0, tries, due.0, state, said];
    connection.execute(insert, row)?;
    Ok(())
}

/// Keeps the queue of this receiver, and what is kept to be looked at, within their limits.
fn shorten(connection: &Connection, newest: &Entry) -> Result<(), WorkError> {
    let too_many = "UPDATE notification SET state = 'given_up', said = 'too many were waiting for it'
        WHERE state = 'waiting' AND service = ?1 AND sink = ?2 AND event <= (
            SELECT event FROM notification WHERE state = 'waiting' AND service = ?1 AND sink = ?2
            ORDER BY event DESC LIMIT 1 OFFSET ?3)";
    connection.execute(too_many, params![newest.service.as_str(), newest.sink, LONGEST_QUEUE])?;
    let long_ago = newest.made.0.saturating_sub(KEPT);
    connection.execute("DELETE FROM notification WHERE state <> 'waiting' AND made < ?1", [long_ago])?;
    Ok(())
}

fn select(which: &str) -> String {
    format!("SELECT event, sink, service, deployment, message, made, tries, due, state, said FROM notification {which}")
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let service: String = row.get(2)?;
    let unnamed = |error| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(error));
    let state: String = row.get(8)?;
    let state = [State::Waiting, State::Delivered].into_iter().find(|known| known.name() == state);
    Ok(Entry {
        event: row.get(0)?,
        sink: row.get(1)?,
        service: ServiceName::new(service).map_err(unnamed)?,
        deployment: DeploymentId(row.get(3)?),
        message: row.get(4)?,
        made: Timestamp(row.get(5)?),
        tries: row.get(6)?,
        due: Timestamp(row.get(7)?),
        state: state.unwrap_or(State::GivenUp),
        said: row.get(9)?,
    })
}
