//! Asks through nginx, as a client would, by the URL that the user gave; and reads the marker that tells which state is in
//! force.
//!
//! Deliberately absent: TLS. An `https` URL is for people; nothing is asked there, and nothing is proved by it.

use std::time::Duration;

use bytes::Bytes;
use cutover_core::{InstanceId, ServiceName};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use super::render::{MARKER, MARKER_HEADER, TOKEN_HEADER};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A marker is short; what is longer is somebody's page.
const LONGEST: usize = 64 << 10;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The state that is in force.
    State(String),
    /// An answer with this status, in which no state is named.
    Status(u16),
    /// No answer.
    Nothing(String),
}

/// Where to ask, taken from a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host and port, to connect to.
    authority: String,
    /// The `Host` header.
    host: String,
    /// Path and query.
    path: String,
}

impl Address {
    /// Reads a URL; `None` if nothing can be asked there.
    pub fn of(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        Some(Self { authority, host: host.to_owned(), path: path.to_owned() })
    }
}

/// The secret of one service. It is made from ours, so that a file which others may read does not give that away.
pub fn secret(token: &str, service: &ServiceName) -> String {
    let digest = Sha256::digest(format!("nginx {service} {token}"));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a request on a connection of its own.
pub async fn ask(at: &Address, secret: &str) -> Said {
    match tokio::time::timeout(PATIENCE, exchange(at, secret)).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => Said::Nothing(error.to_string()),
        Err(_) => Said::Nothing(format!("nothing came within {PATIENCE:?}")),
    }
}

async fn exchange(at: &Address, secret: &str) -> Result<Said, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(at.authority.as_str()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _driver = Driver(tokio::spawn(connection));
    let request = Request::get(&at.path).header("host", &at.host).header(TOKEN_HEADER, secret);
    let request = request.header("user-agent", "cutover").header("connection", "close");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = answer.status().as_u16();
    let named = answer.headers().get(MARKER_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if let Some(state) = named {
        return Ok(Said::State(state));
    }
    if status != 200 {
        return Ok(Said::Status(status));
    }
    // A page that never ends is not waited for: a marker comes at once.
    let body = tokio::time::timeout(Duration::from_secs(1), Limited::new(answer.into_body(), LONGEST).collect()).await;
    let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let state = text.strip_prefix(MARKER).map(|state| state.trim().to_owned());
    Ok(state.map_or(Said::Status(status), Said::State))
}

/// Ends the connection with the question.
struct Driver(tokio::task::JoinHandle<hyper::Result<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The first instance that a state names.
pub fn first_named(state: &str) -> Option<InstanceId> {
    state.split([' ', ',']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask() {
        let of = |url: &str| Address::of(url).map(|a| (a.authority, a.host, a.path));
        let wanted = |a: &str, h: &str, p: &str| Some((a.to_owned(), h.to_owned(), p.to_owned()));
        assert_eq!(of("http://shop.example.com"), wanted("shop.example.com:80", "shop.example.com", "/"));
        assert_eq!(of("http://127.0.0.1:8080/a?b"), wanted("127.0.0.1:8080", "127.0.0.1:8080", "/a?b"));
        assert_eq!(of("https://shop.example.com/"), None);
    }

    #[test]
    fn a_state_names_its_instances() {
        assert_eq!(first_named("web.r1.i2 1.2.3.4:5, web.r1.i3 x"), Some("web.r1.i2".parse().unwrap()));
        assert_eq!(first_named("web nobody"), None);
    }

    #[test]
    fn each_service_has_a_secret_of_its_own() {
        let of = |name: &str| secret("token", &ServiceName::new(name).unwrap());
        assert!(of("web") != of("api") && of("web").len() == 16 && !of("web").contains("token"));
    }
}
