//! Starts the proxy, and starts it again when it is gone.

use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cutover_core::Failure;
use cutover_proxy::client::Info;
use tokio::sync::mpsc;

use super::BuiltinRouter;
use crate::engine::port::Return;
use crate::runtime::process::identity::{Handle, ProcessId, holder_of};

/// How long a proxy may take from its start to its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// The pause between two tries to reach it. Short: this is part of the time in which nobody serves.
const TRY_AGAIN: Duration = Duration::from_millis(2);

/// How long a proxy that a service manager watches is left to that when it is gone.
const SUPERVISED: Duration = Duration::from_secs(5);

/// How often is looked whether another process has become the proxy.
const LOOK_FOR_ANOTHER: Duration = Duration::from_millis(500);

/// The pause after a start that failed.
const START_AGAIN: Duration = Duration::from_millis(500);

impl BuiltinRouter {
    /// Finds the proxy that runs, or starts one.
    pub(super) async fn find_or_start(&self) -> Result<ProcessId, Failure> {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.info().await.and_then(|info| process(&info)) {
                return Ok(found);
            }
            if !self.supervised.load(Ordering::Relaxed) || begun.elapsed() > SUPERVISED {
                return self.start_process().await;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn start_process(&self) -> Result<ProcessId, Failure> {
        let log = self.directory.join("proxy.log");
        let failed = |error: &std::io::Error| Failure::because("could not start the proxy", error);
        let mut child = self.spawn().map_err(|error| failed(&error))?;
        let begun = Instant::now();
        loop {
            if let Some(found) = self.info().await.filter(|info| info.pid == child.id()).and_then(|i| process(&i)) {
                reap(child);
                return Ok(found);
            }
            if let Ok(Some(status)) = child.try_wait() {
                let summary = format!("the proxy left as soon as it was started ({status})");
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let last: Vec<String> = said.lines().rev().take(5).map(str::to_owned).collect();
                return Err(Failure::new(summary).log(last.into_iter().rev().collect()));
            }
            if begun.elapsed() > FIRST_ANSWER {
                reap(child);
                let summary = format!("the proxy does not answer on {}/proxy.sock", self.directory.display());
                return Err(Failure::new(summary).hint(format!("{} may say why", log.display())));
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// It makes a session of its own, so that it outlives this agent and its terminal.
    fn spawn(&self) -> std::io::Result<Child> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(self.directory.join("proxy.log"))?;
        let mut command = Command::new(&self.executable);
        command.args(["proxy", "run", "--state"]).arg(&self.directory);
        command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn()
    }
}

/// Waits for the proxy's end and starts it again, as long as somebody holds the router.
pub(super) async fn keep(router: Weak<BuiltinRouter>, first: ProcessId, returns: mpsc::UnboundedSender<Return>) {
    let Some(directory) = router.upgrade().map(|router| router.directory.clone()) else { return };
    let mut process = first;
    loop {
        process = end_of_the_last(&directory, process).await;
        let gone = Instant::now();
        let Some(router) = router.upgrade() else { return };
        let in_hand = router.in_hand.swap(0, Ordering::Relaxed);
        tracing::error!("the proxy (process {}) is gone; it had about {in_hand} requests in hand", process.pid);
        process = loop {
            match router.find_or_start().await {
                Ok(process) => break process,
                Err(failure) => tracing::error!("{failure}"),
            }
            tokio::time::sleep(START_AGAIN).await;
        };
        let down = gone.elapsed();
        tracing::warn!("the proxy is back after {} ms", down.as_millis());
        if returns.send(Return { down, in_hand }).is_err() {
            return;
        }
    }
}

/// Waits until the proxy is gone, whoever that is by then: one that runs may be replaced by another process, and then finishes
/// what it has for a while.
async fn end_of_the_last(directory: &Path, mut process: ProcessId) -> ProcessId {
    loop {
        let ended = tokio::time::timeout(LOOK_FOR_ANOTHER, wait_for_end(process)).await.is_ok();
        match holder_of(&directory.join("proxy.lock")).filter(|pid| *pid != process.pid) {
            Some(other) => match ProcessId::of(other).filter(|other| other.lives()) {
                Some(other) => {
                    tracing::info!("process {} is the proxy now, in place of process {}", other.pid, process.pid);
                    process = other;
                }
                None => return process,
            },
            None if ended => return process,
            None => {}
        }
    }
}

async fn wait_for_end(process: ProcessId) {
    if let Ok(Some(handle)) = Handle::open(process) {
        let _ = handle.ended().await;
    }
}

fn process(info: &Info) -> Option<ProcessId> {
    ProcessId::of(i32::try_from(info.pid).ok()?)
}

/// Takes note of the child's end when it comes, so that it does not stay behind as a zombie.
fn reap(mut child: Child) {
    std::thread::spawn(move || child.wait());
}
