//! Routers: what sends traffic to instances. One folder each.

mod builtin;
mod choose;
pub mod nginx;

pub use builtin::BuiltinRouter;
pub use choose::Routers;
