//! The proxy as a process.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use cutover_core::Generation;
use cutover_core::stats::{ServiceStats, Stats, TargetStats};
use cutover_core::table::{Listener, Service, Table};
use cutover_proxy::client::{Client, ClientError, Upgrade, Upgraded};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use super::client::Conn;
use super::table::{http, id, name, table};
use super::{free_address, until};

/// A proxy that runs, with a state directory of its own.
pub struct Proxy {
    child: Child,
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
    generation: Cell<u64>,
    successors: RefCell<Vec<OwnedFd>>,
    /// A free address to listen on.
    pub address: SocketAddr,
}

impl Proxy {
    /// Starts with nothing to serve.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// Starts with one service on one listener.
    pub fn serving(service: Service) -> Self {
        let proxy = Self::start();
        proxy.publish(vec![http(proxy.address, service.name.as_str())], vec![service]);
        proxy
    }

    /// Starts from what lies in a directory.
    pub fn start_in(dir: TempDir) -> Self {
        let child = spawn(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (generation, successors) = (Cell::new(0), RefCell::default());
        let proxy = Self { child, dir, runtime, generation, successors, address: free_address() };
        until("the proxy answers", || proxy.ask(|client| async move { client.info().await }).is_ok());
        proxy
    }

    /// Asks through the control socket.
    pub fn ask<T, F: Future<Output = T>>(&self, question: impl FnOnce(Client) -> F) -> T {
        self.runtime.block_on(question(Client::of_state(self.dir.path())))
    }

    /// Publishes as the next generation.
    pub fn publish(&self, listeners: Vec<Listener>, services: Vec<Service>) {
        self.try_publish(table(listeners, services)).unwrap();
    }

    /// Publishes another version of the only service.
    pub fn replace(&self, service: Service) {
        self.publish(vec![http(self.address, service.name.as_str())], vec![service]);
    }

    /// Publishes as the next generation, which may be refused.
    pub fn try_publish(&self, table: Table) -> Result<Generation, ClientError> {
        let generation = Generation(self.generation.get() + 1);
        let table = Table { generation, ..table };
        let result = self.ask(|client| async move { client.publish(&table).await });
        if result.is_ok() {
            self.generation.set(generation.0);
        }
        result
    }

    /// Is replaced by another process of the same program.
    pub fn upgrade(&self) -> Upgraded {
        let upgraded = self.upgrade_to(&std::env::current_exe().unwrap(), Duration::from_secs(10)).unwrap();
        self.note(upgraded.to);
        upgraded
    }

    /// Is to be replaced by this program.
    pub fn upgrade_to(&self, binary: &Path, within: Duration) -> Result<Upgraded, ClientError> {
        let within_ms = within.as_millis().try_into().unwrap();
        let upgrade = Upgrade { binary: binary.to_owned(), within_ms, streams_ms: 3_600_000 };
        self.ask(|client| async move { client.upgrade(&upgrade).await })
    }

    /// Another process that ends with the test.
    pub fn note(&self, pid: u32) {
        self.successors.borrow_mut().extend(pidfd_open(number(pid), PidfdFlags::empty()));
    }

    /// The process that is the proxy now.
    pub fn current(&self) -> u32 {
        self.ask(|client| async move { client.info().await }).unwrap().pid
    }

    /// All counters.
    pub fn stats(&self) -> Stats {
        self.ask(|client| async move { client.stats().await }).unwrap()
    }

    /// The counters of a service.
    pub fn service(&self, service: &str) -> ServiceStats {
        self.stats().service(&name(service)).unwrap().clone()
    }

    /// The counters of an instance.
    pub fn target(&self, instance: &str) -> TargetStats {
        self.stats().target(&id(instance)).unwrap_or_else(|| panic!("{instance} is not reported")).clone()
    }

    /// A new client connection.
    pub fn connect(&self) -> Conn {
        Conn::to(self.address)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        self.dir.path()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.child.id(), signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the proxy exits", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Kills it as a crash would, and starts it again from its disk.
    pub fn crash_and_start(self) -> Self {
        self.crash_and_start_with(|| {})
    }

    /// The same, with something done while it is gone.
    pub fn crash_and_start_with(mut self, meanwhile: impl FnOnce()) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        meanwhile();
        self.child = spawn(self.dir.path());
        until("the proxy answers", || self.ask(|client| async move { client.info().await }).is_ok());
        self
    }
}

/// Starts a proxy process.
pub fn spawn(state: &Path) -> Child {
    command(state).spawn().unwrap()
}

/// A proxy process, not yet started.
pub fn command(state: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "proxy_process", "--nocapture"])
        .env("CUTOVER_TEST_STATE", state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

/// Sends a signal to a process that is known to run.
pub fn kill(pid: u32, signal: Signal) {
    rustix::process::kill_process(number(pid), signal).unwrap();
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A test that fails may not have noted it.
        if let Ok(info) = self.ask(|client| async move { client.info().await }) {
            self.note(info.pid);
        }
        for successor in self.successors.borrow().iter() {
            let _ = pidfd_send_signal(successor, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
