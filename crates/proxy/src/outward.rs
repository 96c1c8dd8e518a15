//! Questions of our own to others, such as an authority or whoever takes spans.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::RETRY_AFTER;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::crypto::ring;

use crate::tls::roots::{self, RootsError};

/// Connects to those for whom the certificates in a file vouch, or else those of this machine; without TLS only if that `may_be_plain`.
pub fn connector(file: Option<&Path>, may_be_plain: bool) -> Result<HttpsConnector<HttpConnector>, RootsError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks both versions")
        .with_root_certificates(roots::of(file)?)
        .with_no_client_auth();
    let builder = HttpsConnectorBuilder::new().with_tls_config(config);
    let builder = if may_be_plain { builder.https_or_http() } else { builder.https_only() };
    Ok(builder.enable_http1().build())
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
