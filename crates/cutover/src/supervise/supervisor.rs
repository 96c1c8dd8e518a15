//! From the order to the running program, and then to its end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use super::watch::Watch;
use super::{channel, complain, null, port};
use crate::runtime::process::identity::{ProcessId, boot};
use crate::runtime::process::layout::InstanceDir;
use crate::runtime::process::order::{Launch, Order, Report};
use crate::runtime::process::record::{Ending, Record};
use crate::runtime::process::{durable, lock};

/// Above the numbers that shell scripts like to use for their own files.
const LOCK_DESCRIPTOR: i32 = 10;

pub fn main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("the supervisor gave up: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn supervise() -> io::Result<()> {
    let lock = settle_in()?;
    let mut agent = channel(io::stdout())?;
    rustix::stdio::dup2_stdout(null()?)?;
    let Some(order) = receive(&mut agent)? else { return Ok(()) };
    let instance = order.layout.instance(&order.launch.instance);
    match start(order, &instance) {
        Ok((record, launch)) => {
            report(agent, &Report::Started(record.port));
            // Only the log settings matter from here on.
            let logs = launch.spec.logs.clone();
            drop(launch);
            let exit = Watch::new(&record, &instance, logs)?.until_exit()?;
            // It may be gone with its folder; whoever starts it again looks once more.
            let _ = record.remove_socket();
            durable::write(&instance.exit(), &Ending { run: record.run, exit })?;
        }
        Err(refusal) => {
            durable::remove(&instance.record())?;
            report(agent, &refusal);
        }
    }
    drop(lock);
    Ok(())
}

/// Leaves the agent's session and working directory, and keeps the lock where the program will inherit it.
fn settle_in() -> io::Result<OwnedFd> {
    rustix::process::setsid()?;
    // Orphans of the program come to us, so that they can still be recognised as its descendants.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    std::env::set_current_dir("/")?;
    let lock = rustix::io::fcntl_dupfd_cloexec(io::stdin(), LOCK_DESCRIPTOR)?;
    rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty())?;
    rustix::stdio::dup2_stdin(null()?)?;
    Ok(lock)
}

/// `None` if the agent died before it had said everything.
fn receive(agent: &mut UnixStream) -> io::Result<Option<Order>> {
    let mut text = Vec::new();
    agent.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// The agent may be gone; then it finds the record instead.
fn report(mut agent: UnixStream, report: &Report) {
    let _ = serde_json::to_vec(report).map(|text| agent.write_all(&text));
}

fn start(order: Order, dir: &InstanceDir) -> Result<(Record, Launch), Report> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| Report::Failed(what, error.into())
    };
    let Order { layout, attempt, port: before, mut launch } = order;
    let (main, mut gate) = spawn_entry(&launch, dir).map_err(failed("could not make a process for the program"))?;
    let record = {
        // Until the record is written, nobody else may choose: the record is what reserves the port.
        let _choosing = lock::take_waiting(&layout.ports_lock()).map_err(failed("could not lock the port numbers"))?;
        launch.port = port::choose(&layout, &launch.spec.ports, before).map_err(Report::NoPort)?;
        let record = record(&launch, attempt, main).map_err(failed("could not identify the program's process"))?;
        record.write(dir).map_err(failed("could not write the instance's record"))?;
        record.remove_socket().map_err(failed("could not remove the socket that lies in its place"))?;
        record
    };
    let refused = let_loose(&launch, &mut gate).map_err(failed("could not hand the program its settings"))?;
    refused.map_or(Ok((record, launch)), Err)
}

/// Makes the process that will be the program, waiting for its launch on the returned socket.
fn spawn_entry(launch: &Launch, dir: &InstanceDir) -> io::Result<(ProcessId, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let user = launch.spec.user.as_deref();
    let child = Command::new("/proc/self/exe")
        .arg0("cutover")
        .args(["supervise", "program", &launch.instance.to_string()])
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(log(&dir.stdout(), user)?)
        .stderr(log(&dir.stderr(), user)?)
        .spawn()?;
    let id = ProcessId::of(child.id().cast_signed()).ok_or(io::ErrorKind::NotFound)?;
    Ok((id, ours))
}

/// Opens a log for appending. It belongs to the program's user, who may want to open `/dev/stdout` by name.
fn log(path: &Path, user: Option<&str>) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let user = user.and_then(|name| nix::unistd::User::from_name(name).ok().flatten());
    if let Some(user) = user {
        std::os::unix::fs::fchown(&file, Some(user.uid.as_raw()), None)?;
    }
    Ok(file)
}

fn record(launch: &Launch, attempt: u32, main: ProcessId) -> io::Result<Record> {
    let own = ProcessId::of(std::process::id().cast_signed()).ok_or(io::ErrorKind::NotFound)?;
    Ok(Record {
        instance: launch.instance.clone(),
        attempt,
        run: launch.run.clone(),
        boot: boot()?,
        supervisor: own,
        main,
        port: launch.port,
        socket: launch.socket(),
    })
}

/// Sends the launch, and waits until the entry has become the program or tells why not. The socket is closed by exec.
fn let_loose(launch: &Launch, gate: &mut UnixStream) -> io::Result<Option<Report>> {
    gate.write_all(&serde_json::to_vec(launch)?)?;
    gate.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    gate.read_to_end(&mut answer)?;
    if answer.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&answer)?)) }
}
