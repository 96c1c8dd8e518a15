//! cutover's data plane: a reverse proxy whose table can be replaced under full load without losing a request.
//!
//! [`run()`] is the whole process; [`client::Client`] talks to it through a unix socket. What it serves is one
//! [`Table`](cutover_core::table::Table), published as a whole and acknowledged once it is on disk and in force in every worker. The agent
//! that publishes may crash or be upgraded: the proxy goes on, and starts again from its disk alone.
//!
//! # Where things are
//! - `live`: the table while it is served, its counters, and the claim protocol (`live::gate`) on which every drain rests.
//! - `worker`: one thread per core, each with its own runtime, connections, pool and buffers.
//! - `serve`: HTTP from a client's bytes to an instance and back. `tcp` and `stream`: connections that are only copied.
//! - `tls`: certificates, handshakes and sessions, with clients and with instances. `acme`: certificates that the proxy orders by itself. `socket`: a client's connection, whatever is around it.
//! - `http2`: streams as connections of HTTP/1.1. `http`: the strict HTTP/1.1 codec. `upstream`: connections to instances (TCP, TLS, unix sockets), and streams of HTTP/2.
//! - `route`: which service is meant. `rule`: what is done with a request besides passing it on.
//! - `metrics`: the counters as Prometheus reads them. `log`: access logs. `span`: what is told to those who collect traces.
//! - `succession`: how a running proxy is replaced by another one. `notify`: what systemd is told of it.
//! - `fuzz`: what must hold of the parsers for any bytes at all.
//! - `ring`: how logs and spans leave the workers. `halves`: both directions of a connection, on either side.
//! - `control`: the socket, and the steps of publishing a table. `disk`: the table at rest. `bind`: listening sockets, and the files of those that are unix sockets.
//!
//! # Why it looks like this
//! A general HTTP library costs a task switch or a timer here and a map of fields there, and it reads leniently what a
//! proxy must read strictly. The way of a request is therefore written out: one task, one strict parser, bytes copied once from
//! the read buffer of one socket to the write buffer of the other. The control socket has no such needs and uses hyper.
//!
//! **Invariant:** after the acknowledgement of a table, no request is sent to a target that the table retires. See `live::gate`.
//! **Invariant:** a table change closes no client connection (unless its listener is removed) and no stream.
//! **Invariant:** a process that was replaced follows every table, and what it has in hand counts, until it is done. See `succession`.
//! **Invariant:** a request is sent twice only if that is provably harmless. See `serve::retry`.
//!
//! Deliberately absent: caching. The proxy decides nothing about
//! deployments: what gets traffic is what the table says.

mod acme;
mod bind;
mod check;
mod control;
mod disk;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod halves;
mod http;
mod http2;
mod inbox;
mod live;
mod log;
mod metrics;
mod notify;
mod outward;
mod ring;
mod route;
mod rule;
mod run;
mod serve;
mod socket;
mod span;
mod stream;
mod succession;
mod tcp;
pub mod tls;
mod upstream;
mod worker;

pub use bind::{BindError, unix_socket_is_free};
pub use control::client;
pub use run::{Options, ProxyError, run};
