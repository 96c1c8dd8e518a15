//! Starts an agent in the background.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cutover_core::Failure;
use tokio::net::UnixStream;

use crate::agent::StateDir;
use crate::runtime::process::identity::{ProcessId, holder_of};

/// How long an agent may take from its start to its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// How long whoever was faster than an agent that has ended may take to say who it is.
const INTRODUCTION: Duration = Duration::from_millis(200);

/// Starts an agent on this state directory, and returns when it answers. If another one was faster, that one will do.
pub async fn launch(state: &Path) -> Result<u32, Failure> {
    let directory = StateDir::open(state).map_err(|error| {
        let failure = Failure::because("could not start an agent", &error);
        Failure { hint: error.hint().map(str::to_owned), ..failure }
    })?;
    let failed = |error: &std::io::Error| Failure::because("could not start an agent", error);
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(directory.log());
    let log = log.map_err(|error| failed(&error))?;
    let said_before = log.metadata().map_or(0, |metadata| metadata.len());
    let executable = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut command = Command::new(executable);
    command.args(["agent", "run", "--detached", "--state"]).arg(directory.path());
    command.current_dir("/").stdin(Stdio::null());
    command.stdout(log.try_clone().map_err(|error| failed(&error))?).stderr(log);
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let (begun, mut alone): (_, Option<Instant>) = (Instant::now(), None);
    loop {
        if UnixStream::connect(directory.socket()).await.is_ok() {
            return Ok(holder_of(&directory.lock()).map_or(child.id(), i32::cast_unsigned));
        }
        let left = child.try_wait().ok().flatten();
        // If another one was faster, this one has ended, and the other may not answer yet either.
        alone = (left.is_some() && !is_held(&directory)).then(|| alone.unwrap_or_else(Instant::now));
        if alone.is_some_and(|since| since.elapsed() > INTRODUCTION) || begun.elapsed() > FIRST_ANSWER {
            return Err(never_answered(&directory, said_before));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether an agent lives there, though it may not answer yet.
fn is_held(directory: &StateDir) -> bool {
    let holder = holder_of(&directory.lock()).and_then(ProcessId::of);
    holder.is_some_and(ProcessId::lives)
}

fn never_answered(directory: &StateDir, said_before: u64) -> Failure {
    let all = std::fs::read(directory.log()).unwrap_or_default();
    let new = String::from_utf8_lossy(&all[usize::try_from(said_before).unwrap_or(0).min(all.len())..]).into_owned();
    let lines: Vec<String> = new.lines().map(str::to_owned).collect();
    let failure = Failure::new("an agent was started, but does not answer").log(lines);
    failure.hint(format!("its log is {}", directory.log().display()))
}
