//! The way to an authority: HTTPS, and a limit for each question.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use super::trouble::Trouble;
use crate::outward::{connector, retry_after};
use cutover_core::acme::Authority;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// The pause that the authority asked for last.
pub type Asked = Arc<Mutex<Option<Duration>>>;

/// Speaks with an authority.
pub struct Way {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    asked: Asked,
}

impl Way {
    /// To this authority. Made for each attempt: certificates of the machine may have been renewed since the last.
    pub async fn to(authority: &Authority, asked: Asked) -> Result<Self, Trouble> {
        let file = authority.ca_file.clone();
        let made = tokio::task::spawn_blocking(move || connector(file.as_deref(), false));
        let connector = made.await.map_err(|error| Trouble::Odd(error.to_string()))??;
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), asked })
    }
}

impl HttpClient for Way {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (answer, asked) = (self.client.request(request), self.asked.clone());
        Box::pin(async move {
            let answer = tokio::time::timeout(ANSWER, answer).await;
            let answer = answer.map_err(|_| Error::Other(format!("no answer came within {ANSWER:?}").into()))?;
            let answer = answer.map_err(|error| Error::Other(error.into()))?;
            let status = answer.status();
            if status.is_client_error() || status.is_server_error() {
                *asked.lock().unwrap_or_else(PoisonError::into_inner) = retry_after(answer.headers());
            }
            Ok(BytesResponse::from(answer))
        })
    }
}
