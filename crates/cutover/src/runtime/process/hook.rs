//! Runs a hook beside the instances: as their user, in their directory, with their variables, and without a port.
//!
//! The hook is a child of the agent and leads a session of its own. Its output comes by a pipe, of which a part is kept, so that
//! nothing of it ever lies on disk. A record says who it is before it is let loose: whatever an agent that died left of it is found by
//! that. It begins as our own binary, like every program here (see [`crate::supervise`]), and leaves if the agent dies before it was let
//! loose.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cutover_core::spec::{ProcessSpec, Secret};
use cutover_core::unit::duration;
use cutover_core::{Failure, InstanceId};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

use super::identity::{Handle, ProcessId, boot};
use super::layout::Layout;
use super::members::Kin;
use super::order::{Launch, Report};
use super::party;
use super::record::{RUN_VARIABLE, RunId};
use super::{durable, failed};
use crate::engine::port::{Exit, HookFilter, HookKey, HookOrder, HookRun, RuntimeError};
use crate::runtime::output::Kept;
use crate::supervise::inherited;

/// After a hook has ended its output is waited for this long. Something that nobody can find could hold the pipe open for ever.
const REST_WITHIN: Duration = Duration::from_millis(500);

/// Who runs a hook. No secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    run: RunId,
    boot: String,
    main: ProcessId,
}

impl Record {
    /// `held`: it was not waited for yet, so that its number cannot be another's.
    fn kin(&self, held: bool) -> Kin {
        Kin { run: self.run.clone(), boot: self.boot.clone(), main: self.main, held }
    }
}

/// Runs it to its end.
pub async fn run(layout: &Layout, executable: &Path, order: &HookOrder) -> Result<HookRun, RuntimeError> {
    let what = || format!("could not run {}", order.key.hook.name());
    let path = path_of(layout, &order.key);
    let launch = launch(layout, order).map_err(failed(what()))?;
    let (mut running, mut gate, pipe) = spawn(executable, &launch).map_err(failed(what()))?;
    let record = running.record(&launch).map_err(failed(what()))?;
    let private = DirBuilder::new().recursive(true).mode(0o700).create(layout.hooks());
    private.map_err(failed(what()))?;
    durable::write(&path, &record).map_err(failed(what()))?;
    let kept = Arc::new(Mutex::new(Kept::default()));
    let reading = tokio::spawn(read(pipe, kept.clone()));
    let failed_how = match let_loose(&launch, &mut gate).await.map_err(failed(what()))? {
        Some(report) => Some(refused(report)),
        None => running.outcome(order.within).await.map_err(failed(what()))?,
    };
    // Before it is waited for: until then its number, and its session's, cannot be another's.
    party::kill_kin(&record.kin(true)).await.map_err(failed(format!("could not end what {} left", order.key)))?;
    running.reap().await;
    let _ = tokio::time::timeout(REST_WITHIN, reading).await;
    durable::remove(&path).map_err(failed(what()))?;
    let output = kept.lock().unwrap_or_else(PoisonError::into_inner).lines();
    Ok(HookRun { failed: failed_how, output })
}

/// Ends what is left of hooks that are not run here now.
pub async fn end(layout: &Layout, of: &HookFilter<'_>) -> Result<(), RuntimeError> {
    for key in keys(layout).map_err(failed("could not read the records of the hooks"))?.iter().filter(|key| of(key)) {
        let path = path_of(layout, key);
        let what = || format!("could not end what {key} left");
        if let Some(record) = durable::read::<Record>(&path).map_err(failed(what()))? {
            party::kill_kin(&record.kin(false)).await.map_err(failed(what()))?;
        }
        durable::remove(&path).map_err(failed(what()))?;
    }
    Ok(())
}

