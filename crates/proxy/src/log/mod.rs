//! Access logs, written beside the work.
//!
//! A worker renders a line into memory of its own and puts it whole into a ring that only it writes and only the writer's thread reads:
//! no lock, no allocation, and no system call but one that wakes a sleeping writer, at most twenty times a second. If a ring is full, the
//! disk is too slow: the line is dropped and counted, and the request goes on. Lines of one worker keep their order; those of several are
//! mixed by up to the time that the writer sleeps.
//!
//! There is one writer for all files. A file that blocks, such as a pipe that nobody reads, therefore makes the others wait too, up to
//! the size of the rings; nobody else.

mod file;
mod line;
mod pen;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use cutover_core::ByteSize;
use cutover_core::table::Table;
use cutover_core::trail::AccessLog;

pub use line::Told;
pub use pen::Pen;
pub use writer::start;

use crate::ring::Rings;

/// A file that lines go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
    max_size: ByteSize,
    keep: u32,
}

/// All access logs of the process. Files are known by their number for as long as it lives.
#[derive(Debug)]
pub struct Logs {
    targets: Mutex<Vec<Target>>,
    rings: Rings,
    writer: OnceLock<Thread>,
    awake: AtomicBool,
    reopen: AtomicBool,
    quit: AtomicBool,
    finished: AtomicBool,
}

impl Logs {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            targets: Mutex::default(),
            rings: Rings::new(workers),
            writer: OnceLock::new(),
            awake: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        }
    }

    /// The number of the file of a log. What a newer table says of its rotation counts from then on.
    pub fn number(&self, log: &AccessLog) -> u32 {
        let target = Target { path: log.file.clone(), max_size: log.max_size, keep: log.keep };
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = targets.iter().position(|known| known.path == target.path);
        let number = known.unwrap_or(targets.len());
        match targets.get_mut(number) {
            Some(known) => *known = target,
            None => targets.push(target),
        }
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Whether the files that a table names, and that were not known before, can be written; if not, what stands in the way.
    pub fn check(&self, table: &Table) -> Vec<String> {
        let is_new = |path: &PathBuf| {
            let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
            !targets.iter().any(|known| known.path == *path)
        };
        let logs = table.services.iter().filter_map(|service| Some((service, service.trail.log.as_ref()?)));
        logs.filter(|(_, log)| is_new(&log.file))
            .filter_map(|(service, log)| {
                let error = file::open(&log.file).err()?;
                Some(format!("the access log of {} cannot be written to {}: {error}", service.name, log.file.display()))
            })
            .collect()
    }

    /// Closes all files, and opens them again under their names: something else has moved them.
    pub fn reopen(&self) {
        self.reopen.store(true, SeqCst);
        self.wake();
    }

    /// Writes what is there and ends the writer.
    pub fn quit(&self) {
        self.quit.store(true, SeqCst);
        self.wake();
    }

    /// Whether the writer has ended.
    pub fn is_finished(&self) -> bool {
        self.finished.load(SeqCst)
    }

    fn wake(&self) {
        self.awake.store(true, SeqCst);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    fn target(&self, number: u32) -> Option<Target> {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.get(usize::try_from(number).ok()?).cloned()
    }
}
