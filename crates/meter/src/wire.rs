//! HTTP/1.1 on a raw TCP connection, read strictly (RFC 9112).
//!
//! Nothing is ever sent a second time, and nothing that a server does wrong is tolerated: conflicting lengths, bytes
//! after the end of an answer, an upgrade that nobody asked for are all failures. Deliberately absent: a connection pool,
//! redirects, compression, TLS. A library that has these may also retry, and would hide what is to be measured.

mod body;
mod connection;
mod head;
mod request;

pub(crate) use body::Decoder;
pub(crate) use connection::Wire;
pub(crate) use head::Head;
pub(crate) use request::Template;
