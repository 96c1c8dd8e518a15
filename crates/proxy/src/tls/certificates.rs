//! The certificates in use: read when a table names them, read again when their files change.
//!
//! What serves is never given up for something worse. A pair that cannot be used keeps the one before in place, and is told in
//! the counters and once in the log. Only a table that names a *new* certificate that cannot be used is refused: nobody is
//! served by it yet, and whoever publishes it is there to hear of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cutover_core::table::{Table, Traffic};
use cutover_core::tls::{CertificateFrom, CertificateStats, Identity, TlsVersion};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use tokio::sync::Notify;

use super::door::{Choice, Choices, Door};
use super::pair::Pair;
use super::ticket::Tickets;

/// How often files are looked at. Two system calls for each file, and none while there is none.
const LOOK: Duration = Duration::from_millis(500);

/// How many looks lie between two thoughts about new ticket keys.
const ROTATE: u32 = 1200;

/// The TLS of each listener that has some.
pub type Doors = HashMap<SocketAddr, Arc<Door>>;

/// All certificates of this process.
#[derive(Debug)]
pub struct Certificates {
    state: PathBuf,
    tickets: OnceLock<Arc<Tickets>>,
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    sources: HashMap<CertificateFrom, Source>,
    configs: HashMap<Terms, Arc<ServerConfig>>,
    listeners: Vec<Listener>,
}

/// What makes one configuration of rustls differ from another.
type Terms = (CertificateFrom, TlsVersion, Speaks);

/// What is spoken inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Speaks {
    Http,
    /// Nobody looks.
    Anything,
}

#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    speaks: Speaks,
    identities: Vec<Identity>,
    door: Arc<Door>,
}

/// One pair of files.
#[derive(Debug)]
struct Source {
    pair: Option<Pair>,
    stamp: Stamp,
    problem: Option<Problem>,
}

/// What lies there now and cannot be used.
#[derive(Debug)]
struct Problem {
    text: String,
    /// Whether it was so twice in a row: whoever replaces two files does so one after the other.
    lasting: bool,
}

/// By what a change of the files is seen.
type Stamp = [Option<(u64, u64, i64, i64, u64)>; 2];

impl Certificates {
    /// None yet; ticket keys are kept in this state directory.
    pub fn new(state: PathBuf) -> Self {
        Self { state, tickets: OnceLock::new(), held: Mutex::default(), changed: Notify::new() }
    }

    /// Reads what a table names and is not known yet. Gives everything that cannot be used; nothing has changed then, unless
    /// `tolerant`: it serves without.
    pub fn prepare(&self, table: &Table, tolerant: bool) -> Result<(), Vec<String>> {
        let held = &mut *self.held();
        let mut new = HashMap::new();
        for identity in table.listeners.iter().flat_map(|listener| &listener.identities) {
            if !held.sources.contains_key(&identity.from)
                && let Entry::Vacant(entry) = new.entry(identity.from.clone())
            {
                entry.insert((identity.service.clone(), Source::read(&identity.from)));
            }
        }
        let wrong = new.values().filter_map(|(service, source)| {
            source.problem.as_ref().map(|problem| format!("the certificate of {service}: {}", problem.text))
        });
        let mut wrong: Vec<String> = wrong.collect();
        if !wrong.is_empty() && !tolerant {
            wrong.sort();
            return Err(wrong);
        }
        wrong.iter().for_each(|wrong| tracing::error!("{wrong}; nobody can connect by it"));
        held.sources.extend(new.into_iter().map(|(from, (_, source))| (from, source)));
        Ok(())
    }

    /// Uses what a table names, which was prepared before, and forgets the rest.
    pub fn show(&self, table: &Table) -> Doors {
        let held = &mut *self.held();
        let listeners = table.listeners.iter().filter(|listener| !listener.identities.is_empty());
        let doors = |address| held.listeners.iter().find(|l| l.address == address).map(|l| l.door.clone());
        let listeners: Vec<Listener> = listeners
            .map(|listener| Listener {
                address: listener.address,
                speaks: if matches!(listener.traffic, Traffic::Tcp { .. }) { Speaks::Anything } else { Speaks::Http },
                identities: listener.identities.clone(),
                door: doors(listener.address).unwrap_or_default(),
            })
            .collect();
        held.listeners = listeners;
        let used = |from: &CertificateFrom| held.listeners.iter().any(|l| l.identities.iter().any(|i| i.from == *from));
        held.sources.retain(|from, _| used(from));
        held.configs.retain(|(from, _, _), _| used(from));
        self.refresh(held);
        self.changed.notify_one();
        held.listeners.iter().map(|listener| (listener.address, listener.door.clone())).collect()
    }

