//! HTTP/2 on the side of the clients (RFC 9113), by the h2 library.
//!
//! There is one reading of a request, and it is that of `http`: a stream becomes a connection of HTTP/1.1 with one request ([`request`]
//! writes its head after looking at it as strictly as a proxy must), is served by the very code that serves all others, and its
//! answer is taken apart again ([`answer`]). Nothing is decided here that HTTP/1.1 decides elsewhere: routes, claims,
//! holds, limits, deadlines and retries are the same. On the side of the instances, `upstream::http2` does the same the other way round; both
//! carry bodies and trailers through [`inflow`] and [`outflow`].
//!
//! What HTTP/2 adds is bounded here ([`connection`]): how many streams, how large a head, how much data waits, and how many
//! requests a client may give up before they are answered.
//!
//! Deliberately absent: server push, and tunnels other than WebSocket ([`websocket`]).

mod answer;
pub mod connection;
pub mod inflow;
pub mod outflow;
mod request;
pub mod rewound;
pub mod stream;
mod websocket;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Adds a field of HTTP/1.1, which was read strictly. What HTTP/2 cannot say is left out.
pub fn append(fields: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        fields.append(name, value);
    }
}
