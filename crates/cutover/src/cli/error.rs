//! What a failed command says, and what it exits with.

use std::process::ExitCode;

use cutover_core::Failure;

use crate::client::ClientError;

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// What kind of end it is.
    pub kind: Kind,
    /// What was tried, what came back, and what to do.
    pub failure: Failure,
    /// What is live now, if that is known.
    pub live: Option<String>,
}

/// The kinds of ends, each with an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It could not be tried, or not to its end.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// It was refused before anything had changed.
    Refused,
    /// It was undone, because something failed.
    RolledBack,
    /// It was undone, because somebody asked.
    Aborted,
    /// An undo failed.
    Stuck,
}

impl Kind {
    /// The exit code, as it is documented.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::RolledBack | Self::Aborted => 4,
            Self::Stuck => 5,
        })
    }
}

impl CliError {
    /// An error of some kind.
    pub fn new(kind: Kind, failure: Failure) -> Self {
        Self { kind, failure, live: None }
    }

    /// Something on this machine did not work.
    pub fn io(what: &str, error: &dyn std::error::Error) -> Self {
        Self::new(Kind::Failed, Failure::because(what, error))
    }

    /// The command line makes no sense.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, Failure::new(what))
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        Self::new(Kind::Failed, failure)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem(problem) => {
                let kind = if problem.refusal.is_some() { Kind::Refused } else { Kind::Failed };
                Self { kind, failure: problem.error, live: problem.live }
            }
            ClientError::NoAgent(..) => {
                let failure = Failure::because("could not reach the agent", &error);
                Self::new(Kind::Failed, failure.hint("`cutover agent run` starts one in the foreground"))
            }
            ClientError::Garbled(_) => {
                let failure = Failure::because("could not read the agent's answer", &error);
                Self::new(Kind::Failed, failure.hint("is it another version? `cutover agent stop` lets it leave"))
            }
            ClientError::Broken(_) => {
                let failure = Failure::because("lost the agent", &error);
                Self::new(Kind::Failed, failure.hint("`cutover status` shows what is live"))
            }
        }
    }
}