fn keys(layout: &Layout) -> io::Result<BTreeSet<HookKey>> {
    let entries = match std::fs::read_dir(layout.hooks()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let name = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
    Ok(entries.flatten().filter_map(name).collect())
}

fn path_of(layout: &Layout, key: &HookKey) -> PathBuf {
    layout.hooks().join(format!("{key}.json"))
}

/// The service's program with another command: its user, limits, directory and variables stay.
fn launch(layout: &Layout, order: &HookOrder) -> io::Result<Launch> {
    let process = order.spec.process().ok_or_else(|| io::Error::other("what it runs is not a process"))?;
    let service = &order.key.service;
    let mut env = process.env.clone();
    env.extend(order.variables.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))));
    Ok(Launch {
        instance: InstanceId { service: service.clone(), release: order.release, number: 0 },
        run: RunId::random()?,
        port: 0,
        artifact: process.artifact.as_deref().map(|path| layout.copy(service, order.release, path)),
        hook: true,
        spec: ProcessSpec { command: order.command.clone(), env, ..process.clone() },
    })
}

fn spawn(executable: &Path, launch: &Launch) -> io::Result<(Running, UnixStream, Receiver)> {
    let (reader, writer) = io::pipe()?;
    // It belongs to the hook's user, who may want to open `/dev/stdout` by name.
    let user = launch.spec.user.as_deref().and_then(|name| nix::unistd::User::from_name(name).ok().flatten());
    if let Some(user) = user {
        std::os::unix::fs::fchown(&writer, Some(user.uid.as_raw()), None)?;
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(executable);
    command
        .args(["supervise", "program", &launch.instance.to_string()])
        .env_clear()
        .envs(inherited())
        .env(RUN_VARIABLE, launch.run.as_str())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let child = command.spawn()?;
    // The command still holds our side of the pipe's writing end, which would keep it open.
    drop(command);
    Ok((Running(child), UnixStream::from_std(ours)?, Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

async fn read(mut pipe: Receiver, kept: Arc<Mutex<Kept>>) {
    let mut part = vec![0; 64 << 10];
    while let Ok(length @ 1..) = pipe.read(&mut part).await {
        kept.lock().unwrap_or_else(PoisonError::into_inner).take(&part[..length]);
    }
}

/// Sends the launch, and waits until it has become the hook's program or tells why not. The socket is closed by exec.
async fn let_loose(launch: &Launch, gate: &mut UnixStream) -> io::Result<Option<Report>> {
    gate.write_all(&serde_json::to_vec(launch)?).await?;
    gate.shutdown().await?;
    let mut answer = Vec::new();
    gate.read_to_end(&mut answer).await?;
    if answer.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&answer)?)) }
}

fn refused(report: Report) -> String {
    let because = |what: String, cause: io::Error| Failure::because(what, &cause).to_string();
    match report {
        Report::NoProgram(program, cause) => because(format!("could not be run: {program}"), cause.into()),
        Report::Failed(what, cause) => because(format!("could not be run: {what}"), cause.into()),
        Report::Started(_) | Report::NoPort(_) => "could not be run".to_owned(),
    }
}

/// A hook that runs. Dropped before its end, its group is killed; what has left that is found by the record.
struct Running(Child);

impl Running {
    fn record(&self, launch: &Launch) -> io::Result<Record> {
        let main = self.0.id().and_then(|pid| ProcessId::of(pid.cast_signed()));
        Ok(Record { run: launch.run.clone(), boot: boot()?, main: main.ok_or(io::ErrorKind::NotFound)? })
    }

    /// Waits for its end without collecting it; `None` if it ended well.
    async fn outcome(&mut self, within: Duration) -> io::Result<Option<String>> {
        let id = self.0.id().and_then(|pid| ProcessId::of(pid.cast_signed()));
        // Without a handle it has ended already.
        let handle = id.map(Handle::open).transpose()?.flatten();
        let ended = async {
            match &handle {
                Some(handle) => handle.ended().await,
                None => Ok(()),
            }
        };
        match tokio::time::timeout(within, ended).await {
            Ok(ended) => ended?,
            Err(_) => return Ok(Some(format!("took longer than {}", duration::text(within)))),
        }
        Ok(self.exit().filter(|exit| *exit != Exit::Code(0)).map(|exit| exit.to_string()))
    }

    /// How it ended, by a look that leaves it to be waited for.
    fn exit(&self) -> Option<Exit> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let pid = self.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed()))?;
        let status = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).ok().flatten();
        let told = status.and_then(|status| {
            status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
        });
        Some(told.unwrap_or(Exit::Unknown))
    }

    async fn reap(&mut self) {
        let _ = self.0.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The id is there as long as it was not waited for.
        if let Some(pid) = self.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.0.start_kill();
        }
    }
}
