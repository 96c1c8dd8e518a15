//! nginx's processes, by what they call themselves: `nginx: worker process`, `nginx: worker process is shutting down`.

use std::fs;

use crate::runtime::process::identity::{Stat, all};

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
    all().filter_map(one).collect()
}

/// Those that come from this one, itself included.
pub(super) fn below(first: i32) -> Vec<Process> {
    let is_below = |process: &Process| {
        let parent = |pid: &i32| Stat::read(*pid).map(|stat| stat.parent).filter(|parent| *parent > 0);
        std::iter::successors(Some(process.pid.cast_signed()), parent).any(|pid| pid == first)
    };
    here().into_iter().filter(is_below).collect()
}

fn one(pid: i32) -> Option<Process> {
    let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let role = role(&String::from_utf8_lossy(&title))?;
    let parent = Stat::read(pid)?.parent;
    Some(Process { pid: pid.cast_unsigned(), parent: parent.cast_unsigned(), role })
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
