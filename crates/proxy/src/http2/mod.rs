//! HTTP/2 on the side of the clients (RFC 9113), by the h2 library.
//!
//! There is one reading of a request, and it is that of `http`: a stream becomes a connection of HTTP/1.1 with one request ([`request`]
//! writes its head after looking at it as strictly as a proxy must), is served by the very code that serves all others, and its
//! answer is taken apart again ([`answer`]). Nothing is decided here that HTTP/1.1 decides elsewhere: routes, claims,
//! holds, limits, deadlines and retries are the same.
//!
//! What HTTP/2 adds is bounded here ([`connection`]): how many streams, how large a head, how much data waits, and how many
//! requests a client may give up before they are answered.
//!
//! Deliberately absent: HTTP/2 to the instances, trailers of answers, server push, and WebSocket over HTTP/2 (RFC 8441).

mod answer;
pub mod connection;
mod request;
pub mod rewound;
pub mod stream;
