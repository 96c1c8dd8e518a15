//! HTTP/2 to the instances of services that want it (RFC 9113, with prior knowledge or inside TLS), by the h2 library.
//!
//! It is the mirror of what is done for clients: a stream looks like a connection of HTTP/1.1 with one request to the code that serves
//! ([`call`]). The head that would go to an instance of HTTP/1.1 is taken apart and said in HTTP/2 ([`message`]); what comes back is written
//! as a head of HTTP/1.1 and read by the one strict parser. So claims, limits, counts and retries are decided where they always are.
//!
//! The connection below, a [`trunk`], carries many streams. Each worker keeps its own ([`trunks`]), opens another when the streams that an
//! instance allows are in use or it says goodbye, and closes them when they are idle or the instance retires.
//!
//! Deliberately absent: server push, `Upgrade: h2c`, and WebSocket to instances that are spoken to like this.

pub mod call;
pub mod message;
pub mod trunk;
pub mod trunks;
