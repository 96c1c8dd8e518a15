//! Sends batches to one receiver: OTLP over HTTP (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"), one batch after the other.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cutover_core::failure::reasons;
use cutover_core::trail;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;

use super::batch::Batch;
use super::{Lost, Spans};
use crate::outward::{connector, retry_after};

/// How long an answer may take, and how long the rest of it, which says nothing that matters.
const ANSWER: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(2);

/// How much of it is read, so that the connection can be used again.
const LARGEST: usize = 64 << 10;

/// How often a batch is tried.
const TRIES: u32 = 5;

/// The pause before the second try; each is twice as long as the one before. And the longest that a receiver may ask for.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// How often it complains.
const COMPLAINT: Duration = Duration::from_secs(60);

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why a batch was not taken.
enum Failure {
    /// It never will be.
    Refused(String),
    /// It may be another time: after this pause, if the receiver says so.
    NotNow(String, Option<Duration>),
}

struct Post {
    spans: Arc<Spans>,
    receiver: trail::Spans,
    http: Option<Http>,
    complained: Option<Instant>,
}

/// Sends until there is nobody any more who gathers.
pub async fn deliver(spans: Arc<Spans>, receiver: trail::Spans, mut batches: mpsc::Receiver<Batch>) {
    let mut post = Post { spans, receiver, http: None, complained: None };
    while let Some(batch) = batches.recv().await {
        post.deliver(&batch).await;
    }
}

impl Post {
    async fn deliver(&mut self, batch: &Batch) {
        let (body, mut pause, mut quit) = (Bytes::from(batch.body()), PAUSE, self.spans.quit.subscribe());
        for tried in 1.. {
            let asked = match self.post(body.clone()).await {
                Ok(()) => {
                    self.spans.counts.sent.fetch_add(batch.count, Relaxed);
                    return;
                }
                Err(Failure::Refused(why)) => return self.give_up(batch, Lost::Refused, &why),
                Err(Failure::NotNow(why, asked)) => {
                    let quits = *quit.borrow_and_update();
                    if tried == TRIES || quits {
                        return self.give_up(batch, Lost::Unreachable, &why);
                    }
                    asked
                }
            };
            tokio::select! {
                () = tokio::time::sleep(asked.map_or_else(|| uneven(pause), |asked| asked.min(LONGEST))) => {}
                _ = quit.changed() => {}
            }
            pause *= 2;
        }
    }

    async fn post(&mut self, body: Bytes) -> Result<(), Failure> {
        let request = self.request(body).await?;
        let http = self.http().await?;
        let answer = match tokio::time::timeout(ANSWER, http.request(request)).await {
            Ok(Ok(answer)) => answer,
            failed => {
                // What vouches for it may have changed on disk.
                self.http = None;
                let why = failed.map_or_else(
                    |_| format!("no answer came within {ANSWER:?}"),
                    |failed| failed.err().map(|error| reasons(&error)).unwrap_or_default(),
                );
                return Err(Failure::NotNow(why, None));
            }
        };
        let (status, asked) = (answer.status(), retry_after(answer.headers()));
        let _ = tokio::time::timeout(REST, Limited::new(answer.into_body(), LARGEST).collect()).await;
        judge(status, asked)
    }

    /// The headers are read each time: a key may be replaced while we run.
    async fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::post(&self.receiver.endpoint)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|error| Failure::Refused(error.to_string()))?;
        let Some(file) = &self.receiver.headers_file else { return Ok(request) };
        let unusable = |why: String| Failure::NotNow(format!("{} cannot be used: {why}", file.display()), None);
        let text = tokio::fs::read_to_string(file).await.map_err(|error| unusable(error.to_string()))?;
        let no_header = |line: usize| unusable(format!("its line {line} is no header"));
        let lines = trail::Spans::headers(&text).map_err(no_header)?;
        for (name, value) in lines {
            let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
            let (Ok(name), Ok(mut value)) = (name, value) else {
                return Err(unusable("a line is no header".to_owned()));
            };
            value.set_sensitive(true);
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }

    async fn http(&mut self) -> Result<Http, Failure> {
        if let Some(http) = &self.http {
            return Ok(http.clone());
        }
        let not_now = |why: String| Failure::NotNow(why, None);
        let file = self.receiver.ca_file.clone();
        let made = tokio::task::spawn_blocking(move || connector(file.as_deref(), true)).await;
        let made = made.map_err(|error| not_now(error.to_string()))?.map_err(|error| not_now(error.to_string()))?;
        Ok(self.http.insert(Client::builder(TokioExecutor::new()).build(made)).clone())
    }

    fn give_up(&mut self, batch: &Batch, reason: Lost, why: &str) {
        self.spans.counts.lost(reason, batch.count);
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            self.complained = Some(Instant::now());
            let (spans, endpoint) = (batch.count, &self.receiver.endpoint);
            tracing::warn!(spans, endpoint, why, "spans were dropped: their receiver does not take them");
        }
    }
}

/// Which answers are worth another try stands in the specification ("Retryable Response Codes").
fn judge(status: StatusCode, asked: Option<Duration>) -> Result<(), Failure> {
    let why = || format!("it answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(()),
        429 | 502 | 503 | 504 => Err(Failure::NotNow(why(), asked)),
        _ => Err(Failure::Refused(why())),
    }
}

/// Between half and all of a pause: many proxies must not come back at once.
fn uneven(pause: Duration) -> Duration {
    let share = RandomState::new().hash_one(0) % 500;
    pause * (500 + u32::try_from(share).unwrap_or(0)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap(), Some(PAUSE));
        assert!([200, 202, 204].into_iter().all(|status| judged(status).is_ok()));
        for status in [429, 502, 503, 504] {
            assert!(matches!(judged(status), Err(Failure::NotNow(_, Some(PAUSE)))), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(matches!(judged(status), Err(Failure::Refused(_))), "{status}");
        }
        assert!((0..50).all(|_| (PAUSE / 2..=PAUSE).contains(&uneven(PAUSE))));
    }
}
