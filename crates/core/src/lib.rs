//! What cutover decides, without doing any of it.
//!
//! This crate holds the words (ids, specifications), the route table that the proxy serves, the planner, the deployment
//! machine and the rules it follows (readiness, drain, back-off). It has no I/O, no clock and no randomness: time comes in
//! as a [`Timestamp`], observations come in as values, and the answers are values too. That is why one rule serves the
//! live engine, the replay after a crash, `cutover plan` and the simulation.

pub mod acme;
pub mod failure;
pub mod histogram;
pub mod id;
pub mod listen;
pub mod machine;
pub mod pin;
pub mod plan;
pub mod proof;
pub mod release;
pub mod rule;
pub mod rules;
pub mod spec;
pub mod spread;
pub mod stats;
pub mod table;
pub mod tls;
pub mod trail;
pub mod unit;

pub use failure::Failure;
pub use id::{DeploymentId, Generation, InstanceId, ReleaseNo, ServiceName};
pub use release::Release;
pub use unit::{ByteSize, Timestamp};
