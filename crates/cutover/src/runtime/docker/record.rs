//! What is kept of a container on disk: `containers/web.r7.i12.json` below the state directory.
//!
//! It is written before the container is made, so that whether an instance is ours can be asked while the engine is away.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cutover_core::InstanceId;
use serde::{Deserialize, Serialize};

use crate::runtime::process::durable;

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The instance.
    pub instance: InstanceId,
    /// The attempt that it was last started with.
    pub attempt: u32,
    /// The container's name, or the id of one that was taken over.
    pub container: String,
    /// The port it takes traffic on, inside.
    pub port: u16,
    /// Where it is reached, once it has been started.
    pub address: Option<SocketAddr>,
    /// When the engine started it. Another time means that somebody else started it again.
    pub started_at: Option<String>,
    /// Whether it was stopped: then its address is free again.
    #[serde(default)]
    pub stopped: bool,
    /// Whether it ran before us.
    pub adopted: bool,
    /// The container of the attempt before, whose logs are kept until the next.
    pub previous: Option<String>,
}

/// Where the records are.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// Below a state directory.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("containers") }
    }

    fn path(&self, instance: &InstanceId) -> PathBuf {
        self.folder.join(format!("{instance}.json"))
    }

    /// Whether there is a record of an instance.
    pub fn has(&self, instance: &InstanceId) -> bool {
        self.path(instance).exists()
    }

    /// The record of an instance.
    pub fn read(&self, instance: &InstanceId) -> io::Result<Option<Record>> {
        durable::read(&self.path(instance))
    }

    /// Writes a record in place of the last one.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        durable::write(&self.path(&record.instance), record)
    }

    /// Removes a record. Fine if there is none.
    pub fn remove(&self, instance: &InstanceId) -> io::Result<()> {
        durable::remove(&self.path(instance))
    }

    /// All of them.
    pub fn all(&self) -> io::Result<Vec<Record>> {
        let entries = match self.folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut records = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let instance = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            if let Some(record) = instance.map(|instance| self.read(&instance)).transpose()?.flatten() {
                records.push(record);
            }
        }
        Ok(records)
    }
}
