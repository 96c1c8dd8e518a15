//! One pair and where it lies: in the files that the table names, or in the store of what is ordered. Both are read, and read again,
//! in the same way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cutover_core::tls::{CertificateFrom, Identity};

use super::pair::Pair;
use crate::acme::{Order, upkeep};

/// Where a pair lies, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    certificate: PathBuf,
    key: PathBuf,
    /// If the proxy orders it.
    pub order: Option<Arc<Order>>,
}

/// One pair.
#[derive(Debug)]
pub struct Source {
    /// It, as it was when it could be used last.
    pub pair: Option<Pair>,
    /// What lies there now and cannot be used.
    pub problem: Option<Problem>,
    stamp: [Stamp; 2],
}

/// What lies there now and cannot be used.
#[derive(Debug)]
pub struct Problem {
    /// Why not.
    pub text: String,
    /// Whether it was so twice in a row: whoever replaces two files does so one after the other.
    pub lasting: bool,
}

/// By what a change of a file is seen; none if it is not there.
pub type Stamp = Option<(u64, u64, i64, i64, u64)>;

impl Origin {
    /// Where the certificate of an identity lies, for the proxy of this state directory.
    pub fn of(identity: &Identity, state: &Path) -> Self {
        match &identity.from {
            CertificateFrom::Files { certificate, key } => {
                Self { certificate: certificate.clone(), key: key.clone(), order: None }
            }
            CertificateFrom::Acme(authority) => {
                // A table is not taken in which there is not exactly one.
                let name = identity.hosts.first().cloned().unwrap_or_default();
                let order = Order { name, authority: (**authority).clone() };
                let place = upkeep::place(&order, state);
                Self { certificate: place.clone(), key: place, order: Some(Arc::new(order)) }
            }
        }
    }

    /// Its name for people.
    pub fn label(&self) -> String {
        self.order.as_ref().map_or_else(|| self.certificate.display().to_string(), |order| order.name.clone())
    }

    /// Whether nothing lies there because it has not been ordered yet.
    fn is_awaited(&self) -> bool {
        self.order.is_some() && fs::metadata(&self.certificate).is_err()
    }

    fn read(&self) -> Result<Pair, String> {
        Pair::read(&self.certificate, &self.key).map_err(|error| error.to_string())
    }

    fn stamp(&self) -> [Stamp; 2] {
        [stamp(&self.certificate), stamp(&self.key)]
    }

    /// Whether looking again at files that did not change is of no use. A file that could not be read may be readable by now, and no
    /// stamp tells.
    fn is_settled(&self) -> bool {
        [&self.certificate, &self.key].iter().all(|path| fs::File::open(path).is_ok())
    }
}

/// How a file is now. Through links: certbot and others only move a link.
pub fn stamp(path: &Path) -> Stamp {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
}

impl Source {
    /// Reads it for the first time.
    pub fn read(origin: &Origin) -> Self {
        // Before the files are read: a change while they are is then seen at the next look.
        let stamp = origin.stamp();
        let (pair, problem) = match origin.read() {
            Ok(pair) => (Some(pair), None),
            Err(_) if origin.is_awaited() => (None, None),
            Err(text) => (None, Some(Problem { text, lasting: true })),
        };
        Self { pair, problem, stamp }
    }

    /// Reads the files again if they changed, or could not be used the last time. Whether there is a new pair.
    pub fn look(&mut self, origin: &Origin) -> bool {
        let stamp = origin.stamp();
        if stamp == self.stamp && self.problem.as_ref().is_none_or(|problem| problem.lasting && origin.is_settled()) {
            return false;
        }
        self.stamp = stamp;
        match origin.read() {
            Ok(pair) => {
                tracing::info!(
                    certificate = origin.label(),
                    names = pair.facts.names.join(", "),
                    "a new certificate is in use"
                );
                (self.pair, self.problem) = (Some(pair), None);
                true
            }
            Err(_) if origin.is_awaited() => {
                self.problem = None;
                false
            }
            Err(text) => {
                let before = self.problem.take();
                let told = before.as_ref().is_some_and(|before| before.lasting && before.text == text);
                if before.is_some() && !told {
                    tracing::error!("a new certificate is not used, the one before stays: {text}");
                }
                self.problem = Some(Problem { text, lasting: before.is_some() });
                false
            }
        }
    }
}
