//! The client of the control socket. One connection per question: questions are rare, and a proxy that was replaced in
//! between is then simply found again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use cutover_core::stats::{ServiceStats, Stats};
use cutover_core::table::Table;
use cutover_core::{Generation, InstanceId, ServiceName};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{Farewell, Published};
pub use super::{Info, Kind, Problem, SOCKET, Upgrade, Upgraded};

/// How long a question may take. Publishing waits for the disk.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a replacement of the proxy may take beyond the time its successor has.
const BEYOND: Duration = Duration::from_secs(20);

/// The pause before a question is asked again, when the proxy was just replaced.
const AGAIN: Duration = Duration::from_millis(5);

/// Why a question was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket, or the conversation broke.
    #[error("the proxy cannot be reached through {}: {reason}", socket.display())]
    NotReachable {
        /// The socket.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The proxy serves a newer table. Nothing changed.
    #[error("the proxy refused generation {offered}: it serves generation {current}")]
    Stale {
        /// What was published.
        offered: Generation,
        /// What is served.
        current: Generation,
    },
    /// The proxy serves another table of the same generation. Nothing changed.
    #[error("the proxy refused generation {generation}: it serves another table of that generation")]
    Conflict {
        /// The generation of both.
        generation: Generation,
    },
    /// The table cannot be served, or an address in it cannot be listened on. Nothing changed.
    #[error("the proxy refused the table: {reason}")]
    Invalid {
        /// Everything that is wrong.
        reason: String,
    },
    /// The proxy could not be replaced. The old one goes on as before.
    #[error("{0}")]
    NotReplaced(String),
    /// The proxy could not do it.
    #[error("the proxy refused: {0}")]
    Refused(String),
    /// The answer cannot be read.
    #[error("the proxy's answer cannot be understood: {0}")]
    Garbled(String),
}

