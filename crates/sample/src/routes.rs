//! Which path is answered by what.

mod events;
mod orders;
mod plain;
mod query;
pub(crate) mod websocket;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use crate::connection::UpgradeSlot;
use crate::faults;
use crate::reply::{self, Reply, text};
use crate::state::State;

/// Answers one request.
pub(crate) async fn answer(state: Arc<State>, slot: UpgradeSlot, request: Request<Incoming>) -> Reply {
    let _in_flight = state.claim();
    let id = reply::request_id(request.headers());
    let mut reply = if request.uri().path() == "/healthz" {
        faults::health(&state)
    } else {
        match faults::strike(&state).await {
            Some(fault) => fault,
            None => route(&state, &slot, request).await,
        }
    };
    reply::sign(&mut reply, &state, id);
    reply
}

async fn route(state: &Arc<State>, slot: &UpgradeSlot, request: Request<Incoming>) -> Reply {
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::POST, "/orders") => orders::place(state, request).await,
        (&Method::POST | &Method::PUT, "/upload") => orders::upload(request).await,
        (&Method::GET, "/orders/count") => orders::count(state),
        (&Method::GET, "/") => plain::home(state),
        (&Method::GET, "/slow") => plain::slow(&request).await,
        (&Method::GET, "/bytes") => plain::bytes(&request),
        (&Method::GET, "/env") => plain::environment(&request),
        (&Method::GET, "/headers") => plain::headers(&request),
        (&Method::GET, "/fail") => text(StatusCode::INTERNAL_SERVER_ERROR, "failed, as asked\n"),
        (&Method::GET, "/events") => events::stream(state, &request),
        (&Method::GET, "/ws") => websocket::accept(slot, request),
        _ => text(StatusCode::NOT_FOUND, "no such page\n"),
    }
}
