//! Runs a command, and takes what it prints. It can neither ask nor hang.

use std::io::{Read, Seek};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// How long a command may take. nginx looks names up while it tests its configuration, and may wait for a slow name server.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a command printed, and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text.
    pub stderr: String,
}

impl Output {
    /// What it said last, for a message: its standard error without empty lines.
    pub fn said(&self) -> String {
        let lines = self.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        let said = lines.collect::<Vec<_>>().join("; ");
        if said.is_empty() { format!("it ended with {}", self.status) } else { said }
    }
}

/// Runs it with this input. Its standard error goes to a file: a child that goes on in the background (as ssh's does) would
/// keep a pipe open.
pub(super) async fn run(words: &[String], input: &[u8]) -> std::io::Result<Output> {
    let (program, arguments) = words.split_first().ok_or_else(|| std::io::Error::other("the command is empty"))?;
    let mut errors = tempfile::tempfile()?;
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.try_clone()?);
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let talk = async {
        if let Some(mut stdin) = stdin {
            // One that does not read its input may close it.
            let _ = stdin.write_all(input).await;
        }
        let mut printed = Vec::new();
        if let Some(mut stdout) = stdout {
            stdout.read_to_end(&mut printed).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, printed))
    };
    let told = tokio::time::timeout(PATIENCE, talk).await;
    let (status, stdout) = told.map_err(|_| std::io::Error::other(format!("no end within {PATIENCE:?}")))??;
    let mut said = Vec::new();
    errors.rewind()?;
    errors.read_to_end(&mut said)?;
    Ok(Output { status, stdout, stderr: String::from_utf8_lossy(&said).into_owned() })
}
