//! Removes what is kept of an instance that does not run.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::layout::InstanceDir;
use super::lock::InstanceLock;
use super::record::Record;

/// A lock that nobody needs is free within this time; see [`super::lock`].
const FREE_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Removes the directory of an instance, under its lock. Fine if there is none.
pub async fn forget(dir: &InstanceDir) -> io::Result<()> {
    let until = Instant::now() + FREE_WITHIN;
    while dir.path().exists() {
        if let Some(_lock) = InstanceLock::take(dir)? {
            return std::fs::remove_dir_all(dir.path());
        }
        let runs = Record::read(dir)?.is_some_and(|record| record.main_lives());
        if runs || Instant::now() > until {
            return Err(io::Error::other("it still runs"));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
