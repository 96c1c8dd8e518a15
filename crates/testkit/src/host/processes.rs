//! Finds and ends what runs for a host.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cutover::runtime::process::identity::{Handle, ProcessId, Stat, all};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{Host, PREFIX};

/// How long the end of everything may take.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The file that says which process a host belongs to.
const OWNER: &str = "owner.json";

/// A process that runs for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub id: ProcessId,
    /// What it is.
    pub role: Role,
    /// Its command line.
    pub command: String,
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The agent.
    Agent,
    /// The proxy.
    Proxy,
    /// The supervisor of an instance, or one that is about to become a program.
    Supervisor,
    /// A command that somebody gave.
    Command,
    /// Anything else: an instance, or what one has started.
    Program,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    owner: ProcessId,
}

impl Host {
    /// Everything that runs here.
    pub fn processes(&self) -> Vec<Found> {
        of(&self.root)
    }

    /// Those that are of this kind.
    pub fn processes_of(&self, role: Role) -> Vec<ProcessId> {
        self.processes().into_iter().filter(|found| found.role == role).map(|found| found.id).collect()
    }

    /// The only one of this kind; `None` if there is none or are several.
    pub fn only(&self, role: Role) -> Option<ProcessId> {
        match self.processes_of(role)[..] {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// Ends a process as the kernel or an impatient person would. Fine if it has ended.
pub fn kill(id: ProcessId) {
    if let Ok(Some(handle)) = Handle::open(id) {
        let _ = handle.signal(Signal::KILL);
    }
}

/// Notes that the host belongs to this process.
pub(super) fn sign(root: &Path) {
    let owner = ProcessId::of(std::process::id().cast_signed()).expect("this process runs");
    let text = serde_json::to_string(&Owner { owner }).expect("it has no maps");
    std::fs::write(root.join(OWNER), text).expect("write into the host's directory");
}

/// Ends what runs for hosts whose tests are gone, and removes their directories.
pub(super) fn end_what_the_dead_left(place: &Path) {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    for root in entries.map(|entry| entry.path()) {
        let ours = root.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if ours && owner(&root).is_some_and(|owner| !owner.lives()) {
            end_all(&root);
            let _ = std::fs::remove_dir_all(&root);
        }
    }
}

fn owner(root: &Path) -> Option<ProcessId> {
    let text = std::fs::read_to_string(root.join(OWNER)).ok()?;
    serde_json::from_str::<Owner>(&text).ok().map(|owner| owner.owner)
}

/// Ends everything that runs for a host: first the agent and who commands it, lest they start again what ends. Gives what did not end.
pub(super) fn end_all(root: &Path) -> Vec<Found> {
    let begun = Instant::now();
    loop {
        let mut found = of(root);
        if found.is_empty() || begun.elapsed() > END_WITHIN {
            return found;
        }
        let starters = |found: &Found| matches!(found.role, Role::Agent | Role::Command);
        if found.iter().any(starters) {
            found.retain(starters);
        }
        found.iter().for_each(|found| kill(found.id));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn of(root: &Path) -> Vec<Found> {
    let own = std::process::id().cast_signed();
    all().filter(|pid| *pid != own).filter_map(|pid| look(pid, root)).collect()
}

fn look(pid: i32, root: &Path) -> Option<Found> {
    let stat = Stat::read(pid).filter(|stat| !stat.zombie)?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = line.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let command = words.join(" ");
    let named = command.contains(&*root.to_string_lossy());
    (named || has_open(pid, root)).then(|| Found { id: stat.id, role: role(&words), command })
}

fn has_open(pid: i32, root: &Path) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut paths = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    paths.any(|path: PathBuf| path.starts_with(root))
}

fn role(words: &[String]) -> Role {
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    match (word(1), word(2)) {
        ("agent", "run") => Role::Agent,
        ("proxy", "run") => Role::Proxy,
        ("supervise", _) => Role::Supervisor,
        ("--state", _) => Role::Command,
        _ => Role::Program,
    }
}