    /// Looks after the files and the ticket keys for as long as the process lives.
    pub async fn watch(&self) {
        let mut looks = 0u32;
        loop {
            if self.held().sources.is_empty() {
                self.changed.notified().await;
            }
            tokio::time::sleep(LOOK).await;
            self.look();
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(ROTATE)
                && let Some(tickets) = self.tickets.get()
            {
                tickets.rotate();
            }
        }
    }

    /// Reads again what has changed.
    fn look(&self) {
        let held = &mut *self.held();
        let mut replaced = Vec::new();
        for (from, source) in &mut held.sources {
            if source.look(from) {
                replaced.push(from.clone());
            }
        }
        if !replaced.is_empty() {
            held.configs.retain(|(from, _, _), _| !replaced.contains(from));
            self.refresh(held);
        }
    }

    /// How each certificate is.
    pub fn stats(&self) -> Vec<CertificateStats> {
        let held = self.held();
        let one = |listener: &Listener, identity: &Identity| {
            let source = held.sources.get(&identity.from)?;
            let facts = source.pair.as_ref().map(|pair| &pair.facts);
            Some(CertificateStats {
                listener: listener.address,
                service: identity.service.clone(),
                source: named(&identity.from),
                names: facts.map(|facts| facts.names.clone()).unwrap_or_default(),
                from: facts.map(|facts| facts.from),
                until: facts.map(|facts| facts.until),
                problem: source.problem.as_ref().filter(|problem| problem.lasting).map(|problem| problem.text.clone()),
            })
        };
        let all = held.listeners.iter().flat_map(|listener| listener.identities.iter().map(move |i| (listener, i)));
        all.filter_map(|(listener, identity)| one(listener, identity)).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows every listener its certificates as they are now.
    fn refresh(&self, held: &mut Held) {
        let Held { sources, configs, listeners } = held;
        for listener in listeners {
            let choices = listener.identities.iter().map(|identity| {
                let pair = sources.get(&identity.from).and_then(|source| source.pair.as_ref());
                let terms = (identity.from.clone(), identity.minimum, listener.speaks);
                let config = pair.map(|pair| configs.entry(terms).or_insert_with_key(|terms| self.config(pair, terms)));
                let names = pair.map(|pair| pair.facts.names.clone()).unwrap_or_default();
                Choice { hosts: identity.hosts.clone(), names, config: config.cloned() }
            });
            listener.door.set(Choices::new(&choices.collect::<Vec<_>>()));
        }
    }

    fn config(&self, pair: &Pair, (_, minimum, speaks): &Terms) -> Arc<ServerConfig> {
        let versions: &[_] = if *minimum == TlsVersion::V13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("ring speaks both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from((*pair.key).clone())));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer =
            self.tickets.get_or_init(|| Arc::new(Tickets::of_state(&self.state))).clone() as Arc<dyn ProducesTickets>;
        if *speaks == Speaks::Http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Arc::new(config)
    }
}

impl Source {
    fn read(from: &CertificateFrom) -> Self {
        // Before the files are read: a change while they are is then seen at the next look.
        let stamp = stamp(from);
        let (pair, problem) = match read(from) {
            Ok(pair) => (Some(pair), None),
            Err(text) => (None, Some(Problem { text, lasting: true })),
        };
        Self { pair, stamp, problem }
    }

    /// Reads the files again if they changed, or could not be used the last time. Whether there is a new pair.
    fn look(&mut self, from: &CertificateFrom) -> bool {
        let stamp = stamp(from);
        if stamp == self.stamp && self.problem.as_ref().is_none_or(|problem| problem.lasting && self.is_settled(from)) {
            return false;
        }
        self.stamp = stamp;
        match read(from) {
            Ok(pair) => {
                tracing::info!(
                    certificate = named(from),
                    names = pair.facts.names.join(", "),
                    "a new certificate is in use"
                );
                (self.pair, self.problem) = (Some(pair), None);
                true
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

    /// Whether looking again at files that did not change is of no use. A file that could not be read may be readable by now, and no
    /// stamp tells.
    fn is_settled(&self, from: &CertificateFrom) -> bool {
        let CertificateFrom::Files { certificate, key } = from;
        [certificate, key].iter().all(|path| fs::File::open(path).is_ok())
    }
}

fn read(from: &CertificateFrom) -> Result<Pair, String> {
    let CertificateFrom::Files { certificate, key } = from;
    Pair::read(certificate, key).map_err(|error| error.to_string())
}

/// Where a certificate comes from, for people.
fn named(from: &CertificateFrom) -> String {
    let CertificateFrom::Files { certificate, .. } = from;
    certificate.display().to_string()
}

fn stamp(from: &CertificateFrom) -> Stamp {
    let CertificateFrom::Files { certificate, key } = from;
    // Through links: certbot and others only move a link.
    let of = |path: &Path| {
        fs::metadata(path).ok().map(|file| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
    };
    [of(certificate), of(key)]
}
