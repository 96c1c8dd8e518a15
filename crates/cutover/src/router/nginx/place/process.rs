//! nginx's processes, by what they call themselves: `nginx: worker process`, `nginx: worker process is shutting down`.

use std::fs;

/// A process of an nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number, where the place counts.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// What it is.
    pub role: Role,
}

/// What a process of an nginx is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that starts the others.
    Master,
    /// Takes requests.
    Worker,
    /// Takes no new connections, and finishes what it has.
    Leaving,
}

/// What a process is, by its title. Those that keep caches do not matter here.
fn role(title: &str) -> Option<Role> {
    let rest = title.strip_prefix("nginx: ")?;
    if rest.starts_with("master process") {
        Some(Role::Master)
    } else if rest.starts_with("worker process is shutting down") {
        Some(Role::Leaving)
    } else {
        rest.starts_with("worker process").then_some(Role::Worker)
    }
}

/// Reads lines of `pid ppid args`.
pub(super) fn listed(text: &str) -> Vec<Process> {
    let read = |line: &str| {
        let (pid, rest) = line.trim().split_once(char::is_whitespace)?;
        let (parent, title) = rest.trim().split_once(char::is_whitespace)?;
        Some(Process { pid: pid.parse().ok()?, parent: parent.parse().ok()?, role: role(title.trim())? })
    };
    text.lines().filter_map(read).collect()
}

/// Those of this machine, from `/proc`.
pub(super) fn here() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(one).collect()
}

fn one(pid: u32) -> Option<Process> {
    let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let role = role(&String::from_utf8_lossy(&title))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything; the state and the parent follow it.
    let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Process { pid, parent, role })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_by_their_titles() {
        let text = "  PID  PPID COMMAND\n 10 1 nginx: master process nginx -g daemon off;\n\
            11 10 nginx: worker process\n 12   10 nginx: worker process is shutting down\n\
            13 10 nginx: cache manager process\n 14 1 vi nginx: worker process\n";
        let found: Vec<_> = listed(text).into_iter().map(|p| (p.pid, p.parent, p.role)).collect();
        assert_eq!(found, [(10, 1, Role::Master), (11, 10, Role::Worker), (12, 10, Role::Leaving)]);
    }
}
