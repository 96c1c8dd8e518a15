//! `/events?every=MS&count=N`: numbered server-sent events that end with a farewell, also when the sample stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::mpsc;

use super::query;
use crate::reply::{self, Reply};
use crate::state::{Phase, State};

const EVERY: u64 = 100;

/// Starts a stream: one event at once, then one every `every` milliseconds (default 100), `count` in all (default endless).
pub(super) fn stream<B>(state: &Arc<State>, request: &Request<B>) -> Reply {
    let every = Duration::from_millis(query::number(request, "every").unwrap_or(EVERY).max(1));
    let count = query::number(request, "count").unwrap_or(u64::MAX);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(write(state.clone(), sender, every, count));
    let mut reply = reply::feed(receiver);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

/// Writes the events. Ends by itself when the client is gone, for then nobody receives.
async fn write(state: Arc<State>, sender: mpsc::Sender<Bytes>, every: Duration, count: u64) {
    let mut ticks = tokio::time::interval(every);
    let mut number = 0;
    while number < count {
        tokio::select! {
            _ = ticks.tick() => {}
            () = state.reached(Phase::Stopping) => break,
        }
        number += 1;
        let event = format!("id: {number}\ndata: {number} {}\n\n", state.options.release);
        if sender.send(event.into()).await.is_err() {
            return;
        }
    }
    let _ = sender.send(Bytes::from_static(b"event: end\ndata: end\n\n")).await;
}
