//! What the engine says when it does not do as it is asked.

use bollard::errors::Error;
use cutover_core::Failure;

/// Whether it says that there is no such thing.
pub fn is_missing(error: &Error) -> bool {
    status(error) == Some(404)
}

/// Whether it is so already.
pub fn is_so(error: &Error) -> bool {
    status(error) == Some(304)
}

/// Whether something else stands in the way: a name that is taken, a container that is not running.
pub fn is_conflict(error: &Error) -> bool {
    status(error) == Some(409)
}

/// Its status; `None` if it did not answer.
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// A failure with the engine's own words.
pub fn refused(what: impl Into<String>, error: &Error) -> Failure {
    let what = what.into();
    match error {
        Error::DockerResponseServerError { message, .. } => Failure::new(format!("{what}: {}", message.trim())),
        error => super::connect::lost(what, error),
    }
}
