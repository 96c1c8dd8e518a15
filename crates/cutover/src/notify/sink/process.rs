//! Runs a program that takes a message on its standard input.
//!
//! What it leaves in the background is not ended with it, as that of a probe would be: a mailer may hand over its message there.
//! One that takes too long is killed with all its children.

use std::io;
use std::process::Stdio;

use cutover_core::Failure;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::engine::port::Exit;
use crate::probe::command::output::Output;
use crate::supervise::inherited;

/// How a program ended: its status if it has one, and what it wrote last.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) said: String,
}

/// Runs it to its end. The caller sets the limit: dropping this kills it.
pub(super) async fn run(words: &[String], variables: &[(&str, String)], input: &[u8]) -> Result<Ended, Failure> {
    let (program, arguments) = words.split_first().ok_or_else(|| Failure::new("there is no program to run"))?;
    let failed = |error: io::Error| Failure::because(format!("{program} could not be run"), &error);
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(inherited()).process_group(0).stdin(Stdio::piped());
    // No variable can hold a NUL; whoever asked for a deployment may have a strange name.
    command.envs(variables.iter().map(|(name, value)| (name, value.replace('\0', ""))));
    let (mut running, output) = spawn(command).map_err(failed)?;
    if let Some(mut stdin) = running.0.stdin.take() {
        // A program may well not want to read it.
        let _ = stdin.write_all(input).await;
    }
    let status = running.0.wait().await.map_err(failed)?;
    let last = output.last_lines().await.pop().map(|line| format!(": {line}")).unwrap_or_default();
    let exit = {
        use std::os::unix::process::ExitStatusExt;
        status.code().map(Exit::Code).or(status.signal().map(Exit::Signal)).unwrap_or(Exit::Unknown)
    };
    Ok(Ended { code: status.code(), said: format!("{exit}{last}") })
}

fn spawn(mut command: Command) -> io::Result<(Running, Output)> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn()?;
    // The command still holds our side of the pipe's writing end, which would keep it open.
    drop(command);
    Ok((Running(child), Output::read(reader)?))
}

/// A program that runs; killed with its group when this is dropped before its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The id is there as long as it was not waited for.
        if let Some(pid) = self.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
