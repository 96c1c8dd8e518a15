//! HTTP/1.1 on the wire: one strict reading of requests and answers, and one canonical writing.
//!
//! The proxy has its own codec because the two ends of a proxy must never read one message in two ways (request smuggling).
//! A lenient parser with a strict one in front of it would be two readings again. What is not plainly right is refused:
//! both `Content-Length` and `Transfer-Encoding`, repeated lengths, folded lines, bare CR or LF, spaces before the colon.
//! Everything here works on byte slices: no sockets, no clock, nothing async.
//!
//! Deliberately absent: HTTP/2, which has a module of its own and comes through here, and any change of what a message says (no compression, no caching, no rewriting of paths).

pub mod body;
pub mod chunk;
pub mod field;
pub mod grpc;
pub mod head;
pub mod request;
pub mod response;
pub mod trailer;
