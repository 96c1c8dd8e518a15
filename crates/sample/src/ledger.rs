//! Which orders were processed, how often, and by which release.
//!
//! The set in memory knows this process only. The file is shared by every instance: each order is one `write` of one
//! line on a descriptor opened for appending, which the kernel does not interleave with the writes of other processes.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How many orders this process has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// Orders processed, repeated ones included.
    pub orders: u64,
    /// Of these, how many had an id that was counted before.
    pub duplicates: u64,
}

/// The book of orders.
pub(crate) struct Ledger {
    seen: Mutex<(HashSet<Box<str>>, Count)>,
    file: Option<File>,
}

impl Ledger {
    /// Opens the book; with a path, its file is created if it is missing.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(|path| OpenOptions::new().append(true).create(true).open(path)).transpose()?;
        Ok(Self { seen: Mutex::default(), file })
    }

    /// Counts an order. Without an id it is counted, but cannot be known again.
    pub(crate) fn record(&self, id: Option<&str>, release: &str) -> io::Result<()> {
        if let (Some(mut file), Some(id)) = (self.file.as_ref(), id) {
            file.write_all(format!("{id} {release}\n").as_bytes())?;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.1.orders += 1;
        if id.is_some_and(|id| !seen.0.insert(id.into())) {
            seen.1.duplicates += 1;
        }
        Ok(())
    }

    /// What was counted so far.
    pub(crate) fn count(&self) -> Count {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
