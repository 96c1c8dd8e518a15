//! The certificates in use: read when a table names them, read again when their files change.
//!
//! What serves is never given up for something worse. A pair that cannot be used keeps the one before in place, and is told in
//! the counters and once in the log. Only a table that names a *new* certificate that cannot be used is refused: nobody is
//! served by it yet, and whoever publishes it is there to hear of it. One that is ordered (`acme`) may come later; until then its
//! host is served with what served it before, if anything did.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cutover_core::listen::ListenAddress;
use cutover_core::table::{Table, Traffic};
use cutover_core::tls::{CertificateStats, Identity, InstanceTls, TlsVersion};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use tokio::sync::Notify;

use super::door::{Choice, Choices, Door};
use super::pair::Pair;
use super::seal::{Seals, read_new};
use super::source::{Origin, Source};
use super::ticket::Tickets;
use crate::acme::store::Store;
use crate::acme::upkeep::Upkeep;

/// How often files are looked at. Two system calls for each file, and none while there is none.
const LOOK: Duration = Duration::from_millis(500);

/// How many looks lie between two thoughts about new ticket keys.
const ROTATE: u32 = 1200;

/// The TLS of each listener that has some.
pub type Doors = HashMap<ListenAddress, Arc<Door>>;

/// What connections of a table are encrypted with.
#[derive(Debug, Default)]
pub struct InUse {
    /// By listener.
    pub doors: Doors,
    /// For instances.
    pub seals: Seals,
}

/// All certificates of this process.
#[derive(Debug)]
pub struct Certificates {
    state: PathBuf,
    tickets: OnceLock<Arc<Tickets>>,
    held: Mutex<Held>,
    changed: Notify,
    /// Those that are ordered.
    pub upkeep: Arc<Upkeep>,
}

#[derive(Debug, Default)]
struct Held {
    sources: HashMap<Origin, Source>,
    configs: HashMap<Terms, Arc<ServerConfig>>,
    listeners: Vec<Listener>,
    seals: Seals,
}

/// What makes one configuration of rustls differ from another.
type Terms = (Origin, TlsVersion, Speaks);

/// What is spoken inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Speaks {
    Http,
    /// Nobody looks.
    Anything,
}

#[derive(Debug)]
struct Listener {
    address: ListenAddress,
    speaks: Speaks,
    shown: Vec<Shown>,
    door: Arc<Door>,
}

/// One certificate at a listener.
#[derive(Debug)]
struct Shown {
    identity: Identity,
    origin: Origin,
    /// What its host is served with until it has been ordered.
    stand_in: Option<Arc<ServerConfig>>,
}

impl Certificates {
    /// None yet; ticket keys are kept in this state directory.
    pub fn new(state: PathBuf) -> Self {
        let upkeep = Arc::new(Upkeep::new(state.clone()));
        Self { state, tickets: OnceLock::new(), held: Mutex::default(), changed: Notify::new(), upkeep }
    }

    /// Reads what a table names and is not known yet. Gives everything that cannot be used; nothing has changed then, unless
    /// `tolerant`: it serves without.
    pub fn prepare(&self, table: &Table, tolerant: bool) -> Result<(), Vec<String>> {
        let held = &mut *self.held();
        let mut new = HashMap::new();
        for identity in table.listeners.iter().flat_map(|listener| &listener.identities) {
            let origin = Origin::of(identity, &self.state);
            if !held.sources.contains_key(&origin)
                && let Entry::Vacant(entry) = new.entry(origin)
            {
                let source = Source::read(entry.key());
                entry.insert((identity.service.clone(), source));
            }
        }
        // What was ordered and cannot be used is ordered again.
        let brought = new.iter().filter(|(origin, _)| origin.order.is_none());
        let wrong = brought.filter_map(|(_, (service, source))| {
            source.problem.as_ref().map(|problem| format!("the certificate of {service}: {}", problem.text))
        });
        let mut wrong: Vec<String> = wrong.collect();
        let (seals, unusable) = read_new(table, &held.seals);
        wrong.extend(unusable);
        if !wrong.is_empty() && !tolerant {
            wrong.sort();
            return Err(wrong);
        }
        wrong.iter().for_each(|wrong| tracing::error!("{wrong}; nobody can connect by it"));
        held.sources.extend(new.into_iter().map(|(origin, (_, source))| (origin, source)));
        held.seals.extend(seals);
        Ok(())
    }

