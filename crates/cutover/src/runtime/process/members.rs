//! Finds every process of a run: the program and whatever it started.
//!
//! A process belongs to a run if
//!
//! - its environment carries the run's id. That holds for everything the program started, unless it was given another
//!   environment or wrote over its own (as some servers do to show a title); or
//! - it is in the supervisor's session, or descends from the supervisor, to which orphans return. This rule needs the
//!   supervisor or the program alive, since otherwise the numbers could be somebody else's by now.
//!
//! What escapes is a process that left the session *and* changed its environment, after its supervisor was killed. The
//! lock, which it inherited, still tells that it exists; unless it closed that too.

use std::collections::BTreeMap;

use super::identity::{ProcessId, Stat, all, boot};
use super::record::{RUN_VARIABLE, Record, RunId};

/// The living processes of a run, its supervisor excepted.
pub fn of(record: &Record) -> Vec<ProcessId> {
    if !record.of_this_boot() {
        return Vec::new();
    }
    let anchored = record.supervisor.lives() || record.main.lives();
    let mut found = search(record.supervisor, anchored, &record.run);
    found.retain(|id| *id != record.supervisor);
    found
}

/// Whether anything of a run lives. To look at every process of the machine is left for when the program itself has ended.
pub fn any(record: &Record) -> bool {
    record.main_lives() || !of(record).is_empty()
}

/// A run without a supervisor: a hook, which leads a session itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kin {
    /// What its processes carry.
    pub run: RunId,
    /// The boot in which its process counts.
    pub boot: String,
    /// The process that it began as.
    pub main: ProcessId,
    /// Whether that was not waited for yet, so that its number cannot be another's also if it has ended.
    pub held: bool,
}

/// The living processes of a hook.
pub fn of_hook(kin: &Kin) -> Vec<ProcessId> {
    if boot().is_ok_and(|boot| boot == kin.boot) {
        search(kin.main, kin.held || kin.main.lives(), &kin.run)
    } else {
        Vec::new()
    }
}

/// Those in the session of `leader` and its descendants, if its number is its own still; and whatever carries the run's mark.
fn search(leader: ProcessId, anchored: bool, run: &RunId) -> Vec<ProcessId> {
    let seen: BTreeMap<i32, Stat> = all().filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
    let near = |stat: &Stat| stat.id == leader || stat.session == leader.pid || descends(&seen, stat, leader);
    let belongs = |stat: &Stat| (anchored && near(stat)) || carries(stat.id.pid, run);
    // A process that is older than the leader needs no closer look.
    let candidates = seen.values().filter(|stat| !stat.zombie && stat.id.started >= leader.started);
    candidates.filter(|stat| belongs(stat)).map(|stat| stat.id).collect()
}

fn descends(seen: &BTreeMap<i32, Stat>, stat: &Stat, ancestor: ProcessId) -> bool {
    let mut parent = stat.parent;
    // The tree may have changed while it was read, so that it could even have a cycle; it is not deeper than wide.
    for _ in 0..seen.len() {
        match seen.get(&parent) {
            Some(stat) if stat.id == ancestor => return true,
            Some(stat) => parent = stat.parent,
            None => return false,
        }
    }
    false
}

fn carries(pid: i32, run: &RunId) -> bool {
    let mark = format!("{RUN_VARIABLE}={}", run.as_str());
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}
