//! What the engine asks of the world. An adapter is one folder elsewhere; nothing here knows any.

mod hook;
mod journal;
mod metrics;
mod prober;
mod router;
mod runtime;

use std::sync::Arc;

use cutover_core::Timestamp;

pub use hook::{HookFilter, HookKey, HookOrder, HookRun};
pub use journal::{Journal, JournalError};
pub use metrics::{Metrics, Subject};
pub use prober::{ProbeTarget, Prober, SmokeFailure};
pub use router::{Glance, Return, Router, RouterError};
pub use runtime::{
    Adoptable, Cramped, Exit, LogLine, LogStream, Progress, ReleaseOrder, Runtime, RuntimeError, Seen, StartOrder,
    Stopped, Unhealthy,
};

/// The time of day.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Everything outside the engine.
#[derive(Clone)]
pub struct World {
    /// Keeps the journal.
    pub journal: Arc<dyn Journal>,
    /// Starts and stops instances.
    pub runtime: Arc<dyn Runtime>,
    /// Sends traffic to them.
    pub router: Arc<dyn Router>,
    /// Looks at them.
    pub prober: Arc<dyn Prober>,
    /// Has figures about what it does.
    pub metrics: Arc<dyn Metrics>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}
