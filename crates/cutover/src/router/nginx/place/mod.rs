//! Where an nginx runs, and how its files and processes are reached there.
//!
//! Deliberately absent: any knowledge of what is in the files, and of nginx's own commands.

mod command;
mod container;
mod host;
mod process;
mod session;
mod shell;
mod ssh;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cutover_core::Failure;
use cutover_core::spec::{NginxAt, NginxProgram};

pub use command::Output;
pub use container::Container;
pub use host::Host;
pub use process::{Process, Role};
pub use ssh::Ssh;

/// How long what takes time to open stays open: a connection to another host, a shell in a container. A switch is likely to follow another.
const KEPT: Duration = Duration::from_secs(120);

/// A machine or container that an nginx runs in.
#[async_trait]
pub trait Place: Send + Sync {
    /// Where it is, for the end of a sentence: `on this host`, `in the container nginx`.
    fn name(&self) -> String;

    /// A file's content; `None` if there is none.
    async fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, PlaceError>;

    /// Puts a file in place of what is there, whole or not at all, durably, keeping its mode and owner.
    async fn write(&self, file: &Path, content: &[u8]) -> Result<(), PlaceError>;

    /// Removes a file. Fine if there is none.
    async fn remove(&self, file: &Path) -> Result<(), PlaceError>;

    /// Whether files of this folder could be replaced.
    async fn may_write(&self, folder: &Path) -> Result<(), PlaceError>;

    /// Runs a command where nginx runs. It gets no input and has a time limit.
    async fn run(&self, command: &[String]) -> Result<Output, PlaceError>;

    /// Runs one command and, if that succeeds, another.
    async fn in_turn(&self, first: &[String], then: &[String]) -> Turn {
        self.one_by_one(first, then).await
    }

    /// The same, each by itself.
    async fn one_by_one(&self, first: &[String], then: &[String]) -> Turn {
        match self.run(first).await {
            Ok(output) if output.status.success() => Turn::Both(self.run(then).await),
            failed => Turn::First(failed),
        }
    }

    /// Two such commands are likely soon: what takes time beforehand may be done now.
    async fn expect_turn(&self) {}

    /// The nginx processes that can be seen there.
    async fn processes(&self) -> Result<Vec<Process>, PlaceError>;

    /// The path by which nginx sees a file; an error if it does not see it.
    async fn inside(&self, file: &Path) -> Result<PathBuf, PlaceError>;

    /// Whether the process number in nginx's own file is one of those that [`Place::processes`] tells.
    fn numbers_agree(&self) -> bool {
        true
    }

    /// How long to wait between two looks at the processes.
    fn look_again(&self) -> Duration;
}

/// How two commands went of which the second follows the first.
#[derive(Debug)]
pub enum Turn {
    /// The first one failed in this way, and the second was not run.
    First(Result<Output, PlaceError>),
    /// The second went like this. If that is an error of the place, perhaps it was not run.
    Both(Result<Output, PlaceError>),
}

/// What could not be done at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The place cannot be reached.
    #[error("could not reach the nginx {place}: {why}")]
    Unreachable {
        /// Where.
        place: String,
        /// What came back.
        why: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It is not allowed to us.
    #[error("may not {what} {path} {place}")]
    Denied {
        /// What was tried: `write in`, `read`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Where.
        place: String,
        /// The command that would allow it.
        cure: String,
    },
    /// Anything else.
    #[error("could not {what} {place}: {why}")]
    Other {
        /// What was tried, and on what.
        what: String,
        /// Where.
        place: String,
        /// What came back.
        why: String,
    },
}

impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        let failure = Failure::new(error.to_string());
        match error {
            PlaceError::Unreachable { hint: Some(hint), .. } => failure.hint(hint),
            PlaceError::Denied { cure, .. } => failure.hint(format!("allow it with `{cure}`")),
            _ => failure,
        }
    }
}

/// The place of a route, and the program there. `sockets` is a folder for the connections that ssh keeps.
pub fn of(at: &NginxAt, sockets: &Path) -> (Box<dyn Place>, NginxProgram) {
    match at {
        NginxAt::Host(program) => (Box::new(Host), program.clone()),
        NginxAt::Container { name, program } => (Box::new(Container::new(name)), program.clone()),
        NginxAt::Ssh { destination, options, program } => {
            (Box::new(Ssh::new(destination, options, sockets)), program.clone())
        }
    }
}

/// The command that lets a user replace files of a folder.
fn cure(user: &str, folder: &Path) -> String {
    format!("sudo chown {user} {}", folder.display())
}
