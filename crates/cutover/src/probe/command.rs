//! Runs a command, as a probe or as the smoke test, and nothing of it stays behind: not its children, not its output.
//!
//! The command leads a process group, which is killed when the command has ended, when its time is over, and when nobody
//! waits for it any more. Its group is killed *before* it is waited for: until then its number cannot be another's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cutover_core::unit::duration;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use self::output::Output;
use crate::engine::port::{Exit, ProbeTarget, SmokeFailure};
use crate::runtime::process::identity::{Handle, ProcessId};
use crate::supervise::inherited;

pub(crate) mod output;

/// Runs a command as a probe.
pub async fn check(words: &[String], at: &ProbeTarget, within: Duration) -> Result<(), String> {
    let variables = [
        ("CUTOVER_ADDRESS", at.place()),
        ("CUTOVER_PORT", if at.socket.is_some() { String::new() } else { at.address.port().to_string() }),
        ("CUTOVER_SOCKET", socket(at)),
        ("CUTOVER_RELEASE", at.instance.release.to_string()),
        ("CUTOVER_INSTANCE", at.instance.to_string()),
    ];
    let failure = match run(words, variables, within).await {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let said = failure.log.last().map(|line| format!(": {line}")).unwrap_or_default();
    Err(format!("the command {}{said}", failure.summary))
}

/// Runs the smoke command.
pub async fn smoke(words: &[String], at: &ProbeTarget, within: Duration) -> Result<(), SmokeFailure> {
    let variables = [
        ("CUTOVER_PREVIEW_URL", at.url()),
        ("CUTOVER_SOCKET", socket(at)),
        ("CUTOVER_SERVICE", at.instance.service.to_string()),
        ("CUTOVER_RELEASE", at.instance.release.to_string()),
    ];
    run(words, variables, within).await
}

/// Empty for those that listen on a port.
fn socket(at: &ProbeTarget) -> String {
    at.socket.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}

/// Runs a command for what it writes last; none if it writes nothing. What it writes when it fails is a reason, and no answer.
pub async fn measure<const N: usize>(
    words: &[String],
    variables: [(&str, String); N],
    within: Duration,
) -> Result<Option<String>, String> {
    let failure = match run_for(words, variables, within).await {
        Ok(mut log) => return Ok(log.pop()),
        Err(failure) => failure,
    };
    let said = failure.log.last().map(|line| format!(": {line}")).unwrap_or_default();
    Err(format!("the command {}{said}", failure.summary))
}

async fn run<const N: usize>(
    words: &[String],
    ours: [(&str, String); N],
    within: Duration,
) -> Result<(), SmokeFailure> {
    run_for(words, ours, within).await.map(drop)
}

/// The last lines that it wrote.
async fn run_for<const N: usize>(
    words: &[String],
    ours: [(&str, String); N],
    within: Duration,
) -> Result<Vec<String>, SmokeFailure> {
    let silent = |summary| SmokeFailure { summary, log: Vec::new() };
    let (program, arguments) = words.split_first().ok_or_else(|| silent("is empty".to_owned()))?;
    let mut variables: BTreeMap<OsString, OsString> = inherited();
    let known = ours.into_iter().filter(|(_, value)| !value.is_empty());
    variables.extend(known.map(|(name, value)| (name.into(), value.into())));
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables).stdin(Stdio::null()).process_group(0);
    let (output, mut group) = spawn(command).map_err(|error| silent(cannot_run(program, &error)))?;
    let ended = tokio::select! {
        ended = group.ended() => Some(ended),
        () = tokio::time::sleep(within) => None,
    };
    group.kill();
    let log = output.last_lines().await;
    let summary = match ended {
        Some(Ok(status)) if status.success() => return Ok(log),
        Some(Ok(status)) => told(status),
        Some(Err(error)) => format!("could not be waited for: {error}"),
        None => format!("took longer than {}", duration::text(within)),
    };
    Err(SmokeFailure { summary, log })
}

fn spawn(mut command: Command) -> io::Result<(Output, Group)> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn()?;
    // The command still holds our side of the pipe's writing end, which would keep it open.
    drop(command);
    Ok((Output::read(reader)?, Group(child)))
}

fn cannot_run(program: &str, error: &io::Error) -> String {
    format!("could not be run: {program}: {error}")
}

fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let exit = status.code().map(Exit::Code).or(status.signal().map(Exit::Signal));
    exit.unwrap_or(Exit::Unknown).to_string()
}

/// A command and whatever it started; killed when dropped.
pub(crate) struct Group(pub(crate) Child);

impl Group {
    /// Waits for the command, and kills what it leaves.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.exited().await?;
        self.kill();
        self.0.wait().await
    }

    /// Waits until the command has ended, and leaves it its number.
    pub(crate) async fn exited(&self) -> io::Result<()> {
        let id = self.0.id().and_then(|pid| ProcessId::of(pid.cast_signed()));
        // Without a handle it has ended already, and still bears its number: it was not waited for.
        match id.and_then(|id| Handle::open(id).ok().flatten()) {
            Some(handle) => handle.ended().await,
            None => Ok(()),
        }
    }

    fn kill(&self) {
        // The id is there as long as the command was not waited for; no group of that number means all have left.
        if let Some(pid) = self.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
