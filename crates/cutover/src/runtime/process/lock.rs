//! The lock of an instance: a flock(2) that is shared by everything that works for it.
//!
//! The agent takes it and hands the open file to the supervisor as its standard input; the supervisor hands it on to the
//! program. A flock belongs to the open file, not to a process, so the kernel frees it when the last of them is gone. From
//! before the supervisor exists until the last process is gone there is no moment in which the lock is free: *a free lock
//! means that nothing of this instance lives, and that nothing is about to.*
//!
//! Nobody who was handed it may unlock it explicitly, for that would unlock it for all; it is only ever closed.
//!
//! The other way round does not hold: a process that the agent forks for something else has a copy of every open file for
//! the moment until its exec. So a lock that is held may be free in the next moment, and whoever finds it held looks again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::layout::InstanceDir;

/// The lock, held.
#[derive(Debug)]
pub struct InstanceLock(File);

impl InstanceLock {
    /// Takes the lock of an instance; `None` if something of it lives. Makes its directory.
    pub fn take(dir: &InstanceDir) -> io::Result<Option<Self>> {
        loop {
            dir.create()?;
            match take(&dir.lock()) {
                Ok(Some(file)) => return Ok(Some(Self(file))),
                Ok(None) => return Ok(None),
                // Somebody forgot the instance between two of our steps: begin anew, in a new directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether nothing of the instance lives, nor is about to.
    pub fn is_free(dir: &InstanceDir) -> io::Result<bool> {
        match take(&dir.lock()) {
            Ok(Some(file)) => {
                // It was handed to nobody. A mere look must not leave it held by some fork of ours.
                flock(&file, FlockOperation::Unlock)?;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(!dir.path().exists()),
            Err(error) => Err(error),
        }
    }

    /// The open file, to hand on.
    pub fn into_file(self) -> File {
        self.0
    }
}

/// Takes the lock under which ports are chosen, waiting for it. Its holder is always a supervisor that starts just now.
pub fn take_waiting(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn take(path: &Path) -> io::Result<Option<File>> {
    let file = open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // The file may have been removed after it was opened; then this lock keeps nobody out.
    if std::fs::metadata(path)?.ino() == file.metadata()?.ino() { Ok(Some(file)) } else { Ok(None) }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::process::layout::Layout;

    #[test]
    fn the_lock_is_free_only_when_its_last_copy_is_closed() {
        let state = tempfile::tempdir().unwrap();
        let dir = Layout::new(state.path()).instance(&"web.r1.i1".parse().unwrap());
        assert!(InstanceLock::is_free(&dir).unwrap());
        let file = InstanceLock::take(&dir).unwrap().unwrap().into_file();
        let copy = file.try_clone().unwrap();
        drop(file);
        assert!(InstanceLock::take(&dir).unwrap().is_none());
        assert!(!InstanceLock::is_free(&dir).unwrap());
        drop(copy);
        assert!(InstanceLock::is_free(&dir).unwrap());
    }
}
