//! Connections that are only copied: after an upgrade, and for TCP routes.

pub mod preamble;
pub mod tunnel;
pub mod websocket;
