//! The real world: which adapter stands behind which port.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cutover_core::Timestamp;

use crate::engine::port::{Clock, Journal, Router, Runtime, World};
use crate::metric::NetMetrics;
use crate::probe::NetProber;

/// The time of this machine.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Puts the world together.
pub(super) fn real(journal: Arc<dyn Journal>, runtime: Arc<dyn Runtime>, router: Arc<dyn Router>) -> World {
    World {
        journal,
        runtime,
        router,
        prober: Arc::new(NetProber),
        metrics: Arc::new(NetMetrics),
        clock: Arc::new(SystemClock),
    }
}

/// This program's own file, for the processes that it starts: the file that runs now, also when a newer one has taken its
/// place on disk.
pub fn executable() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let replaced = path.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    Ok(replaced.map_or(path.clone(), PathBuf::from))
}
