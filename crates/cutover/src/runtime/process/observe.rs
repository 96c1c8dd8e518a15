//! What is there: the records, and whether what they speak of still runs.

use std::io;
use std::time::Duration;

use cutover_core::InstanceId;
use tokio::time::Instant;

use super::identity::Handle;
use super::layout::{InstanceDir, Layout};
use super::record::Record;
use crate::engine::port::{Exit, Seen};

/// A supervisor that lives writes the ending of its program down within this time, or is not waited for.
const ENDING_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The records of all instances. An instance whose program was never let loose has none.
pub fn records(layout: &Layout) -> io::Result<Vec<Record>> {
    let entries = match std::fs::read_dir(layout.instances()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut records = Vec::new();
    for entry in entries {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<InstanceId>().ok()) else { continue };
        let dir = layout.instance(&id);
        let read = Record::read(&dir).map_err(|error| io::Error::new(error.kind(), format!("{id}: {error}")))?;
        records.extend(read);
    }
    records.sort_by(|a, b| a.instance.cmp(&b.instance));
    Ok(records)
}

/// Looks at one instance.
pub async fn look(layout: &Layout, record: Record) -> io::Result<Seen> {
    let exit = ending(&layout.instance(&record.instance), &record).await?;
    Ok(Seen {
        address: record.address(),
        attempt: record.attempt,
        pid: exit.is_none().then_some(record.main.pid.cast_unsigned()),
        instance: record.instance,
        exit,
    })
}

/// Waits until a run has ended.
pub async fn wait(dir: &InstanceDir, record: &Record) -> io::Result<Exit> {
    loop {
        if let Some(exit) = ending(dir, record).await? {
            return Ok(exit);
        }
        if let Some(main) = Handle::open(record.main)? {
            main.ended().await?;
        }
    }
}

/// How a run ended; `None` while it runs.
pub async fn ending(dir: &InstanceDir, record: &Record) -> io::Result<Option<Exit>> {
    let until = Instant::now() + ENDING_WITHIN;
    loop {
        // In this order: who finds the program gone and its supervisor gone looks once more at what that left.
        let lives = record.main_lives();
        let may_tell = record.supervisor_lives() && Instant::now() < until;
        if let Some(exit) = record.ending(dir)? {
            return Ok(Some(exit));
        }
        if lives {
            return Ok(None);
        }
        if !may_tell {
            return Ok(Some(Exit::Unknown));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
