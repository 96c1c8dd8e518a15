//! The routes that need nothing but the request.

use std::fmt::Write;
use std::time::Duration;

use hyper::{Request, Response, StatusCode};

use super::query;
use crate::body::Answer;
use crate::reply::{Reply, ok, text};
use crate::state::State;

pub(super) fn home(state: &State) -> Reply {
    ok(format!("{} release {} instance {}\n", state.options.service, state.options.release, state.instance))
}

/// `/slow?ms=`: an answer after this many milliseconds.
pub(super) async fn slow<B>(request: &Request<B>) -> Reply {
    let wait = query::number(request, "ms").unwrap_or(1000);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    ok(format!("after {wait} ms\n"))
}

/// `/bytes?n=`: an answer of this many bytes.
pub(super) fn bytes<B>(request: &Request<B>) -> Reply {
    Response::new(Answer::Zeros(query::number(request, "n").unwrap_or(1024)))
}

/// `/env?name=`: a variable of this process's environment.
pub(super) fn environment<B>(request: &Request<B>) -> Reply {
    let value = query::get(request, "name").and_then(std::env::var_os);
    match value {
        Some(value) => ok(value.to_string_lossy()),
        None => text(StatusCode::NOT_FOUND, "not set\n"),
    }
}

/// `/headers`: the request line and the headers as they arrived, sorted by name.
pub(super) fn headers<B>(request: &Request<B>) -> Reply {
    let mut lines: Vec<String> = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    let mut all = String::new();
    let _ = writeln!(all, "{} {} {:?}", request.method(), request.uri(), request.version());
    all.extend(lines);
    ok(all)
}
