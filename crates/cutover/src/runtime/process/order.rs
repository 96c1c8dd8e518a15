//! What the agent, the supervisor and the program's entry say to each other, each message as JSON over a socket that only
//! the two of them hold. Secrets travel here and nowhere else: not in arguments, not in files.

use std::io;
use std::path::PathBuf;

use cutover_core::InstanceId;
use cutover_core::spec::ProcessSpec;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::record::RunId;

/// From the agent to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Where to keep things.
    pub layout: Layout,
    /// How often the instance was started before.
    pub attempt: u32,
    /// The port it had before, to be taken again if it is free.
    pub port: Option<u16>,
    /// What to run. Its port is 0: the supervisor chooses it.
    pub launch: Launch,
}

/// From the supervisor to the entry: everything that makes a program an instance.
#[derive(Debug, Serialize, Deserialize)]
pub struct Launch {
    /// Which instance.
    pub instance: InstanceId,
    /// This run of it.
    pub run: RunId,
    /// Its port.
    pub port: u16,
    /// The copy of its artifact.
    pub artifact: Option<PathBuf>,
    /// Whether it is no instance but a hook beside them: it leads a session of its own and has no port.
    #[serde(default)]
    pub hook: bool,
    /// The program and its surroundings.
    pub spec: ProcessSpec,
}

impl Launch {
    /// The unix socket on which it listens in place of its port. The port is its own all the same: it is what tells instances apart.
    pub fn socket(&self) -> Option<PathBuf> {
        self.spec.socket_of(&self.instance).filter(|_| !self.hook)
    }
}

/// How a start went: from the entry to the supervisor if it failed there, and from the supervisor to the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The program runs, on this port.
    Started(u16),
    /// The program could not be executed.
    NoProgram(String, Cause),
    /// No port is free; who holds them.
    NoPort(String),
    /// Something else did not work.
    Failed(String, Cause),
}

/// An I/O error, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cause {
    code: Option<i32>,
    text: String,
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self { code: error.raw_os_error(), text: error.to_string() }
    }
}

impl From<Cause> for io::Error {
    fn from(cause: Cause) -> Self {
        cause.code.map_or_else(|| io::Error::other(cause.text), io::Error::from_raw_os_error)
    }
}
