//! One GET request on a connection of its own. Redirects are answers like any other, not followed.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use bytes::Bytes;
use cutover_core::table::Protocol;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;

use super::target::{speak, told};
use crate::engine::port::ProbeTarget;

/// How much of a body is searched.
pub const SEARCHED: usize = 64 << 10;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Get<'a> {
    /// Path and query.
    pub path: &'a str,
    /// The `Host` header; the address if not given.
    pub host: Option<&'a str>,
    /// Further headers.
    pub headers: &'a BTreeMap<String, String>,
}

/// A connection that requests go over, one after the other. Closed when dropped.
pub struct Connection {
    pub sender: SendRequest<Empty<Bytes>>,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Asks, and judges the answer. The caller sets the limit.
pub async fn check(get: &Get<'_>, to: &ProbeTarget, status: (u16, u16), body: Option<&str>) -> Result<(), String> {
    let request = request(get, to)?;
    let mut connection = open(to).await?;
    let answer = connection.sender.send_request(request).await.map_err(|error| failure(&error))?;
    judge(answer.status(), status)?;
    match body {
        Some(text) => contains(answer, text).await,
        None => Ok(()),
    }
}

/// Whether a status passes: `answered 500 Internal Server Error instead of 200-399`.
pub fn judge(got: StatusCode, (lowest, highest): (u16, u16)) -> Result<(), String> {
    if (lowest..=highest).contains(&got.as_u16()) {
        return Ok(());
    }
    let wanted = if lowest == highest { lowest.to_string() } else { format!("{lowest}-{highest}") };
    Err(format!("answered {got} instead of {wanted}"))
}

/// Connects, ready for requests.
pub async fn open(to: &ProbeTarget) -> Result<Connection, String> {
    let stream = speak(to, Protocol::Http1).await?;
    let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|error| failure(&error))?;
    // What goes wrong on the connection is told by the request that meets it.
    let driver = tokio::spawn(async move { drop(driver.await) });
    Ok(Connection { sender, driver })
}

/// Builds the request.
pub fn request(get: &Get<'_>, to: &ProbeTarget) -> Result<Request<Empty<Bytes>>, String> {
    let host = get.host.map_or_else(|| to.host(), ToOwned::to_owned);
    let mut builder = Request::get(get.path).header(header::HOST, host).header(header::USER_AGENT, "cutover");
    for (name, value) in get.headers {
        builder = builder.header(name, value);
    }
    builder.body(Empty::new()).map_err(|error| format!("cannot ask for {:?}: {error}", get.path))
}

async fn contains(mut answer: Response<Incoming>, text: &str) -> Result<(), String> {
    let mut read = Vec::new();
    while read.len() < SEARCHED {
        let Some(frame) = answer.body_mut().frame().await else { break };
        let frame = frame.map_err(|error| failure(&error))?;
        read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        read.truncate(SEARCHED);
        if find(&read, text.as_bytes()) {
            return Ok(());
        }
    }
    if text.is_empty() { Ok(()) } else { Err(lacks(text)) }
}

/// The body is not the right one.
pub fn lacks(text: &str) -> String {
    format!("the body does not contain {text:?}")
}

/// Whether a text is in what was read.
pub fn find(read: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && read.windows(text.len()).any(|window| window == text)
}

fn failure(error: &hyper::Error) -> String {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(io) = io {
        told(io)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        told(&io::ErrorKind::UnexpectedEof.into())
    } else if error.is_parse() {
        format!("what it answered is not HTTP: {error}")
    } else {
        error.to_string().to_lowercase()
    }
}
