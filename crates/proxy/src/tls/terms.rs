//! On which terms instances are spoken to by TLS: whose signature counts, which name their certificate must have, and what they are shown of
//! ours. Read from files that a table names, and said plainly if that cannot be.
//!
//! Deliberately absent: any way to believe a certificate without looking at it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cutover_core::table::Protocol;
use cutover_core::tls::InstanceTls;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

use super::pair::{Facts, Pair, PairError};

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
    /// The file with those whose signature counts cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds nobody.
    #[error("there is no certificate in {}: expected PEM, with -----BEGIN CERTIFICATE-----", .0.display())]
    NoAuthority(PathBuf),
    /// One of them cannot be read.
    #[error("certificate {number} in {} cannot be read: {why}", path.display())]
    BadAuthority {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// Why not.
        why: String,
    },
    /// This machine believes nobody.
    #[error("this machine believes no authority{0}: name a file with one (ca_file)")]
    NobodyBelieved(String),
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
        let roots = spec.ca_file.as_deref().map_or_else(of_machine, of_file)?;
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

fn of_file(path: &Path) -> Result<RootCertStore, TermsError> {
    let pem = fs::read(path).map_err(|source| TermsError::Read { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let bad = |why: String| TermsError::BadAuthority { path: path.to_owned(), number: index + 1, why };
        roots.add(certificate.map_err(|error| bad(error.to_string()))?).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() { Err(TermsError::NoAuthority(path.to_owned())) } else { Ok(roots) }
}

/// One of them that cannot be read is passed over: some always are, and the others count.
fn of_machine() -> Result<RootCertStore, TermsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TermsError::NobodyBelieved(why));
    }
    Ok(roots)
}
