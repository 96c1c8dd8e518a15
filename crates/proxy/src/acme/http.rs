//! The way to an authority, and to whoever takes spans: HTTPS, with the certificates of this machine or those that the table names, and a limit for each question.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::trouble::Trouble;
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

/// Connects to those for whom the certificates in a file vouch, or else those of this machine; without TLS only if that `may_be_plain`.
pub fn connector(file: Option<&std::path::Path>, may_be_plain: bool) -> Result<HttpsConnector<HttpConnector>, Trouble> {
    let builder = HttpsConnectorBuilder::new();
    let builder = match file {
        Some(file) => builder.with_tls_config(trusting(file)?),
        None => builder
            .with_provider_and_native_roots(ring::default_provider())
            .map_err(|error| Trouble::Odd(format!("the certificates of this machine cannot be read: {error}")))?,
    };
    let builder = if may_be_plain { builder.https_or_http() } else { builder.https_only() };
    Ok(builder.enable_http1().build())
}

/// Believes these and nobody else.
fn trusting(file: &std::path::Path) -> Result<ClientConfig, Trouble> {
    let unusable = |why: String| Trouble::Disk { path: file.to_owned(), source: std::io::Error::other(why) };
    let pem = std::fs::read(file).map_err(Trouble::disk(file))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|error| Trouble::Odd(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The pause that is asked for: seconds, or a date (RFC 9110, 10.2.3).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let pause = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(pause(" 90 "), Some(Duration::from_secs(90)));
        assert!(pause("Fri, 31 Dec 2100 23:59:59 GMT").is_some_and(|pause| pause > Duration::from_secs(86_400)));
        assert_eq!(pause("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(pause("soon"), None);
    }
}
