//! What is kept of an instance on disk. No secrets: the environment of a program is never written down here.
//!
//! The record is written by the supervisor, under the instance's lock, *before* the program is let loose: a program that
//! runs has a record. The formats are read by later versions of cutover, for instances outlive the agent's upgrade.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use cutover_core::InstanceId;
use serde::{Deserialize, Serialize};

use super::durable;
use super::identity::{ProcessId, boot};
use super::layout::InstanceDir;
use crate::engine::port::Exit;

/// The variable that marks each process of a run, with the run's id.
pub const RUN_VARIABLE: &str = "CUTOVER_RUN";

/// One run of an instance, unlike any other: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

/// Who runs an instance, on which port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which instance.
    pub instance: InstanceId,
    /// How often it had been started before.
    pub attempt: u32,
    /// This run.
    pub run: RunId,
    /// The boot in which the processes below count.
    pub boot: String,
    /// The supervisor. Also the number of the session that it leads.
    pub supervisor: ProcessId,
    /// The program. Also the number of the process group that it leads.
    pub main: ProcessId,
    /// Its port on the loopback address.
    pub port: u16,
    /// The unix socket on which it listens in place of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Which run: an older one's ending must not be taken for this one's.
    pub run: RunId,
    /// How.
    pub exit: Exit,
}

impl RunId {
    /// A new one.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_ne_bytes(bytes))))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Record {
    /// Reads the record of an instance; `None` if it was never started.
    pub fn read(dir: &InstanceDir) -> io::Result<Option<Self>> {
        durable::read(&dir.record())
    }

    /// Writes it.
    pub fn write(&self, dir: &InstanceDir) -> io::Result<()> {
        durable::write(&dir.record(), self)
    }

    /// The instance's own address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Removes its socket, if one lies there: a program that was killed leaves it, and the next one could not listen on it. Its name has
    /// the instance in it, so it is nobody else's.
    pub fn remove_socket(&self) -> io::Result<()> {
        let Some(path) = &self.socket else { return Ok(()) };
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
            _ => Ok(()),
        }
    }

    /// Whether the program runs.
    pub fn main_lives(&self) -> bool {
        self.of_this_boot() && self.main.lives()
    }

    /// Whether its supervisor runs.
    pub fn supervisor_lives(&self) -> bool {
        self.of_this_boot() && self.supervisor.lives()
    }

    /// Whether the process numbers mean anything now.
    pub fn of_this_boot(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot)
    }

    /// How this run ended, if its supervisor wrote it down.
    pub fn ending(&self, dir: &InstanceDir) -> io::Result<Option<Exit>> {
        let ending = durable::read::<Ending>(&dir.exit())?;
        Ok(ending.filter(|ending| ending.run == self.run).map(|ending| ending.exit))
    }
}
