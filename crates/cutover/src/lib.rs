//! The `cutover` binary's parts: command line, agent, engine, and the adapters that touch the world.

pub mod config;
pub mod engine;
pub mod init;
pub mod probe;
pub mod runtime;
