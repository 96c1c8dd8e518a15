//! Serving HTTP: from a client's bytes to an instance and back.
//!
//! One task per client connection does all of it, one request after the other: read the head ([`connection`]), route it and
//! buffer a small body ([`request`]), claim a target ([`claim`]), send and relay ([`exchange`], with [`upload`] for the way
//! there and [`answer`] for the way back), and settle ([`settle`]). No task is spawned and no timer armed for a request.

pub mod answer;
pub mod challenge;
pub mod claim;
pub mod connection;
pub mod exchange;
pub mod forward;
pub mod https;
pub mod ident;
pub mod over;
pub mod patience;
pub mod pin;
pub mod progress;
pub mod reach;
pub mod record;
pub mod refuse;
pub mod request;
pub mod retry;
pub mod settle;
pub mod upload;
