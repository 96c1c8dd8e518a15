//! The simulated world, the contract suites and the fixtures that cutover is tested with.
//!
//! [`host`] is the other end: the real binary with real processes, in a directory of its own.
//!
//! [`simulate`] runs the real engine against simulated ports under virtual time. One number, the seed, decides what people
//! ask for, how instances behave, what fails, and when the agent dies; so whatever is found can be seen again.
//!
//! **Invariant.** Nothing here, but for [`host`], looks at the real clock, the network, the disk or a thread: the same seed gives the same run.

mod ask;
pub mod contract;
pub mod coverage;
pub mod faults;
pub mod fixture;
pub mod host;
pub mod invariants;
pub mod scenario;
pub mod script;
pub mod seed;
pub mod simulation;
pub mod soak;
pub mod sweep;
pub mod world;

pub use simulation::{Broken, Report, Run, simulate};
