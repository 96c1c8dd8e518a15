//! The engine: carries out what the core decides, and records before it acts.

pub mod port;
