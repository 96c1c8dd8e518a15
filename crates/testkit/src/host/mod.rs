//! A machine for the real binary: a directory with a configuration, a state directory and a port, the commands to be given,
//! and the end of everything that was started in it.
//!
//! Whatever cutover starts for a host has the host's directory in its command line or among its open files; that is how it
//! is found, also when the test that started it was killed: the next test ends it.
//!
//! Nothing here is asynchronous, so that a test reads as a person would work.

mod app;
mod command;
mod kills;
mod load;
mod look;
mod port;
mod processes;
mod rest;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

pub use app::App;
pub use command::{Following, Told};
pub use kills::Scene;
pub use load::answers;
pub use port::free as free_port;
pub use processes::{Found, Role, kill};

/// The longest wait for anything. Generous: on a busy machine a slow success is no failure.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The beginning of every host's directory.
const PREFIX: &str = "cutover-host-";

/// One machine, as far as cutover is concerned.
pub struct Host {
    root: PathBuf,
    binary: PathBuf,
    port: u16,
    variables: Vec<(String, String)>,
}

impl Host {
    /// A new one for this binary. Ends first what tests that were killed have left on this machine.
    pub fn new(binary: impl AsRef<Path>) -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| processes::end_what_the_dead_left(&std::env::temp_dir()));
        let root = tempfile::Builder::new().prefix(PREFIX).tempdir().expect("a directory for the host").keep();
        processes::sign(&root);
        let binary = binary.as_ref().canonicalize().expect("the binary exists");
        let host = Self { root, binary, port: free_port(), variables: Vec::new() };
        host.build("the first build");
        host
    }

    /// Gives every command that follows, and the agent that it starts, a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where the agent keeps its state.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join("cutover.toml")
    }

    /// Where all instances of the sample write down the orders they took.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("orders.ledger")
    }

    /// What is deployed: a small file, whose content makes one release differ from the next.
    pub fn artifact(&self) -> PathBuf {
        self.root.join("build")
    }

    /// Where clients reach the service.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Another port that nobody listens on.
    pub fn another_port(&self) -> u16 {
        free_port()
    }

    /// Makes something new to deploy.
    pub fn build(&self, content: &str) {
        std::fs::write(self.artifact(), content).expect("write the artifact");
    }

    /// Writes the configuration.
    pub fn configure(&self, app: &App) {
        std::fs::write(self.config(), app.render(self)).expect("write the configuration");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let left = processes::end_all(&self.root);
        if std::env::var_os("CUTOVER_KEEP_HOSTS").is_none() {
            let _ = std::fs::remove_dir_all(&self.root);
        }
        // A second panic would end the whole test run without a word.
        assert!(left.is_empty() || std::thread::panicking(), "these do not end: {left:?}");
    }
}

/// Looks until there is something to see.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(LIMIT, what, look)
}

/// The same, with a limit of its own.
pub fn until_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < limit, "waited in vain for {limit:?} until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
