//! The atomics that the claim protocol is written against.
//!
//! The model test compiles `live/gate.rs` a second time beside a `sync` of its own, whose atomics explore interleavings.

pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
