//! Routers: what sends traffic to instances. One folder each.

mod builtin;

pub use builtin::BuiltinRouter;
