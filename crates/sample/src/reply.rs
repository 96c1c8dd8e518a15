//! How an answer is put together: a body, and the headers that say who gave it.

use bytes::Bytes;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

use crate::body::Answer;
use crate::state::State;

const SERVICE: HeaderName = HeaderName::from_static("x-sample-service");
const RELEASE: HeaderName = HeaderName::from_static("x-sample-release");
const INSTANCE: HeaderName = HeaderName::from_static("x-sample-instance");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An answer on its way out.
pub(crate) type Reply = Response<Answer>;

/// A text with a status.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    let mut reply = Response::new(Answer::Text(Bytes::from(text.into())));
    *reply.status_mut() = status;
    reply
}

/// A text with status 200.
pub(crate) fn ok(text: impl Into<String>) -> Reply {
    self::text(StatusCode::OK, text)
}

/// A body that another task feeds.
pub(crate) fn feed(feed: mpsc::Receiver<Bytes>) -> Reply {
    Response::new(Answer::Feed(feed))
}

/// Adds who answered, the id of the request when it had one, and when stopping that this answer is the last.
pub(crate) fn sign(reply: &mut Reply, state: &State, request_id: Option<HeaderValue>) {
    let headers = reply.headers_mut();
    put(headers, SERVICE, &state.options.service);
    put(headers, RELEASE, &state.options.release);
    put(headers, INSTANCE, &state.instance);
    if let Some(id) = request_id {
        headers.insert(REQUEST_ID, id);
    }
    if state.is_stopping() {
        // Else a client that never pauses could keep a stopping sample alive for ever.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The request's id header.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(REQUEST_ID).cloned()
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // A label that cannot be a header's value is left out rather than failing the request.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