    /// Uses what a table names, which was prepared before, and forgets the rest.
    pub fn show(&self, table: &Table) -> InUse {
        let held = &mut *self.held();
        show_seals(&mut held.seals, table);
        let listeners = table.listeners.iter().filter(|listener| !listener.identities.is_empty());
        let doors =
            |address: &ListenAddress| held.listeners.iter().find(|l| l.address == *address).map(|l| l.door.clone());
        let listeners: Vec<Listener> = listeners
            .map(|listener| {
                let door = doors(&listener.address).unwrap_or_default();
                Listener {
                    address: listener.address.clone(),
                    speaks: if matches!(listener.traffic, Traffic::Tcp { .. }) {
                        Speaks::Anything
                    } else {
                        Speaks::Http
                    },
                    shown: listener.identities.iter().map(|identity| self.shown(identity, &door)).collect(),
                    door,
                }
            })
            .collect();
        held.listeners = listeners;
        let used = |origin: &Origin| held.listeners.iter().any(|l| l.shown.iter().any(|shown| shown.origin == *origin));
        held.sources.retain(|origin, _| used(origin));
        held.configs.retain(|(origin, _, _), _| used(origin));
        self.refresh(held);
        self.changed.notify_one();
        self.upkeep.want(held.sources.keys().filter_map(|origin| origin.order.clone()).collect());
        let doors = held.listeners.iter().map(|listener| (listener.address.clone(), listener.door.clone()));
        InUse { doors: doors.collect(), seals: held.seals.clone() }
    }

    fn shown(&self, identity: &Identity, door: &Door) -> Shown {
        let origin = Origin::of(identity, &self.state);
        let host = identity.hosts.first().filter(|_| origin.order.is_some());
        let stand_in = host.and_then(|host| door.named(host));
        Shown { identity: identity.clone(), origin, stand_in }
    }

    /// Looks after the files and the ticket keys for as long as the process lives.
    pub async fn watch(&self) {
        let mut looks = 0u32;
        loop {
            if self.is_idle() {
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

    /// Whether there is nothing to look at.
    fn is_idle(&self) -> bool {
        let held = self.held();
        held.sources.is_empty() && held.seals.is_empty()
    }

    /// Reads again what has changed.
    fn look(&self) {
        let held = &mut *self.held();
        held.seals.values().for_each(|seal| seal.look());
        let mut replaced = Vec::new();
        for (origin, source) in &mut held.sources {
            if source.look(origin) {
                replaced.push(origin.clone());
            }
        }
        if !replaced.is_empty() {
            held.configs.retain(|(origin, _, _), _| !replaced.contains(origin));
            self.refresh(held);
        }
    }

    /// How each certificate is.
    pub fn stats(&self) -> Vec<CertificateStats> {
        let held = self.held();
        let one = |listener: &Listener, Shown { identity, origin, .. }: &Shown| {
            let source = held.sources.get(origin)?;
            let facts = source.pair.as_ref().map(|pair| &pair.facts);
            Some(CertificateStats {
                listener: listener.address.clone(),
                service: identity.service.clone(),
                source: origin.label(),
                names: facts.map(|facts| facts.names.clone()).unwrap_or_default(),
                from: facts.map(|facts| facts.from),
                until: facts.map(|facts| facts.until),
                problem: source.problem.as_ref().filter(|problem| problem.lasting).map(|problem| problem.text.clone()),
                order: origin.order.as_ref().map(|order| self.upkeep.stats(order)),
            })
        };
        let all = held.listeners.iter().flat_map(|listener| listener.shown.iter().map(move |shown| (listener, shown)));
        all.filter_map(|(listener, shown)| one(listener, shown)).collect()
    }

    /// The stores of all that is ordered.
    pub fn stores(&self) -> Vec<PathBuf> {
        let held = self.held();
        let orders = held.sources.keys().filter_map(|origin| origin.order.as_ref());
        let mut stores: Vec<PathBuf> =
            orders.map(|order| Store::of(&order.authority, &self.state).root().to_owned()).collect();
        stores.sort();
        stores.dedup();
        stores
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows every listener its certificates as they are now.
    fn refresh(&self, held: &mut Held) {
        let Held { sources, configs, listeners, .. } = held;
        for listener in listeners {
            let choices = listener.shown.iter().map(|Shown { identity, origin, stand_in }| {
                let pair = sources.get(origin).and_then(|source| source.pair.as_ref());
                let terms = (origin.clone(), identity.minimum, listener.speaks);
                let config = pair.map(|pair| configs.entry(terms).or_insert_with_key(|terms| self.config(pair, terms)));
                let names = pair.map(|pair| pair.facts.names.clone()).unwrap_or_default();
                Choice { hosts: identity.hosts.clone(), names, config: config.cloned().or_else(|| stand_in.clone()) }
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

/// Forgets what the table does not name. A process that leaves reads here what its successor was given.
fn show_seals(seals: &mut Seals, table: &Table) {
    let (new, wrong) = read_new(table, seals);
    wrong.iter().for_each(|wrong| tracing::error!("{wrong}; instances cannot be reached by it"));
    seals.extend(new);
    let targets = || table.services.iter().flat_map(|service| &service.targets);
    let named = |spec: &InstanceTls| targets().any(|target| target.tls.as_deref() == Some(spec));
    // A target that is not finished may come back.
    seals.retain(|spec, seal| Arc::strong_count(seal) > 1 || named(spec));
}
