//! Starts an instance, once.
//!
//! Everything hangs on the lock (see [`super::lock`]): who holds it is the only one who may start. The agent takes it,
//! looks once more whether the instance has been started, and hands it to the supervisor. If the agent dies on the way,
//! its copy of the lock closes; if the supervisor got its order before that, it goes on alone, and the next agent finds
//! its record.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::layout::{InstanceDir, Layout};
use super::lock::InstanceLock;
use super::order::{Launch, Order, Report};
use super::record::{Record, RunId};
use super::{failed, party};
use crate::engine::port::{RuntimeError, StartOrder};
use crate::supervise::inherited;

/// A supervisor that has not reported after this time never will. Starting takes milliseconds.
const REPORT_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Starts the instance, or finds it started.
pub async fn start(layout: &Layout, supervisor: &Path, order: &StartOrder) -> Result<SocketAddr, RuntimeError> {
    let dir = layout.instance(&order.instance);
    let what = || format!("could not start {}", order.instance);
    let until = Instant::now() + REPORT_WITHIN;
    loop {
        let before = Record::read(&dir).map_err(failed(what()))?;
        if let Some(found) = before.as_ref().filter(|record| record.attempt >= order.attempt) {
            return Ok(found.address());
        }
        if let Some(lock) = InstanceLock::take(&dir).map_err(failed(what()))? {
            // Somebody may have started it between the two looks.
            if Record::read(&dir).map_err(failed(what()))? == before {
                return launch(layout, supervisor, order, before.as_ref(), lock).await;
            }
        } else if Instant::now() > until {
            return Err(failed(what())(still_held(&dir)));
        } else {
            clear_the_way(order, before.as_ref()).await?;
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Somebody holds the lock: another start, for a moment, or what an earlier attempt left behind.
async fn clear_the_way(order: &StartOrder, before: Option<&Record>) -> Result<(), RuntimeError> {
    let Some(record) = before else { return Ok(()) };
    if record.main_lives() {
        let running = format!("attempt {} still runs as process {}", record.attempt, record.main.pid);
        return Err(failed(format!("could not start {}", order.instance))(std::io::Error::other(running)));
    }
    if !record.supervisor_lives() {
        party::kill(record).await.map_err(failed(format!("could not end what {} left", order.instance)))?;
    }
    Ok(())
}

async fn launch(
    layout: &Layout,
    supervisor: &Path,
    order: &StartOrder,
    before: Option<&Record>,
    lock: InstanceLock,
) -> Result<SocketAddr, RuntimeError> {
    if let Some(record) = before {
        // What closed the lock by itself must not live on beside its successor either.
        clear_the_way(order, before).await?;
        party::kill(record).await.map_err(failed(format!("could not end what {} left", order.instance)))?;
    }
    let dir = layout.instance(&order.instance);
    let mut channel = spawn(supervisor, order, &dir, lock)?;
    let what = format!("could not hand {} to its supervisor", order.instance);
    let text = serde_json::to_vec(&message(layout, order, before).map_err(failed(what.clone()))?);
    let text = text.map_err(|error| failed(what.clone())(error.into()))?;
    // A supervisor that is gone already is found out below, by its missing report.
    let _ = channel.write_all(&text).await;
    let _ = channel.shutdown().await;
    let mut report = Vec::new();
    let read = timeout(REPORT_WITHIN, channel.read_to_end(&mut report)).await;
    read.map_err(std::io::Error::from)
        .flatten()
        .map_err(failed(format!("no report from the supervisor of {}", order.instance)))?;
    conclude(order, &dir, &report)
}

fn spawn(
    supervisor: &Path,
    order: &StartOrder,
    dir: &InstanceDir,
    lock: InstanceLock,
) -> Result<UnixStream, RuntimeError> {
    let attempt = || {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let complaints = std::fs::OpenOptions::new().append(true).create(true).open(dir.supervisor_log())?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        Command::new(supervisor)
            .args(["supervise", &order.instance.to_string()])
            .env_clear()
            .envs(inherited())
            .stdin(lock.into_file())
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(complaints)
            .spawn()?;
        Ok(ours)
    };
    attempt().map_err(failed(format!("could not run {} to supervise {}", supervisor.display(), order.instance)))
}

fn message(layout: &Layout, order: &StartOrder, before: Option<&Record>) -> std::io::Result<Order> {
    let id = &order.instance;
    let copy = |path| layout.copy(&id.service, id.release, path);
    let process = order.spec.process().ok_or_else(|| std::io::Error::other("what it runs is not a process"))?;
    Ok(Order {
        layout: layout.clone(),
        attempt: order.attempt,
        port: before.map(|record| record.port),
        launch: Launch {
            instance: id.clone(),
            run: RunId::random()?,
            port: 0,
            artifact: process.artifact.as_deref().map(copy),
            hook: false,
            spec: process.clone(),
        },
    })
}

fn conclude(order: &StartOrder, dir: &InstanceDir, report: &[u8]) -> Result<SocketAddr, RuntimeError> {
    let instance = order.instance.clone();
    match serde_json::from_slice(report) {
        Ok(Report::Started(port)) => Ok((std::net::Ipv4Addr::LOCALHOST, port).into()),
        Ok(Report::NoProgram(program, cause)) => Err(RuntimeError::Start { instance, program, source: cause.into() }),
        Ok(Report::NoPort(tried)) => Err(RuntimeError::NoPort { instance, tried }),
        Ok(Report::Failed(what, cause)) => Err(failed(format!("could not start {instance}: {what}"))(cause.into())),
        // It died; if that was after the record, then the program may run, and is tracked.
        Err(_) => match Record::read(dir) {
            Ok(Some(record)) if record.attempt == order.attempt => Ok(record.address()),
            _ => Err(failed(format!("could not start {instance}: its supervisor died at the start"))(
                std::io::ErrorKind::UnexpectedEof.into(),
            )),
        },
    }
}

fn still_held(dir: &InstanceDir) -> std::io::Error {
    std::io::Error::other(format!(
        "something that was started for it still lives, and cannot be identified: see `fuser {}`",
        dir.lock().display()
    ))
}
