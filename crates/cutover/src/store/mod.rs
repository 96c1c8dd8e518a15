//! The journal in SQLite: one file, `journal.db`, in the state directory.
//!
//! Write-ahead log with `synchronous=FULL`: a commit that returned survives a power cut. The file is readable by its owner
//! only, because releases hold the environment with its secrets.

mod migration;
mod outbox;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cutover_core::machine::Record;
use cutover_core::{DeploymentId, Failure, Release, ReleaseNo, ServiceName};
use rusqlite::{Connection, OptionalExtension, params};

use crate::engine::port::{Journal, JournalError};

pub use outbox::{Entry, State};

/// The journal in a file.
pub struct SqliteJournal {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only of this deployment.
    pub deployment: Option<DeploymentId>,
    /// Only those behind this number.
    pub after: u64,
}

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite could not read it.
    #[error("could not open the journal {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It holds something else.
    #[error("{path} is a database, but not a journal of cutover")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A newer cutover wrote it.
    #[error("the journal {path} has format {found}, and this cutover knows formats up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// Its pages are damaged.
    #[error("the journal {path} is damaged: {report}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        report: String,
    },
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "use the cutover that wrote it, or a newer one; nothing was changed",
            Self::NotOurs { .. } => "give another state directory with --state",
            Self::Sqlite { .. } | Self::Damaged { .. } => {
                "the proxy goes on serving without it; restore journal.db from a copy, or move it away to begin anew"
            }
        }
    }
}

impl SqliteJournal {
    /// Opens the journal in this directory, or makes it; brings older formats up to date.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join("journal.db");
        let connection = open_checked(&path)?;
        Ok(Self { path, connection: Arc::new(Mutex::new(connection)) })
    }

    /// Counts the starts of the agent, this one included.
    pub async fn count_start(&self) -> Result<u64, JournalError> {
        self.with("write", |connection| {
            let starts = "UPDATE agent SET starts = starts + 1 RETURNING starts";
            Ok(connection.query_row(starts, [], |row| row.get(0))?)
        })
        .await
    }

    /// Events that somebody wants to look at, in order.
    pub async fn read(&self, filter: Filter) -> Result<Vec<Record>, JournalError> {
        self.with("read", move |connection| {
            let mut query = connection.prepare(
                "SELECT body FROM event WHERE seq > ?1 AND (?2 IS NULL OR service = ?2)
                 AND (?3 IS NULL OR deployment = ?3) ORDER BY seq",
            )?;
            let (service, deployment) = (filter.service.map(String::from), filter.deployment.map(|id| id.0));
            let rows = query.query_map(params![filter.after, service, deployment], |row| row.get::<_, String>(0))?;
            rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
        })
        .await
    }

    /// Runs something with the connection, off the async threads.
    async fn with<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, WorkError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (connection, path) = (self.connection.clone(), self.path.clone());
        let done =
            tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)));
        match done.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failure(what, &path, &error)),
            Err(stopped) => Err(failure(what, &path, &stopped)),
        }
    }
}

type WorkError = Box<dyn std::error::Error + Send + Sync>;

fn failure(what: &str, path: &Path, error: &dyn std::fmt::Display) -> JournalError {
    let mut failure = Failure::new(format!("could not {what} the journal {}", path.display()));
    failure.causes.push(error.to_string());
    JournalError(
        failure.hint("is the disk full? Nothing more is done until it can be written; what is live stays live"),
    )
}

fn open_checked(path: &Path) -> Result<Connection, OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let options = std::fs::OpenOptions::new().create(true).append(true).clone();
    if let Err(error) = private(options).open(path) {
        let source = rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        return Err(sqlite(source));
    }
    let mut connection = Connection::open(path).map_err(sqlite)?;
    migration::check(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(sqlite)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(sqlite)?;
    migration::migrate(&mut connection).map_err(sqlite)?;
    Ok(connection)
}

fn private(mut options: std::fs::OpenOptions) -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
    options
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn load(&self) -> Result<Vec<Record>, JournalError> {
        self.with("read", |connection| {
            let mut query = connection.prepare("SELECT body FROM event ORDER BY seq")?;
            let rows = query.query_map([], |row| row.get::<_, String>(0))?;
            rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
        })
        .await
    }

    async fn append(&self, records: &[Record]) -> Result<(), JournalError> {
        let records = records.to_vec();
        self.with("write", move |connection| {
            let transaction = connection.transaction()?;
            for record in &records {
                insert(&transaction, record)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn releases(&self) -> Result<Vec<(ServiceName, Release)>, JournalError> {
        self.with("read", |connection| {
            let mut query = connection.prepare("SELECT service, body FROM release ORDER BY service, number")?;
            let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (service, body) = row?;
                Ok((ServiceName::new(service)?, serde_json::from_str(&body)?))
            })
            .collect()
        })
        .await
    }

    async fn save_release(&self, service: &ServiceName, release: &Release) -> Result<(), JournalError> {
        let (service, release) = (service.clone(), release.clone());
        self.with("write", move |connection| {
            let body = serde_json::to_string(&release)?;
            let row = params![service.as_str(), release.number.0, body];
            connection.execute("INSERT OR REPLACE INTO release (service, number, body) VALUES (?1, ?2, ?3)", row)?;
            Ok(())
        })
        .await
    }

    async fn drop_releases(&self, service: &ServiceName, releases: &[ReleaseNo]) -> Result<(), JournalError> {
        let (service, releases) = (service.clone(), releases.to_vec());
        self.with("write", move |connection| {
            let transaction = connection.transaction()?;
            for number in &releases {
                let row = params![service.as_str(), number.0];
                transaction.execute("DELETE FROM release WHERE service = ?1 AND number = ?2", row)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }
}

/// Adds one event. One that is there already, because an earlier try was durable although it reported an error, is fine.
fn insert(connection: &Connection, record: &Record) -> Result<(), WorkError> {
    let body = serde_json::to_string(record)?;
    let there: Option<String> =
        connection.query_row("SELECT body FROM event WHERE seq = ?1", [record.seq], |row| row.get(0)).optional()?;
    match there {
        Some(same) if serde_json::from_str::<Record>(&same)?.event == record.event => Ok(()),
        Some(_) => Err(format!("event {} is there already, and is another one", record.seq).into()),
        None => {
            let deployment = record.deployment.map(|id| id.0);
            let row = params![record.seq, record.at.0, record.service.as_str(), deployment, body];
            let insert = "INSERT INTO event (seq, at, service, deployment, body) VALUES (?1, ?2, ?3, ?4, ?5)";
            connection.execute(insert, row)?;
            Ok(())
        }
    }
}
