//! The control socket: HTTP with JSON, for the agent and for whoever may read the state directory.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::stats::Stats;
use cutover_core::table::Table;
use cutover_core::{InstanceId, ServiceName};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};

use super::publish::Control;
use super::{Info, Kind, Problem, Published};
use crate::worker::order::{Order, streams_of};

/// The largest table.
const MAX_TABLE: usize = 16 << 20;

/// Serves control connections until the task is dropped.
pub async fn serve(control: Arc<Control>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(control.clone(), stream));
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(control: Arc<Control>, stream: UnixStream) {
    let service = service_fn(|request| answer(control.clone(), request));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a control connection broke");
    }
}

async fn answer(control: Arc<Control>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let answer = match (&parts.method, path.as_slice()) {
        (&Method::GET, ["v1", "info"]) => json(200, &info(&control)),
        (&Method::GET, ["v1", "table"]) => json(200, &control.shared.live.table().spec),
        (&Method::PUT, ["v1", "table"]) => match put_table(&control, body).await {
            Ok(published) => json(200, &published),
            Err(problem) => refuse(&problem),
        },
        (&Method::GET, ["v1", "stats"]) => json(200, &stats(&control)),
        (&Method::POST, ["v1", "services", name, "mark"]) => mark(&control, name),
        (&Method::POST, ["v1", "instances", id, "close-streams"]) => close(&control, id, parts.uri.query()),
        (&Method::POST, ["v1", "quit"]) => {
            control.quit.notify_one();
            json(202, &info(&control))
        }
        _ => refuse(&control.problem(Kind::NotFound, format!("there is no {} {}", parts.method, parts.uri.path()))),
    };
    Ok(answer)
}

fn json(status: u16, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).expect("our own types have no maps with keys that are not text");
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body))
        .expect("the parts are constant")
}

fn refuse(problem: &Problem) -> Response<Full<Bytes>> {
    json(problem.kind.status(), problem)
}

fn info(control: &Control) -> Info {
    Info {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: control.shared.started,
        generation: control.generation(),
    }
}

async fn put_table(control: &Arc<Control>, body: Incoming) -> Result<Published, Problem> {
    let malformed = |error: &dyn std::fmt::Display| control.problem(Kind::Malformed, format!("not a table: {error}"));
    let body = Limited::new(body, MAX_TABLE).collect().await.map_err(|error| malformed(&error))?.to_bytes();
    let table: Table = serde_json::from_slice(&body).map_err(|error| malformed(&error))?;
    // A task of its own: if the publisher hangs up in the middle, what was begun is finished all the same.
    let publishing = tokio::spawn({
        let control = control.clone();
        async move { control.publish(table).await }
    });
    let generation = publishing.await.map_err(|error| control.problem(Kind::Storage, error.to_string()))??;
    Ok(Published { generation })
}

fn stats(control: &Control) -> Stats {
    let shared = &control.shared;
    let now = shared.now_us();
    Stats {
        started: shared.started,
        generation: control.generation(),
        connections: shared.connections.load(std::sync::atomic::Ordering::Relaxed),
        services: shared.live.services().iter().map(|s| s.counts.stats(&s.spec.name, now)).collect(),
        targets: shared.live.targets().iter().map(|target| target.stats()).collect(),
        certificates: control.certificates.stats(),
    }
}

fn mark(control: &Control, name: &str) -> Response<Full<Bytes>> {
    let table = control.shared.live.table();
    let Some(service) = ServiceName::new(name).ok().and_then(|name| table.service(&name).cloned()) else {
        return refuse(&control.problem(Kind::NotFound, format!("service {name} is not in the table")));
    };
    let before = service.counts.stats(&service.spec.name, control.shared.now_us());
    service.counts.gap.mark();
    json(200, &before)
}

fn close(control: &Control, id: &str, query: Option<&str>) -> Response<Full<Bytes>> {
    let over = query.map_or(Some(0), |query| query.strip_prefix("over_ms=")?.parse().ok());
    let (Ok(instance), Some(over)) = (id.parse::<InstanceId>(), over) else {
        return refuse(&control.problem(Kind::Malformed, format!("cannot read {id} {}", query.unwrap_or_default())));
    };
    let targets = streams_of(&control.shared.live.targets(), &instance);
    let over = Duration::from_millis(over);
    control.order(|| Order::CloseStreams { targets: targets.clone(), over });
    json(202, &info(control))
}
