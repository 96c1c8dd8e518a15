//! One POST on a connection of its own, over HTTP or HTTPS with the certificates of this machine. Redirects are not followed:
//! they would carry what is said, and its signature, to somebody else.

use std::time::Duration;

use bytes::Bytes;
use cutover_core::failure::reasons;
use cutover_core::spec::Secret;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode, body::Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Answer;

/// How much of an answer is read: its reason, not its page.
const READ: usize = 2 << 10;

/// How long that is waited for.
const BODY_WITHIN: Duration = Duration::from_secs(1);

/// Posts JSON, and judges the answer. The caller sets the limit.
pub(super) async fn post(url: &Secret, id: &str, headers: Vec<(&str, String)>, body: Vec<u8>) -> Answer {
    let mut request = Request::post(url.reveal())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("cutover/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = match request.body(Full::new(Bytes::from(body))) {
        Ok(request) => request,
        Err(error) => return Answer::Never(format!("its address cannot be used: {error}")),
    };
    let connector = match connector().await {
        Ok(connector) => connector,
        Err(error) => return Answer::NotNow(format!("the certificates of this machine cannot be read: {error}"), None),
    };
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    match client.request(request).await {
        Ok(answer) => judge(answer).await,
        Err(error) => Answer::NotNow(reasons(&error), None),
    }
}

/// Made for each try: the certificates may have been renewed since the last one.
pub(crate) async fn connector() -> std::io::Result<HttpsConnector<HttpConnector>> {
    let made = tokio::task::spawn_blocking(|| {
        let builder = HttpsConnectorBuilder::new().with_native_roots()?;
        Ok(builder.https_or_http().enable_http1().build())
    });
    made.await.map_err(std::io::Error::other)?
}

async fn judge(answer: Response<Incoming>) -> Answer {
    let (status, wait) = (answer.status(), retry_after(answer.headers()));
    let body = beginning(answer.into_body()).await;
    let said = if body.trim().is_empty() { format!("answered {status}") } else { format!("answered {status}: {body}") };
    match status {
        status if status.is_success() => Answer::Taken(said),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Answer::NotNow(said, wait)
        }
        status if status.is_redirection() => Answer::Never(format!("{said} (redirects are not followed)")),
        status if status.is_client_error() => Answer::Never(said),
        _ => Answer::NotNow(said, wait),
    }
}

/// What can be had of a body. The status has decided already: a body that breaks off, or does not come, changes nothing.
async fn beginning(mut body: Incoming) -> String {
    let mut read = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            read.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
            if read.len() >= READ {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_WITHIN, reading).await;
    String::from_utf8_lossy(&read).into_owned()
}

/// The pause that the receiver asks for: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.ceil()).ok();
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(until.duration_since(jiff::Timestamp::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let wait = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("0.3"), Some(Duration::from_secs(1)));
        assert!(wait("Fri, 31 Dec 2100 23:59:59 GMT").is_some_and(|wait| wait > Duration::from_secs(86400)));
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-3"), None);
    }
}
