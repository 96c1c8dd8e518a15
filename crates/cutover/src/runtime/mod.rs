//! Runtimes: what starts and stops instances. One folder each.

mod choose;
pub mod docker;
mod memory;
mod output;
pub mod process;
pub mod sockets;

pub use choose::Runtimes;
