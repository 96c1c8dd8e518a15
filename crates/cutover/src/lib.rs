//! The `cutover` binary's parts: command line, agent, engine, and the adapters that touch the world.
//!
//! ```text
//! cli ──▶ client ══ socket ══▶ agent ──▶ engine ──▶ ports ◀── store · runtime · router · probe
//! ```

pub mod accessory;
pub mod agent;
pub mod cli;
pub mod client;
pub mod compose;
pub mod config;
pub mod engine;
pub(crate) mod figure;
pub mod image;
pub mod init;
pub mod metric;
pub mod notify;
pub mod probe;
pub mod router;
pub mod runtime;
pub mod store;
pub mod supervise;
