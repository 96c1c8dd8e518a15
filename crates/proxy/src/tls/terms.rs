//! On which terms instances are spoken to by TLS: whose signature counts, which name their certificate must have, and what they are shown of
//! ours. Read from files that a table names, and said plainly if that cannot be.
//!
//! Deliberately absent: any way to believe a certificate without looking at it.

use std::net::SocketAddr;
use std::sync::Arc;

use cutover_core::table::Protocol;
use cutover_core::tls::InstanceTls;
use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use super::pair::{Facts, Pair, PairError};
use super::roots::{self, RootsError};

/// The terms, as they were read.
#[derive(Debug)]
pub struct Terms {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    /// What the certificate says that instances are shown; none if they are shown none.
    pub facts: Option<Facts>,
}

/// Why there are none. No message holds anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum TermsError {
    /// Whose signature counts cannot be said.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// What is expected in certificates is neither a name nor an address.
    #[error("{0:?} is neither a host name nor an address, so no certificate can be for it")]
    BadName(String),
    /// The certificate that instances are shown cannot be used.
    #[error(transparent)]
    Shown(#[from] PairError),
}

impl Terms {
    /// Reads everything that they name.
    pub fn read(spec: &InstanceTls) -> Result<Self, TermsError> {
        let name = spec.name.as_deref().map(server_name).transpose()?;
        let roots = roots::of(spec.ca_file.as_deref())?;
        let shown = spec.shown.as_ref().map(|files| Pair::read(&files.certificate, &files.key)).transpose()?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks both versions")
            .with_root_certificates(roots);
        let config = match &shown {
            Some(pair) => config.with_client_cert_resolver(resolver(pair)),
            None => config.with_no_client_auth(),
        };
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Ok(Self { http1: speaking(b"http/1.1"), http2: speaking(b"h2"), name, facts: shown.map(|pair| pair.facts) })
    }

    /// For a connection on which this is spoken.
    pub fn config(&self, protocol: Protocol) -> Arc<ClientConfig> {
        match protocol {
            Protocol::Http1 => self.http1.clone(),
            Protocol::H2c => self.http2.clone(),
        }
    }

    /// What the certificate of the instance at this address must be for.
    pub fn name(&self, address: SocketAddr) -> ServerName<'static> {
        self.name.clone().unwrap_or_else(|| ServerName::IpAddress(address.ip().into()))
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TermsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TermsError::BadName(name.to_owned()))
}

fn resolver(pair: &Pair) -> Arc<dyn ResolvesClientCert> {
    Arc::new(SingleCertAndKey::from((*pair.key).clone()))
}
