//! The table while it is served: the published values together with everything that counts.
//!
//! A published table is immutable and replaced as a whole; what must survive the replacement (claims, counters) lives in
//! targets and services that the next table shares. Each worker keeps the table it saw last and looks at one number per
//! request to learn whether there is a newer one.

pub mod count;
pub mod gap;
pub mod gate;
pub mod group;
pub mod pin;
pub mod process;
pub mod service;
pub mod sync;
pub mod table;
pub mod target;
