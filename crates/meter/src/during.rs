//! Measuring while a command runs: `meter --url … -- ./deploy.sh`.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::load::Load;
use crate::report::Report;
use crate::running::{Meter, StartError};

/// The load runs for this long before the command.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long the first answer may take; then the command is run anyway, for it may be what starts the service.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// The load goes on for this long after the command. Scripts return before their effects are over.
const AFTERWARDS: Duration = Duration::from_millis(1500);

/// Why a command was not measured.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is none.
    #[error("there is no command to run")]
    NoCommand,
    /// The load did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The command did not start.
    #[error("could not run {0:?}")]
    Command(OsString, #[source] io::Error),
}

/// Runs a load, and a command in the middle of it, with this process's standard input, output and error. Ctrl-C goes to the
/// command, as the terminal sends it; the measurement goes on until the command has ended.
///
/// # Errors
/// When the load or the command cannot be started.
pub async fn run_during(load: Load, command: &[OsString]) -> Result<(Report, ExitStatus), RunError> {
    let (program, arguments) = command.split_first().ok_or(RunError::NoCommand)?;
    let failed = |error| RunError::Command(program.clone(), error);
    // Taking the signal is enough to survive it.
    let _interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let running = Meter::start_on_thread(load)?;
    tokio::join!(tokio::time::sleep(WARM_UP), running.answers(1, FIRST_ANSWER));
    let status = Command::new(program).args(arguments).status().await.map_err(failed)?;
    tokio::time::sleep(AFTERWARDS).await;
    Ok((running.stop().await, status))
}
