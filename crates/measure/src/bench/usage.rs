//! What a process and its children use, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// CPU time and memory of a tree of processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time together.
    pub cpu: Duration,
    /// Memory in bytes; pages that processes share are divided among them (PSS).
    pub memory: u64,
}

/// Reads the usage of a process and its direct children.
pub fn of(pid: u32) -> Usage {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).chain([pid]);
    pids.fold(Usage::default(), |sum, pid| Usage {
        cpu: sum.cpu + cpu(pid).unwrap_or_default(),
        memory: sum.memory + memory(pid).unwrap_or_default(),
    })
}

/// How many files a process has open.
pub fn files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// See proc_pid_stat(5): after the name in parentheses, utime and stime are the 12th and 13th fields.
fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Duration::from_millis((field(11)? + field(12)?) * 1000 / rustix::param::clock_ticks_per_second()))
}

fn memory(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10)
}
