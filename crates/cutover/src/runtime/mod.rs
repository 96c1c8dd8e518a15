//! Runtimes: what starts and stops instances. One folder each.

mod choose;
pub mod docker;
pub mod process;
pub mod sockets;

pub use choose::Runtimes;
