//! Gives commands, and takes what they say.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cutover::runtime::process::identity::{Handle, ProcessId};
use rustix::process::Signal;
use serde::de::DeserializeOwned;

use super::{Host, LIMIT};

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Told {
    /// Insists on this exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the command ended otherwise:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Insists on each of these words, wherever they were said.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            let said = self.stdout.contains(word) || self.stderr.contains(word);
            assert!(said, "it does not say {word:?}:\n{}\n{}", self.stdout, self.stderr);
        }
        self
    }

    /// The last line of its output, as JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}\n{}", self.stderr))
    }
}

/// A command that runs. It is killed when this is dropped.
pub struct Following {
    child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    said: String,
}

impl Host {
    /// Gives a command and waits for its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Told {
        self.begin(arguments).wait()
    }

    /// Gives a command and insists that it succeeds.
    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> Told {
        self.run(arguments).expect(0)
    }

    /// Gives a command.
    pub fn begin(&self, arguments: &[&str]) -> Following {
        Following::of(&mut self.command(&self.state(), arguments))
    }

    /// Gives a command on another state directory.
    #[track_caller]
    pub fn run_on(&self, state: &Path, arguments: &[&str]) -> Told {
        Following::of(&mut self.command(state, arguments)).wait()
    }

    /// A command on this host, not yet begun.
    pub fn command(&self, state: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary());
        for name in ["CUTOVER_CONFIG", "CUTOVER_ENV", "CUTOVER_STATE"] {
            command.env_remove(name);
        }
        command
            .current_dir(self.root())
            .stdin(Stdio::null())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.arg("--state").arg(state).arg("--config").arg(self.config()).args(arguments);
        command
    }
}

impl Following {
    fn of(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the binary can be run");
        let (to, lines) = channel();
        let stdout = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            let read = BufReader::new(stdout).lines().map_while(Result::ok);
            read.take_while(|line| to.send(line.clone()).is_ok()).for_each(drop);
        });
        let mut stderr = child.stderr.take().expect("it is piped");
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, lines, errors: Some(errors), said: String::new() }
    }

    /// Its process.
    pub fn id(&self) -> Option<ProcessId> {
        ProcessId::of(self.child.id().cast_signed())
    }

    /// The next line of its output; `None` at the end.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        self.line_within(LIMIT)
    }

    #[track_caller]
    fn line_within(&mut self, limit: Duration) -> Option<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => {
                self.said.push_str(&line);
                self.said.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing more was said within {limit:?}; before that:\n{}", self.said)
            }
        }
    }

    /// Reads on until a line contains this.
    #[track_caller]
    pub fn read_to(&mut self, word: &str) -> String {
        while let Some(line) = self.line() {
            if line.contains(word) {
                return line;
            }
        }
        panic!("it ended without saying {word:?}:\n{}", self.said);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(Ok(Some(handle))) = self.id().map(Handle::open) {
            handle.signal(signal).expect("send a signal");
        }
    }

    /// Reads the rest and waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Told {
        while self.line().is_some() {}
        let status = self.status();
        let errors = self.errors.take().map(|thread| thread.join().expect("the reader does not panic"));
        Told { code: status.code(), stdout: std::mem::take(&mut self.said), stderr: errors.unwrap_or_default() }
    }

    #[track_caller]
    fn status(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "it does not end; it said:\n{}", self.said);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops reading what it says, as a consumer that went away.
    pub fn hang_up(mut self) -> Option<i32> {
        drop(std::mem::replace(&mut self.lines, channel().1));
        self.status().code()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
