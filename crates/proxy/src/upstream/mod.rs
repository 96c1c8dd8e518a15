//! The side of the instances: connections, in the clear or in TLS, idle ones, opening new ones, and streams of those that carry many.

pub mod connect;
pub mod http2;
pub mod link;
pub mod pool;
pub mod wire;
