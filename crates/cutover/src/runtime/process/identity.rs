//! Which process is ours. A number alone does not tell: the kernel gives it to another process some day. Together with the
//! start time (field 22 of `/proc/PID/stat`, in clock ticks since boot) and the boot it does; see proc_pid_stat(5).
//!
//! Signals go through a [`Handle`], which refers to the process itself, so that nothing can slip in between the look and
//! the signal.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

/// What `/proc/PID/stat` says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Who it is.
    pub id: ProcessId,
    /// Whether it has ended already, and only waits for its parent to look.
    pub zombie: bool,
    /// Its parent.
    pub parent: i32,
    /// Its session.
    pub session: i32,
}

impl Stat {
    /// Looks at a process; `None` if there is none.
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: i32, text: &str) -> Option<Self> {
        // The program's name stands in parentheses and may hold anything, also `)` and spaces.
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(15)?.parse().ok()?;
        Some(Self { id: ProcessId { pid, started }, zombie: matches!(state, "Z" | "X"), parent, session })
    }
}

impl ProcessId {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).map(|stat| stat.id)
    }

    /// The process that has this number now, if a control group of it bears this name (see cgroups(7)), as a container's does its own. Where the
    /// number was counted on another machine, or in another container, another process has it here.
    pub fn in_group(pid: i32, name: &str) -> Option<Self> {
        let found = Self::of(pid)?;
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        (!name.is_empty() && groups.contains(name)).then_some(found)
    }

    /// Whether this very process still runs. One that ended and was not yet waited for does not.
    pub fn lives(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.id == self && !stat.zombie)
    }
}

/// The number of the process that holds a lock, as it wrote it there.
pub fn holder_of(lock: &Path) -> Option<i32> {
    std::fs::read_to_string(lock).ok()?.trim().parse().ok()
}

/// The present boot, and the namespace in which process numbers count: a record made in another of either is history.
pub fn boot() -> io::Result<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = std::fs::read_link("/proc/self/ns/pid")?;
    Ok(format!("{} {}", boot.trim(), namespace.display()))
}

/// The numbers of all processes.
pub fn all() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A hold on one process: it stays this process's, whatever happens to the number.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// Takes hold of a process; `None` if it does not run any more.
    pub fn open(id: ProcessId) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(id.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Looked at after it was opened: if it is the right one now, then so is the one that was opened.
            Ok(fd) => Ok(id.lives().then_some(Self(fd))),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a signal; fine if the process has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Err(error) if error != rustix::io::Errno::SRCH => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Waits until the process has ended. It need not be our child.
    pub async fn ended(&self) -> io::Result<()> {
        // Its successor is unsafe, for types that lie about their descriptor; an `OwnedFd` does not.
        #[allow(deprecated, reason = "unsafe code is forbidden here, and this call is sound")]
        let fd = AsyncFd::with_interest(self.0.try_clone()?, Interest::READABLE)?;
        fd.readable().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b (c)) S 1 6 5 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 10";
        let expected = Stat { id: ProcessId { pid: 7, started: 4242 }, zombie: false, parent: 1, session: 5 };
        assert_eq!(Stat::parse(7, line), Some(expected));
    }

    /// Seen to fail with the groups not looked at.
    #[test]
    fn a_number_that_was_counted_elsewhere_is_nobody_s_here() {
        let own = std::process::id().cast_signed();
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let ours = groups.lines().next().unwrap();
        assert_eq!(ProcessId::in_group(own, ours), ProcessId::of(own));
        assert_eq!(ProcessId::in_group(own, "4f1c09a2d8b7"), None);
        assert_eq!(ProcessId::in_group(own, ""), None);
    }

    #[test]
    fn a_process_with_our_number_and_another_start_is_not_ours() {
        let own = ProcessId::of(std::process::id().cast_signed()).unwrap();
        assert!(own.lives());
        let other = ProcessId { started: own.started + 1, ..own };
        assert!(!other.lives());
        assert!(Handle::open(other).unwrap().is_none());
    }
}
