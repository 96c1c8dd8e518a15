//! How instances are spoken to by TLS, kept up to date: the files are read when a table names them, and read again when they change.
//!
//! As with the certificates that clients are shown, what works is never given up for something worse, and only a table with something *new*
//! that cannot be used is refused. The authorities of the machine are read once: what belongs to a release is named by it.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cutover_core::table::{Protocol, Table};
use cutover_core::tls::InstanceTls;
use rustls::ClientConnection;
use tokio::net::TcpStream;

use super::failure::{told, undoes_handshake};
use super::source::{Stamp, stamp};
use super::stream::Secured;
use super::terms::Terms;

/// How long the log is silent about handshakes that fail, after it has told of one, in milliseconds.
const SILENCE: u64 = 10_000;

/// All that tables name, by what they say.
pub type Seals = HashMap<InstanceTls, Arc<Seal>>;

/// The TLS of all instances that are spoken to in the same way.
#[derive(Debug)]
pub struct Seal {
    /// What the table says.
    pub spec: InstanceTls,
    held: Mutex<Held>,
    told: AtomicU64,
}

#[derive(Debug)]
struct Held {
    /// As they were when they could be used last.
    terms: Option<Arc<Terms>>,
    /// Why what lies there now cannot be used.
    problem: Option<String>,
    /// How often in a row it was the same.
    failed: u32,
    stamps: Vec<Stamp>,
}

/// No TLS came about with an instance. Nothing of a request was looked at by anybody.
#[derive(Debug)]
pub struct NoHandshake(String);

impl fmt::Display for NoHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no TLS with the instance: {}", self.0)
    }
}

impl std::error::Error for NoHandshake {}

/// What a table names and `known` has not, read; and everything that cannot be used.
pub fn read_new(table: &Table, known: &Seals) -> (Seals, Vec<String>) {
    let (mut new, mut wrong) = (Seals::new(), Vec::new());
    for target in table.services.iter().flat_map(|service| &service.targets) {
        let Some(spec) = target.tls.as_deref().filter(|spec| !known.contains_key(*spec)) else { continue };
        new.entry(spec.clone()).or_insert_with(|| {
            let seal = Seal::read(spec);
            wrong.extend(
                seal.problem().map(|why| format!("TLS to the instances of {}: {why}", target.instance.service)),
            );
            Arc::new(seal)
        });
    }
    (new, wrong)
}

impl Seal {
    /// Reads the files for the first time.
    pub fn read(spec: &InstanceTls) -> Self {
        // Before the files are read: a change while they are is then seen at the next look.
        let stamps = spec.files().map(|path| stamp(path)).collect();
        let (terms, problem) = match Terms::read(spec) {
            Ok(terms) => (Some(Arc::new(terms)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            spec: spec.clone(),
            held: Mutex::new(Held { terms, problem, failed: 0, stamps }),
            told: AtomicU64::new(0),
        }
    }

    /// Why what lies there now cannot be used.
    pub fn problem(&self) -> Option<String> {
        self.held().problem.clone()
    }

    /// Reads the files again if they changed, or could not be used the last time.
    pub fn look(&self) {
        let held = &mut *self.held();
        let stamps: Vec<Stamp> = self.spec.files().map(|path| stamp(path)).collect();
        if stamps == held.stamps && held.problem.is_none() {
            return;
        }
        held.stamps = stamps;
        match Terms::read(&self.spec) {
            Ok(terms) => {
                tracing::info!("new files are in use for TLS to instances");
                (held.terms, held.problem) = (Some(Arc::new(terms)), None);
            }
            Err(error) => {
                let text = error.to_string();
                held.failed = if held.problem.as_ref() == Some(&text) { held.failed.saturating_add(1) } else { 0 };
                // Whoever replaces two files does so one after the other.
                if held.failed == 1 {
                    tracing::error!("new files are not used for TLS to instances, what was read before stays: {text}");
                }
                held.problem = Some(text);
            }
        }
    }

    /// Makes the handshake with the instance at this address, to speak this. The caller limits its time.
    pub async fn greet(&self, tcp: TcpStream, address: SocketAddr, protocol: Protocol) -> io::Result<Secured> {
        let terms = self.terms()?;
        let tls = ClientConnection::new(terms.config(protocol), terms.name(address));
        let secured = Secured::new(tcp, tls.map_err(|error| no_handshake(error.to_string()))?, Vec::new());
        let shaken = poll_fn(|cx| secured.poll_handshake(cx)).await;
        shaken.map_err(|error| no_handshake(told(&error, &self.spec, address)))?;
        if protocol == Protocol::H2c && !secured.speaks(b"h2") {
            let why = "it does not offer HTTP/2 inside TLS (ALPN h2); protocol says that it should";
            return Err(no_handshake(why.to_owned()));
        }
        Ok(secured)
    }

    /// What an alert means that came in place of an answer, if it undoes the handshake.
    pub fn undone(&self, secured: &Secured, address: SocketAddr) -> Option<io::Error> {
        let alert = secured.alert().filter(|alert| undoes_handshake(*alert))?;
        let error = io::Error::other(rustls::Error::AlertReceived(alert));
        Some(no_handshake(told(&error, &self.spec, address)))
    }

    /// Whether the log is to tell of a handshake that failed now, in milliseconds. Not of each: there may be thousands a second.
    pub fn is_to_be_told(&self, now: u64) -> bool {
        let last = self.told.load(Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= SILENCE;
        due && self.told.compare_exchange(last, now.max(1), Relaxed, Relaxed).is_ok()
    }

    fn terms(&self) -> io::Result<Arc<Terms>> {
        let held = self.held();
        held.terms.clone().ok_or_else(|| no_handshake(held.problem.clone().unwrap_or_default()))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what kept a connection from coming about was the handshake.
pub fn is_no_handshake(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NoHandshake>())
}

/// The instance ended the handshake with an alert, as somebody else has put it.
pub fn refused(why: &str) -> io::Error {
    no_handshake(format!("it refuses the handshake: {why}"))
}

fn no_handshake(why: String) -> io::Error {
    io::Error::other(NoHandshake(why))
}
