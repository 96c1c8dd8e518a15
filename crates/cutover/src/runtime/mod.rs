//! Runtimes: what starts and stops instances. One folder each.

pub mod process;
