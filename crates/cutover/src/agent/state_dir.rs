//! The state directory: everything cutover keeps on a machine, in one place, for one agent at a time.

use std::fs::{DirBuilder, DirEntry, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::runtime::process::identity::holder_of;

/// The file that says whose directory it is.
const MARKER: &str = "cutover-state";
const MARKER_TEXT: &str = "This directory belongs to cutover. Format 1.\n";

/// A state directory that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It could not be made or read.
    #[error("could not {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else's files are in it.
    #[error("{0} holds files, and is not a state directory of cutover")]
    NotOurs(PathBuf),
    /// Another agent uses it.
    #[error("another agent{} uses {path}", process(.pid))]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// The other agent's process, if it said.
        pid: Option<u32>,
    },
}

impl StateDirError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => Some("give another one with --state or CUTOVER_STATE"),
            Self::NotOurs(_) => Some("nothing was changed; give an empty directory with --state or CUTOVER_STATE"),
            Self::Occupied { .. } => Some("`cutover agent status` shows it, `cutover agent stop` ends it"),
        }
    }
}

fn process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// Holds the directory for one agent, as long as it lives: the kernel releases it with the process.
#[derive(Debug)]
pub struct Occupied {
    _lock: File,
}

impl StateDir {
    /// Where the state is kept if nobody says otherwise: `/var/lib/cutover` for root, else under the user's state home.
    pub fn default_path() -> PathBuf {
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/cutover");
        }
        let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let state_home = std::env::var_os("XDG_STATE_HOME").filter(|home| !home.is_empty());
        state_home.map_or_else(|| home().join(".local/state"), PathBuf::from).join("cutover")
    }

    /// Makes the directory, or takes one that is ours. Others may pass through it (services that run as another user reach
    /// their files below it), but not list it; what is secret in it has a mode of its own.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let io = |what| move |source| StateDirError::Io { what, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(io("make the state directory"))?;
        let path = path.canonicalize().map_err(io("find the state directory"))?;
        let marker = path.join(MARKER);
        if !marker.exists() {
            let mut files = path.read_dir().map_err(io("read the state directory"))?.flatten();
            // A proxy that a service manager starts may have been here first.
            let ours = |file: &DirEntry| file.path().join("proxy.lock").is_file();
            // Or another command may have taken it since: the marker comes before all else.
            if !files.all(|file| ours(&file)) && !marker.exists() {
                return Err(StateDirError::NotOurs(path));
            }
            std::fs::write(&marker, MARKER_TEXT).map_err(io("write into the state directory"))?;
        }
        Ok(Self(path))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    /// What an agent holds, with its process in it.
    pub fn lock(&self) -> PathBuf {
        self.0.join("agent.lock")
    }

    /// The agent's own log.
    pub fn log(&self) -> PathBuf {
        self.0.join("agent.log")
    }

    /// The proxy's directory.
    pub fn proxy(&self) -> PathBuf {
        self.0.join("proxy")
    }

    /// Takes the directory for this process.
    pub fn occupy(&self) -> Result<Occupied, StateDirError> {
        let path = self.lock();
        let io = |what| move |source| StateDirError::Io { what, path: path.clone(), source };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(self.lock()).map_err(io("open"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = holder_of(&self.lock()).map(i32::cast_unsigned);
            return Err(StateDirError::Occupied { path: self.0.clone(), pid });
        }
        let _ = lock.set_len(0);
        let _ = lock.write_all(std::process::id().to_string().as_bytes());
        Ok(Occupied { _lock: lock })
    }

    /// The secret for looking through the router, made on first use.
    pub fn token(&self) -> Result<String, StateDirError> {
        let path = self.0.join("token");
        let io = |what| {
            let path = path.clone();
            move |source| StateDirError::Io { what, path, source }
        };
        match std::fs::read_to_string(&path) {
            Ok(token) if token.len() == 32 => Ok(token),
            _ => {
                let token = random_hex().map_err(io("draw a secret for"))?;
                let mut options = OpenOptions::new();
                let options = options.write(true).create(true).truncate(true).mode(0o600);
                let mut file = options.open(&path).map_err(io("write"))?;
                file.write_all(token.as_bytes()).map_err(io("write"))?;
                Ok(token)
            }
        }
    }
}

fn random_hex() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(StateDir::open(dir.path()), Err(StateDirError::NotOurs(_))));
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_directory_in_which_only_the_proxy_was_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("proxy")).unwrap();
        std::fs::write(dir.path().join("proxy/proxy.lock"), "1").unwrap();
        StateDir::open(dir.path()).unwrap();
    }

    /// Seen to fail with the marker looked for only once.
    #[test]
    fn it_can_be_taken_by_several_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let path = dir.path().join(round.to_string());
            std::thread::scope(|scope| {
                for name in ["a", "b", "c", "d"] {
                    let path = &path;
                    scope.spawn(move || {
                        let state = StateDir::open(path).unwrap();
                        std::fs::write(state.path().join(name), "").unwrap();
                    });
                }
            });
        }
    }

    /// Seen to fail without the lock.
    #[test]
    fn one_agent_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let first = state.occupy().unwrap();
        let second = StateDir::open(state.path()).unwrap().occupy();
        assert!(matches!(second, Err(StateDirError::Occupied { pid: Some(pid), .. }) if pid == std::process::id()));
        drop(first);
        state.occupy().unwrap();
    }

    #[test]
    fn the_token_stays_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let token = state.token().unwrap();
        assert_eq!(state.token().unwrap(), token);
        let mode = std::fs::metadata(state.path().join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
