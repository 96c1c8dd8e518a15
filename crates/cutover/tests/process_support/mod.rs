//! A state directory of its own for each test, and the end of everything that was started in it, also when a test fails.
#![allow(
    dead_code,
    missing_docs,
    clippy::new_without_default,
    clippy::explicit_write,
    reason = "each test file uses a part, and compiles it anew"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cutover::engine::port::{Runtime, StartOrder};
use cutover::runtime::process::ProcessRuntime;
use cutover::runtime::process::identity::{Handle, ProcessId, all};
use cutover::runtime::process::layout::Layout;
use cutover::runtime::process::members;
use cutover::runtime::process::observe::records;
use cutover::runtime::process::record::Record;
use cutover_core::InstanceId;
use cutover_core::spec::{LimitSpec, LogSpec, Ports, ProcessSpec, RestartSpec, RunSpec, Secret, StopSpec};
use rustix::process::Signal;

pub const LIMIT: Duration = Duration::from_secs(20);

pub struct World {
    pub state: tempfile::TempDir,
    pub runtime: ProcessRuntime,
}

impl World {
    pub fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        // Programs that run as another user must get at their release.
        std::fs::set_permissions(state.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let runtime = runtime(state.path());
        Self { state, runtime }
    }

    pub fn layout(&self) -> Layout {
        Layout::new(self.state.path())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    pub fn record(&self, instance: &InstanceId) -> Record {
        Record::read(&self.layout().instance(instance)).unwrap().unwrap()
    }

    /// Another agent on the same state.
    pub fn successor(&self) -> ProcessRuntime {
        runtime(self.state.path())
    }

    pub async fn last_lines(&self, instance: &InstanceId, lines: usize) -> Vec<String> {
        self.runtime.logs(instance, lines).await.into_iter().map(|line| line.text).collect()
    }

    pub async fn start(&self, order: &StartOrder) -> std::net::SocketAddr {
        self.runtime
            .start(order)
            .await
            .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for record in records(&self.layout()).unwrap_or_default() {
            for id in members::of(&record).into_iter().chain([record.supervisor]) {
                kill(id);
            }
        }
    }
}

pub fn runtime(state: &Path) -> ProcessRuntime {
    ProcessRuntime::new(state, env!("CARGO_BIN_EXE_cutover"))
}

pub fn kill(id: ProcessId) {
    if let Ok(Some(handle)) = Handle::open(id) {
        handle.signal(Signal::KILL).unwrap();
    }
}

pub fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

pub fn spec(command: &[&str]) -> ProcessSpec {
    ProcessSpec {
        command: command.iter().map(ToString::to_string).collect(),
        artifact: None,
        directory: None,
        env: BTreeMap::new(),
        user: None,
        ports: Ports::Automatic,
        socket: None,
        stop: StopSpec::default(),
        limits: LimitSpec::default(),
        logs: LogSpec::default(),
        restart: RestartSpec::default(),
    }
}

pub fn shell(script: &str) -> ProcessSpec {
    spec(&["sh", "-c", script])
}

pub fn order(instance: &str, spec: ProcessSpec) -> StartOrder {
    StartOrder { instance: id(instance), attempt: 0, spec: run(spec), fingerprint: None }
}

pub fn run(spec: ProcessSpec) -> RunSpec {
    RunSpec::Process(Box::new(spec))
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text)
}

pub fn grace(time: Duration) -> StopSpec {
    StopSpec { grace: time, ..StopSpec::default() }
}

pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A file's text once it is not empty.
pub async fn text_of(path: &Path) -> String {
    let read = || std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    until(&format!("{} is written", path.display()), read).await
}

/// Marks a program as this world's.
pub fn marked(world: &World, mut spec: ProcessSpec) -> ProcessSpec {
    spec.env.insert("WORLD".into(), secret(&world.state.path().display().to_string()));
    spec
}

/// The programs of this world that live, by the mark in their environment.
pub fn programs(world: &World) -> Vec<ProcessId> {
    let mark = format!("WORLD={}", world.state.path().display());
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    all().filter(carries).filter_map(ProcessId::of).filter(|id| id.lives()).collect()
}

/// The supervisors and waiting entries of an instance, by the lock that they have open.
pub fn helpers(world: &World, instance: &InstanceId) -> Vec<ProcessId> {
    let lock = world.layout().instance(instance).lock();
    let holds = |pid: &i32| {
        let mut files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.any(|file| std::fs::read_link(file.path()).is_ok_and(|path| path == lock))
    };
    let helps =
        |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| contains(&line, b"supervise"));
    all().filter(helps).filter(holds).filter_map(ProcessId::of).collect()
}

pub fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether this runs as root; says so if it does not, since a test is left out then.
pub fn root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Past the capture of the test harness, which would swallow it.
        writeln!(std::io::stderr(), "SKIPPED: {test} needs root").unwrap();
    }
    root
}
