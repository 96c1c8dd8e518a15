//! Runs a command, and takes what it prints. It can neither ask nor hang.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

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

/// A command that was begun.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    errors: File,
    printed: Vec<u8>,
}

/// Runs it with this input.
pub(super) async fn run(words: &[String], input: &[u8]) -> io::Result<Output> {
    begin(words)?.finish(input).await
}

/// Begins it. Its standard error goes to a file: a child that goes on in the background (as ssh's does) would keep a pipe open.
pub(super) fn begin(words: &[String]) -> io::Result<Running> {
    let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let errors = tempfile::tempfile()?;
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.try_clone()?);
    Ok(Running { child: command.spawn()?, errors, printed: Vec::new() })
}

impl Running {
    /// Gives it this input, and waits until it has printed something that ends so; `None` if it prints nothing more.
    pub(super) async fn ask(&mut self, input: &[u8], end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Self { child, printed, .. } = self;
        let talk = async {
            let (Some(stdin), Some(stdout)) = (&mut child.stdin, &mut child.stdout) else { return Ok(None) };
            let _ = stdin.write_all(input).await;
            while !printed.ends_with(end) {
                if stdout.read_buf(printed).await? == 0 {
                    return Ok(None);
                }
            }
            Ok(Some(std::mem::take(printed)))
        };
        tokio::time::timeout(PATIENCE, talk).await.map_err(|_| endless())?
    }

    /// Gives it this input, and waits for its end.
    pub(super) async fn finish(mut self, input: &[u8]) -> io::Result<Output> {
        let (stdin, stdout) = (self.child.stdin.take(), self.child.stdout.take());
        let talk = async {
            if let Some(mut stdin) = stdin {
                // One that does not read its input may close it.
                let _ = stdin.write_all(input).await;
            }
            let mut printed = self.printed;
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut printed).await?;
            }
            Ok::<_, io::Error>((self.child.wait().await?, printed))
        };
        let told = tokio::time::timeout(PATIENCE, talk).await;
        let (status, stdout) = told.map_err(|_| endless())??;
        let mut said = Vec::new();
        self.errors.rewind()?;
        self.errors.read_to_end(&mut said)?;
        Ok(Output { status, stdout, stderr: String::from_utf8_lossy(&said).into_owned() })
    }
}

fn endless() -> io::Error {
    io::Error::other(format!("no end within {PATIENCE:?}"))
}