/// A way to ask a proxy.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// For the proxy that listens on this socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// For the proxy that keeps its state in this directory.
    pub fn of_state(state: &Path) -> Self {
        Self::new(state.join(SOCKET))
    }

    /// Who it is.
    pub async fn info(&self) -> Result<Info, ClientError> {
        self.get("/v1/info").await
    }

    /// The table it serves.
    pub async fn table(&self) -> Result<Table, ClientError> {
        self.get("/v1/table").await
    }

    /// Publishes a table. When this returns `Ok`, the table is on the proxy's disk and no request is sent by an older one.
    /// Publishing the same table again is harmless.
    pub async fn publish(&self, table: &Table) -> Result<Generation, ClientError> {
        let published: Published =
            self.ask(Method::PUT, "/v1/table", Some(table)).await.map_err(|error| match error {
                Failure::Problem(Problem { kind: Kind::Stale, current, .. }) => {
                    ClientError::Stale { offered: table.generation, current }
                }
                Failure::Problem(Problem { kind: Kind::Conflict, .. }) => {
                    ClientError::Conflict { generation: table.generation }
                }
                Failure::Problem(Problem {
                    kind: Kind::Invalid | Kind::Unbindable | Kind::Malformed, message, ..
                }) => ClientError::Invalid { reason: message },
                other => other.into(),
            })?;
        Ok(published.generation)
    }

    /// All counters.
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        self.get("/v1/stats").await
    }

    /// All that is told to scrapes.
    pub(crate) async fn counters(&self) -> Result<Stats, ClientError> {
        self.get("/v1/counters").await
    }

    /// The counters of a service; its longest gap begins anew.
    pub async fn mark(&self, service: &ServiceName) -> Result<ServiceStats, ClientError> {
        self.post(&format!("/v1/services/{service}/mark")).await
    }

    /// Ends the streams of an instance, evenly spread over a time. Returns at once; the counters tell when it is done.
    pub async fn close_streams(&self, instance: &InstanceId, over: Duration) -> Result<(), ClientError> {
        let path = format!("/v1/instances/{instance}/close-streams?over_ms={}", over.as_millis());
        self.post::<Info>(&path).await.map(drop)
    }

    /// Has it open its access logs anew, by their names. Returns at once.
    pub async fn reopen(&self) -> Result<(), ClientError> {
        self.post::<Info>("/v1/reopen").await.map(drop)
    }

    /// Asks the proxy to accept nothing new, finish and exit. Returns at once.
    pub async fn quit(&self) -> Result<(), ClientError> {
        self.post::<Info>("/v1/quit").await.map(drop)
    }

    /// Replaces the proxy by another process. When this returns `Ok`, the other one accepts, and the old one does not.
    pub async fn upgrade(&self, upgrade: &Upgrade) -> Result<Upgraded, ClientError> {
        let limit = Duration::from_millis(upgrade.within_ms).saturating_add(BEYOND);
        self.ask_within(limit, Method::POST, "/v1/upgrade", Some(upgrade)).await.map_err(|failure| match failure {
            Failure::Problem(Problem { kind: Kind::NotFound, .. }) => ClientError::NotReplaced(
                "the proxy that runs is of a version that cannot be replaced while it runs; stop it once, and it is started \
                 anew by the agent or the service manager"
                    .to_owned(),
            ),
            Failure::Problem(problem) => ClientError::NotReplaced(problem.message),
            other => other.into(),
        })
    }

    /// Shows a table to a process that leaves.
    pub(crate) async fn follow(&self, table: &Table) -> Result<Generation, ClientError> {
        let published: Published = self.ask(Method::PUT, "/v1/follow", Some(table)).await?;
        Ok(published.generation)
    }

    /// Tells the proxy what a process that leaves has counted, now that it is done.
    pub(crate) async fn farewell(&self, farewell: &Farewell) -> Result<(), ClientError> {
        let _: Info = self.ask(Method::POST, "/v1/farewell", Some(farewell)).await?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.ask(Method::GET, path, None::<&()>).await?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.ask(Method::POST, path, None::<&()>).await?)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Failure> {
        self.ask_within(LIMIT, method, path, body).await
    }

    /// Asks, and asks again when whoever answered is not the proxy any more.
    async fn ask_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Failure> {
        let again = async {
            loop {
                match self.ask_once(method.clone(), path, body).await {
                    Err(Failure::Problem(Problem { kind: Kind::Moved, .. })) => tokio::time::sleep(AGAIN).await,
                    answer => return answer,
                }
            }
        };
        tokio::time::timeout(limit, again).await.map_err(|_| self.unreachable(&"it does not answer"))?
    }

    async fn ask_once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| Failure::Garbled(error.to_string()))?;
        let request = Request::builder().method(method).uri(path).header("host", "proxy");
        let request = request.body(Full::<Bytes>::from(body.unwrap_or_default()));
        let request = request.map_err(|error| Failure::Garbled(error.to_string()))?;
        let (status, answer) = self.exchange(request).await?;
        if status == 200 || status == 202 {
            return serde_json::from_slice(&answer).map_err(|error| Failure::Garbled(error.to_string()));
        }
        match serde_json::from_slice(&answer) {
            Ok(problem) => Err(Failure::Problem(problem)),
            Err(_) => Err(Failure::Garbled(format!("status {status}"))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.unreachable(&error))?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| self.unreachable(&error))?;
        drop(sender);
        connection.abort();
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, reason: &dyn std::fmt::Display) -> Failure {
        Failure::NotReachable { socket: self.socket.clone(), reason: reason.to_string() }
    }
}

/// What can go wrong before it is known what was asked.
#[derive(Debug)]
enum Failure {
    NotReachable { socket: PathBuf, reason: String },
    Problem(Problem),
    Garbled(String),
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotReachable { socket, reason } => Self::NotReachable { socket, reason },
            Failure::Problem(problem) => Self::Refused(problem.message),
            Failure::Garbled(what) => Self::Garbled(what),
        }
    }
}
