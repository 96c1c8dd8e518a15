//! Whose signature under another's certificate counts: those in a file that is named, or else those that this machine believes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why nobody's counts.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
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
}

/// Those in the file, if one is named.
pub fn of(file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    file.map_or_else(of_machine, of_file)
}

fn of_file(path: &Path) -> Result<RootCertStore, RootsError> {
    let pem = fs::read(path).map_err(|source| RootsError::Read { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let bad = |why: String| RootsError::BadAuthority { path: path.to_owned(), number: index + 1, why };
        roots.add(certificate.map_err(|error| bad(error.to_string()))?).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() { Err(RootsError::NoAuthority(path.to_owned())) } else { Ok(roots) }
}

/// One of them that cannot be read is passed over: some always are, and the others count.
fn of_machine() -> Result<RootCertStore, RootsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(RootsError::NobodyBelieved(why));
    }
    Ok(roots)
}
