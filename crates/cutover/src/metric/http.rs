//! One GET, over HTTP or HTTPS with the certificates of this machine. Redirects are not followed.

use bytes::Bytes;
use cutover_core::failure::reasons;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::notify::connector;

/// The largest answer that is read.
const LARGEST: usize = 64 << 10;

/// Asks for a number, or for JSON that holds one at `field`.
pub(super) async fn ask(url: &str, field: Option<&str>) -> Result<Option<f64>, String> {
    let (status, body) = get(url).await?;
    if !status.is_success() {
        return Err(format!("answered {status}"));
    }
    let Some(field) = field else { return super::number(&body) };
    let answer: serde_json::Value =
        serde_json::from_str(&body).map_err(|error| format!("its answer is no JSON: {error}"))?;
    match answer.pointer(field) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::Number(number)) => Ok(number.as_f64()),
        Some(serde_json::Value::String(text)) => super::number(text),
        Some(_) => Err(format!("what it answers at {field} is no number")),
    }
}

/// Asks, and reads all of the answer. The caller sets the limit.
pub(super) async fn get(url: &str) -> Result<(StatusCode, String), String> {
    let request = Request::get(url)
        .header(USER_AGENT, concat!("cutover/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json, text/plain")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("its address cannot be used: {error}"))?;
    let connector =
        connector().await.map_err(|error| format!("the certificates of this machine cannot be read: {error}"))?;
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let answer = client.request(request).await.map_err(|error| reasons(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| format!("its answer broke off or is too long: {error}"))?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}
