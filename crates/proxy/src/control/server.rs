//! The control socket: HTTP with JSON, for the agent and for whoever may read the state directory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::table::Table;
use cutover_core::{InstanceId, ServiceName};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::publish::Control;
use super::{Info, Kind, Problem, Published, Upgrade};
use crate::notify;
use crate::succession::{hand_over, leaving};

/// The largest table.
const MAX_TABLE: usize = 16 << 20;

/// Whom a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Whoever wants the proxy. Once this process is not the proxy, it answers nothing there.
    Main,
    /// The proxy that came after this one.
    Leaving,
}

/// Serves control connections until the task is aborted.
pub fn begin(control: Arc<Control>, door: Door, listener: UnixListener) -> JoinHandle<()> {
    tokio::spawn(serve(control, door, listener))
}

async fn serve(control: Arc<Control>, door: Door, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(control.clone(), door, stream));
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(control: Arc<Control>, door: Door, stream: UnixStream) {
    control.conversations.fetch_add(1, SeqCst);
    let service = service_fn(|request| answer(control.clone(), door, request));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a control connection broke");
    }
    control.conversations.fetch_sub(1, SeqCst);
}

type Answer = Response<Full<Bytes>>;

async fn answer(control: Arc<Control>, door: Door, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let answer = match door {
        Door::Main if control.has_left() => Err(control.moved()),
        Door::Main => as_proxy(&control, request).await,
        Door::Leaving => as_leaving(&control, request).await,
    };
    Ok(answer.unwrap_or_else(|problem| json(problem.kind.status(), &problem)))
}

async fn as_proxy(control: &Arc<Control>, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    Ok(match (&parts.method, path.as_slice()) {
        (&Method::GET, ["v1", "info"]) => json(200, &info(control)),
        (&Method::GET, ["v1", "table"]) => json(200, &control.shared.live.table().spec),
        (&Method::PUT, ["v1", "table"]) => {
            let table: Table = read(control, "a table", body).await?;
            // If the publisher hangs up in the middle, what was begun is finished all the same.
            let generation = to_its_end(control, |control| async move { control.publish(table).await }).await?;
            json(200, &Published { generation })
        }
        (&Method::GET, ["v1", "stats"]) => json(200, &control.stats().await?),
        (&Method::GET, ["v1", "counters"]) => json(200, &control.counters.in_all().await),
        (&Method::POST, ["v1", "services", name, "mark"]) => json(200, &control.mark(&service(control, name)?).await?),
        (&Method::POST, ["v1", "instances", id, "close-streams"]) => {
            let (instance, over) = streams(control, id, parts.uri.query())?;
            control.close_streams(&instance, over).await?;
            json(202, &info(control))
        }
        (&Method::POST, ["v1", "upgrade"]) => {
            let wanted: Upgrade = read(control, "a wish for a successor", body).await?;
            json(200, &to_its_end(control, |control| async move { hand_over(&control, &wanted).await }).await?)
        }
        (&Method::POST, ["v1", "farewell"]) => {
            control.farewell(read(control, "a farewell", body).await?)?;
            json(200, &info(control))
        }
        (&Method::POST, ["v1", "reopen"]) => {
            control.shared.live.logs().reopen();
            json(202, &info(control))
        }
        (&Method::POST, ["v1", "quit"]) => quit(control),
        _ => return Err(nothing_there(control, &parts)),
    })
}

/// What a process that was replaced answers to the one that is the proxy now. It speaks for itself alone.
async fn as_leaving(control: &Arc<Control>, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    Ok(match (&parts.method, path.as_slice()) {
        (&Method::GET, ["v1", "info"]) => json(200, &info(control)),
        (&Method::GET, ["v1", "stats"]) => json(200, &control.own_in_full()),
        (&Method::PUT, ["v1", "follow"]) => {
            let table = whole(control, "a table", body).await?;
            let follow = |control: Arc<Control>| async move { control.follow(&table).await };
            let generation = to_its_end(control, follow).await?;
            json(200, &Published { generation })
        }
        (&Method::POST, ["v1", "services", name, "mark"]) => {
            let unknown = || control.problem(Kind::NotFound, format!("service {name} is not in the table"));
            json(200, &control.mark_own(&service(control, name)?).ok_or_else(unknown)?)
        }
        (&Method::POST, ["v1", "instances", id, "close-streams"]) => {
            let (instance, over) = streams(control, id, parts.uri.query())?;
            control.close_own_streams(&instance, over);
            json(202, &info(control))
        }
        (&Method::POST, ["v1", "quit"]) => quit(control),
        _ => return Err(nothing_there(control, &parts)),
    })
}

fn nothing_there(control: &Control, parts: &Parts) -> Problem {
    control.problem(Kind::NotFound, format!("there is no {} {}", parts.method, parts.uri.path()))
}

fn quit(control: &Control) -> Answer {
    control.quit.notify_one();
    json(202, &info(control))
}

async fn read<T: DeserializeOwned>(control: &Control, what: &str, body: Incoming) -> Result<T, Problem> {
    let body = whole(control, what, body).await?;
    serde_json::from_slice(&body).map_err(|error| control.malformed(what, &error))
}

async fn whole(control: &Control, what: &str, body: Incoming) -> Result<Bytes, Problem> {
    let body =
        Limited::new(body, MAX_TABLE).collect().await.map_err(|error| control.malformed(what, error.as_ref()))?;
    Ok(body.to_bytes())
}

/// Does something in a task of its own, so that it does not depend on who waits for it.
async fn to_its_end<T: Send + 'static, F: Future<Output = Result<T, Problem>> + Send + 'static>(
    control: &Arc<Control>,
    what: impl FnOnce(Arc<Control>) -> F,
) -> Result<T, Problem> {
    let doing = tokio::spawn(what(control.clone()));
    doing.await.map_err(|error| control.problem(Kind::Storage, error.to_string()))?
}

fn json(status: u16, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).expect("our own types have no maps with keys that are not text");
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body))
        .expect("the parts are constant")
}

fn info(control: &Control) -> Info {
    Info {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: control.shared.started,
        generation: control.generation(),
        supervised: notify::is_supervised(),
        leaving: leaving::listed(control.state()),
    }
}

fn service(control: &Control, name: &str) -> Result<ServiceName, Problem> {
    let unknown = |_| control.problem(Kind::NotFound, format!("service {name} is not in the table"));
    ServiceName::new(name).map_err(unknown)
}

fn streams(control: &Control, id: &str, query: Option<&str>) -> Result<(InstanceId, Duration), Problem> {
    let over = query.map_or(Some(0), |query| query.strip_prefix("over_ms=")?.parse().ok());
    let (Ok(instance), Some(over)) = (id.parse::<InstanceId>(), over) else {
        let message = format!("cannot read {id} {}", query.unwrap_or_default());
        return Err(control.problem(Kind::Malformed, message));
    };
    Ok((instance, Duration::from_millis(over)))
}
