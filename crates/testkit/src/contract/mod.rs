//! What every implementation of a port must do, the simulated ones included: an adapter's tests call these.

mod journal;
mod runtime;

pub use journal::journal;
pub use runtime::{Programs, runtime};
