//! Speaks to the agent of this machine, and starts one if none runs.

mod launch;

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use cutover_core::Failure;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

pub use launch::launch;

use crate::agent::api::Problem;

/// A way to the agent. Each call makes a connection of its own: they are rare, and nothing is then left to go stale.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    /// If set, an agent that is gone is started again on this state directory.
    revives: Option<PathBuf>,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no agent answers on {}", .0.display())]
    NoAgent(PathBuf, #[source] std::io::Error),
    /// The connection broke.
    #[error("the agent did not answer")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What came back is not what was asked for: the agent is of another version, perhaps.
    #[error("the agent's answer cannot be understood")]
    Garbled(#[source] serde_json::Error),
    /// The agent said no.
    #[error("{}", .0.error)]
    Problem(Box<Problem>),
}

impl Client {
    /// A way to the agent of this state directory.
    pub fn new(state: &Path) -> Self {
        Self { socket: state.join("agent.sock"), revives: None }
    }

    /// The same, for whom an agent is started again that dies between two calls.
    #[must_use]
    pub fn reviving(self, state: &Path) -> Self {
        Self { revives: Some(state.to_owned()), ..self }
    }

    /// Asks for something; once more, if the agent died over it and may be started again.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        match self.get_once(path).await {
            Err(ClientError::Broken(_)) if self.revives.is_some() => self.get_once(path).await,
            answer => answer,
        }
    }

    async fn get_once<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        read(answer).await
    }

    /// Asks for something to be done.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        let answer = self.send(Method::POST, path, body.into()).await?;
        read(answer).await
    }

    /// Asks for something that comes line by line.
    pub async fn lines<T: DeserializeOwned>(&self, path: &str) -> Result<Lines<T>, ClientError> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        if answer.status() != StatusCode::OK {
            return Err(problem(answer).await);
        }
        Ok(Lines { body: answer.into_body(), read: BytesMut::new(), of: std::marker::PhantomData })
    }

    /// Nothing has been asked yet: where nobody listens, an agent may be started, and asked instead.
    async fn connect(&self) -> std::io::Result<UnixStream> {
        match (UnixStream::connect(&self.socket).await, &self.revives) {
            (Err(error), Some(state)) => match launch(state).await {
                Ok(_) => UnixStream::connect(&self.socket).await,
                Err(_) => Err(error),
            },
            (connected, _) => connected,
        }
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        let stream = self.connect().await.map_err(|error| ClientError::NoAgent(self.socket.clone(), error))?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "cutover")
            .header("content-type", "application/json");
        let request = request.body(Full::new(body)).map_err(broken)?;
        sender.send_request(request).await.map_err(broken)
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken(error.into())
}

async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ClientError> {
    if answer.status() != StatusCode::OK {
        return Err(problem(answer).await);
    }
    let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
    serde_json::from_slice(&body).map_err(ClientError::Garbled)
}

async fn problem(answer: Response<Incoming>) -> ClientError {
    let status = answer.status();
    let body = match answer.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return broken(error),
    };
    let told = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&body);
        Problem { error: Failure::new(format!("the agent answered {status}: {text}")), refusal: None, live: None }
    });
    ClientError::Problem(Box::new(told))
}

/// Values that come line by line.
pub struct Lines<T> {
    body: Incoming,
    read: BytesMut,
    of: std::marker::PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// The next value; `None` when there are no more.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return serde_json::from_slice(&line).map(Some).map_err(ClientError::Garbled);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(error)),
                Some(Ok(frame)) => self.read.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            }
        }
    }
}
