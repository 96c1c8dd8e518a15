//! What the engine asks of the world. An adapter is one folder elsewhere; nothing here knows any.

mod prober;
mod runtime;

pub use prober::{ProbeTarget, Prober, SmokeFailure};
pub use runtime::{Exit, ReleaseOrder, Runtime, RuntimeError, Seen, StartOrder, Stopped};
