//! What a process and its children use, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// CPU time and memory of a tree of processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time together.
    pub cpu: Duration,
    /// Resident memory in bytes. Pages that processes share count for each of them.
    pub memory: u64,
}

/// Reads the usage of a process and its direct children.
pub fn of(pid: u32) -> Usage {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).chain([pid]);
    pids.fold(Usage::default(), |sum, pid| {
        let one = one(pid).unwrap_or_default();
        Usage { cpu: sum.cpu + one.cpu, memory: sum.memory + one.memory }
    })
}

/// See proc_pid_stat(5): after the name in parentheses, utime and stime are the 12th and 13th fields, rss is the 22nd.
fn one(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = rustix::param::clock_ticks_per_second();
    let cpu = Duration::from_millis((field(11)? + field(12)?) * 1000 / ticks);
    Some(Usage { cpu, memory: field(21)? * rustix::param::page_size() as u64 })
}
