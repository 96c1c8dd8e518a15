//! The side of the instances: idle connections, and opening new ones.

pub mod connect;
pub mod pool;
