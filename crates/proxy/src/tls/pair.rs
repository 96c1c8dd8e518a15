//! Reading a certificate and its key, and saying plainly what is wrong with them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cutover_core::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// For rustls.
    pub key: Arc<CertifiedKey>,
    /// What it says about itself.
    pub facts: Facts,
}

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The names and addresses it is for, lower case; with `*.` in front for a wildcard.
    pub names: Vec<String>,
    /// Since when it is good.
    pub from: Timestamp,
    /// Until when it is good.
    pub until: Timestamp,
}

/// Why two files are not used as a certificate and its key. No message holds anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds no certificate.
    #[error("there is no certificate in {}: expected PEM, with -----BEGIN CERTIFICATE-----", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate in it cannot be read.
    #[error("certificate {number} in {} cannot be read: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// Why not.
        why: String,
    },
    /// It holds no key, or one that needs a password.
    #[error("there is no private key in {}: {hint}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is expected.
        hint: &'static str,
    },
    /// It holds a key that cannot be used.
    #[error("the private key in {} cannot be used: expected RSA of at least 2048 bits, ECDSA on P-256 or P-384, or Ed25519", .0.display())]
    BadKey(PathBuf),
    /// The key is that of another certificate.
    #[error("the key in {} does not belong to the certificate in {} ({subject})", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Whom the certificate is for.
        subject: String,
    },
    /// The certificates are there, but not one behind the other.
    #[error(
        "the certificates in {} are in the wrong order: {what}. The server's own comes first, then the one that signed it, and so on",
        path.display()
    )]
    Order {
        /// The file.
        path: PathBuf,
        /// What stands where.
        what: String,
    },
}

impl Pair {
    /// Reads two files, which may be one.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, PairError> {
        let (chain, private) = (read(certificate)?, read(key)?);
        Self::parse((certificate, &chain), (key, &private))
    }

    /// Reads what is to become a file with both.
    pub fn of(pem: &[u8], path: &Path) -> Result<Self, PairError> {
        Self::parse((path, pem), (path, pem))
    }

    fn parse((certificate, pem): (&Path, &[u8]), (key, private): (&Path, &[u8])) -> Result<Self, PairError> {
        let chain = chain(certificate, pem)?;
        let parsed: Vec<X509Certificate<'_>> =
            chain.iter().enumerate().map(|(index, der)| parse(certificate, index, der)).collect::<Result<_, _>>()?;
        let private = private_key(key, private)?;
        let signing = ring::default_provider().key_provider.load_private_key(private);
        let signing = signing.map_err(|_| PairError::BadKey(key.to_owned()))?;
        let matches =
            |index: usize| CertifiedKey::new(vec![chain[index].clone()], signing.clone()).keys_match().is_ok();
        if !matches(0) {
            return Err(match (1..chain.len()).find(|&index| matches(index)) {
                Some(index) => {
                    let what = format!("the one that the key belongs to is number {}, not the first", index + 1);
                    PairError::Order { path: certificate.to_owned(), what }
                }
                None => {
                    let subject = subject(&parsed[0]);
                    PairError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned(), subject }
                }
            });
        }
        if let Some(what) = out_of_order(&parsed) {
            return Err(PairError::Order { path: certificate.to_owned(), what });
        }
        let facts = Facts::of(&parsed[0]);
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, signing)), facts })
    }
}

impl Facts {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let moment = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        let validity = certificate.validity();
        Self {
            names: names(certificate),
            from: moment(validity.not_before.timestamp()),
            until: moment(validity.not_after.timestamp()),
        }
    }

    /// Whether a client that asks for this host will find its name in the certificate. Without any names in it (old, of one's own
    /// making) nobody looks, or everybody is told not to.
    pub fn covers(&self, host: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| names_host(name, host))
    }
}

/// Whether a name of a certificate stands for a host (RFC 9525, 6.3): a `*` is one whole label, the first.
pub fn names_host(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host.trim_matches(['[', ']']),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    fs::read(path).map_err(|source| PairError::Read { path: path.to_owned(), source })
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let mut chain = Vec::new();
    for (index, item) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let why = |error: pem::Error| PairError::Malformed {
            path: path.to_owned(),
            number: index + 1,
            why: error.to_string(),
        };
        chain.push(item.map_err(why)?);
    }
    if chain.is_empty() { Err(PairError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn parse<'a>(path: &Path, index: usize, der: &'a [u8]) -> Result<X509Certificate<'a>, PairError> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|error| PairError::Malformed {
        path: path.to_owned(),
        number: index + 1,
        why: error.to_string(),
    })
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let encrypted = memchr::memmem::find(pem, b"ENCRYPTED").is_some();
        let hint = if encrypted {
            "it is encrypted, and nobody is there to type a password: write it without (openssl pkey -in OLD -out NEW)"
        } else {
            "expected PEM, with -----BEGIN PRIVATE KEY-----"
        };
        PairError::NoKey { path: path.to_owned(), hint }
    })
}

/// What is out of order behind the first certificate. One that has nothing to do with the others is not: clients pass over it.
fn out_of_order(chain: &[X509Certificate<'_>]) -> Option<String> {
    (0..chain.len().saturating_sub(1)).find_map(|index| {
        let signer = chain[index].issuer();
        let follows = chain[index + 1].subject() == signer;
        let elsewhere = chain.iter().position(|other| other.subject() == signer).filter(|&at| at != index);
        let at = elsewhere.filter(|_| !follows)?;
        Some(format!("number {} was signed by number {}, which does not follow it", index + 1, at + 1))
    })
}

fn subject(certificate: &X509Certificate<'_>) -> String {
    let names = names(certificate);
    if names.is_empty() { certificate.subject().to_string() } else { names.join(", ") }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    };
    alternative.value.general_names.iter().filter_map(name).collect()
}
