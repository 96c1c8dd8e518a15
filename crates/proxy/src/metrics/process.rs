//! What the kernel says of this process (proc(5)).

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// A reading; zeros for what cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// Seconds of processor time, in user and in system mode.
    pub cpu: f64,
    /// Bytes in memory.
    pub resident: u64,
    /// Bytes of address space.
    pub virtual_memory: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// How many it may open.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
}

impl Process {
    /// Reads it.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64);
        // The reading itself has one open.
        let open_fds = open_fds.saturating_sub(1);
        let max_fds = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self { open_fds, max_fds, ..Self::of(&stat) }
    }

    /// The processor time alone, in microseconds: what else there is takes longer to be read.
    pub fn cpu_us() -> u64 {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        (Self::of(&stat).cpu * 1e6) as u64
    }

    fn of(stat: &str) -> Self {
        // The name of the program stands in parentheses and may contain anything; fields are counted behind it, from 3 on.
        let behind = stat.rsplit_once(')').map(|(_, behind)| behind).unwrap_or_default();
        let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        Self {
            cpu: (field(14) + field(15)) as f64 / clock_ticks_per_second() as f64,
            threads: field(20),
            virtual_memory: field(23),
            resident: field(24) * page_size() as u64,
            ..Self::default()
        }
    }
}

/// When this process started, in seconds since 1970.
pub fn started(uptime_us: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs_f64() - uptime_us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with the fields counted from 2 on.
    #[test]
    fn the_kernel_s_line_is_read_whatever_the_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 1234 8192 3 1844 1 1";
        let process = Process::of(line);
        let seconds = 300.0 / clock_ticks_per_second() as f64;
        assert_eq!((process.cpu, process.threads, process.virtual_memory), (seconds, 9, 8192));
        assert_eq!(process.resident, 3 * page_size() as u64);
        let now = Process::read();
        assert!(now.resident > 1 << 20 && now.threads >= 1 && now.open_fds >= 3, "{now:?}");
    }
}
