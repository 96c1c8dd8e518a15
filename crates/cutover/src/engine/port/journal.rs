//! What the engine asks of whatever keeps the journal.

use async_trait::async_trait;
use cutover_core::machine::Record;
use cutover_core::{Failure, Release, ReleaseNo, ServiceName};

/// Keeps events and releases, durably. There is one writer.
#[async_trait]
pub trait Journal: Send + Sync {
    /// All events, in order.
    async fn load(&self) -> Result<Vec<Record>, JournalError>;

    /// Adds events: all of them or none. They are durable when this returns. Adding what is there already is fine.
    async fn append(&self, records: &[Record]) -> Result<(), JournalError>;

    /// All releases that are kept.
    async fn releases(&self) -> Result<Vec<(ServiceName, Release)>, JournalError>;

    /// Keeps a release, in place of one with the same number.
    async fn save_release(&self, service: &ServiceName, release: &Release) -> Result<(), JournalError>;

    /// Forgets releases.
    async fn drop_releases(&self, service: &ServiceName, releases: &[ReleaseNo]) -> Result<(), JournalError>;
}

/// The journal could not be read or written. Nothing more is done until it can.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub Failure);
