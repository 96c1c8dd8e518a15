//! Why there is no new certificate, for whoever has to do something about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use cutover_core::failure::reasons;
use instant_acme::Problem;

use super::upkeep::LIMIT;
use crate::tls::roots::RootsError;

/// Why an attempt came to nothing. Completes "tried 3 times since 1 hour ago, the last time …".
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It could not be spoken to.
    #[error("{directory} could not be reached: {why}")]
    Unreachable {
        /// Its directory.
        directory: String,
        /// Why not.
        why: String,
    },
    /// It said no.
    #[error("the authority refused: {0}")]
    Refused(String),
    /// It said: not now.
    #[error("the authority allows no more for now: {0}")]
    Limited(String),
    /// It could not see that the name is ours.
    #[error("the authority could not see by {challenge} that {name} is ours: {why}{hint}")]
    Unproven {
        /// The name.
        name: String,
        /// How it tried.
        challenge: &'static str,
        /// What it said.
        why: String,
        /// What to look at.
        hint: &'static str,
    },
    /// It did not come about in time.
    #[error("the authority was not done within {} minutes", .0.as_secs() / 60)]
    Slow(Duration),
    /// Something of ours cannot be read or written.
    #[error("{} cannot be used: {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nobody says who it is.
    #[error("nobody could be believed: {0}")]
    Unbelieved(#[from] RootsError),
    /// What it gave is of no use.
    #[error("what the authority gave cannot be used: {0}")]
    Useless(String),
    /// Something that should not happen.
    #[error("it broke off: {0}")]
    Odd(String),
}

impl Trouble {
    /// Something of ours cannot be read or written.
    pub fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { path, source }
    }

    /// What the library says.
    pub fn of(error: instant_acme::Error, directory: &str) -> Self {
        match error {
            instant_acme::Error::Api(problem) if is(&problem, "rateLimited") => Self::Limited(said(&problem)),
            instant_acme::Error::Api(problem) => Self::Refused(said(&problem)),
            instant_acme::Error::Timeout(_) => Self::Slow(LIMIT),
            instant_acme::Error::Http(_) | instant_acme::Error::Other(_) | instant_acme::Error::InvalidUri(_) => {
                Self::Unreachable { directory: directory.to_owned(), why: reasons(&error) }
            }
            // An authority that is being repaired answers with a page.
            instant_acme::Error::Json(error) => Self::Odd(format!("its answer cannot be read: {error}")),
            error => Self::Odd(reasons(&error)),
        }
    }

    /// Whether the authority does not know the account any more.
    pub fn is_without_account(error: &instant_acme::Error) -> bool {
        matches!(error, instant_acme::Error::Api(problem) if is(problem, "accountDoesNotExist"))
    }
}

fn is(problem: &Problem, wanted: &str) -> bool {
    kind(problem) == Some(wanted)
}

/// The last part of its name (RFC 8555, 6.7).
fn kind(problem: &Problem) -> Option<&str> {
    problem.r#type.as_deref()?.rsplit(':').next()
}

/// The authority's words, with those about single names, in one line.
pub fn said(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("it gave no reason");
    let kind = kind(problem).unwrap_or("unknown");
    let more: Vec<&str> = problem.subproblems.iter().filter_map(|part| part.detail.as_deref()).collect();
    let more = if more.is_empty() { String::new() } else { format!("; {}", more.join("; ")) };
    let line = format!("{detail} ({kind}){more}");
    // It ends up in a line of a terminal, and comes from elsewhere.
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect()
}
