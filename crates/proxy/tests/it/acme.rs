//! Certificates that the proxy orders: from a real authority (pebble), by both challenges, and what happens when it goes wrong.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use cutover_core::acme::{Authority, Binding, Challenge};
use cutover_core::table::{Listener, Service, Traffic};
use cutover_core::tls::{CertificateFrom, CertificateStats, Identity, TlsVersion};
use rustls::ClientConfig;

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::pebble::{BLOCKED, BOUND_KEY, KID, NOWHERE, Pebble, Settings};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, name, routes, service, table};
use super::support::tls::{Authority as Signer, blind, secured};
use super::support::{free_address, until};

const SHOP: &str = "shop.example";
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// An authority that asks at these ports of ours.
struct World {
    pebble: Pebble,
    plain: SocketAddr,
    secure: SocketAddr,
    web: Backend,
}

impl World {
    fn new(validity: Duration) -> Self {
        Self::with(validity, false)
    }

    fn with(validity: Duration, bound: bool) -> Self {
        let (plain, secure) = (free_address(), free_address());
        let (http, tls) = (plain.port(), secure.port());
        let settings = Settings { address: free_address(), management: free_address(), http, tls, validity, bound };
        Self { pebble: Pebble::start(settings), plain, secure, web: Backend::named("web") }
    }

    fn authority(&self, challenge: Challenge) -> Authority {
        let ca_file = Some(self.pebble.ca_file());
        Authority { directory: self.pebble.directory(), email: None, ca_file, store: None, challenge, binding: None }
    }

    /// A service by TLS with these hosts, and where the way to it is told.
    fn table(&self, hosts: &[&str], authority: &Authority) -> (Vec<Listener>, Vec<Service>) {
        self.table_at(self.secure, Some(self.plain), hosts, authority)
    }

    fn table_at(
        &self,
        secure: SocketAddr,
        plain: Option<SocketAddr>,
        hosts: &[&str],
        authority: &Authority,
    ) -> (Vec<Listener>, Vec<Service>) {
        let identity = |host: &&str| Identity {
            service: name("web"),
            hosts: vec![(*host).to_owned()],
            from: CertificateFrom::Acme(Box::new(authority.clone())),
            minimum: TlsVersion::V12,
        };
        let listener = secured(routes(secure, &[(hosts, "/", "web")]), hosts.iter().map(identity).collect());
        let way = plain.map(|plain| {
            let mut way = routes(plain, &[(hosts, "/", "web")]);
            if let Traffic::Http { routes, .. } = &mut way.traffic {
                routes[0].https = Some(secure.port());
            }
            way
        });
        let listeners = std::iter::once(listener).chain(way).collect();
        (listeners, vec![service("web", &[("web.r1.i1", self.web.address, SERVING)])])
    }

    fn publish(&self, proxy: &Proxy, hosts: &[&str], challenge: Challenge) {
        let (listeners, services) = self.table(hosts, &self.authority(challenge));
        proxy.publish(listeners, services);
    }

    fn shown(&self, host: &str) -> Option<Vec<u8>> {
        Conn::try_secure(self.secure, &blind(), host).ok().map(|conn| conn.shown())
    }
}

fn certificate(proxy: &Proxy, host: &str) -> CertificateStats {
    proxy.stats().certificates.into_iter().find(|certificate| certificate.source == host).unwrap()
}

fn trouble(proxy: &Proxy, host: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    certificate(proxy, host).trouble(cutover_core::Timestamp(now.as_millis() as u64)).unwrap_or_default()
}

/// The same as `until`, for what takes a good part of the life of a short-lived certificate.
fn in_time(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn private(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{} is not for us alone", entry.path().display());
        files += if entry.path().is_dir() { private(&entry.path()) } else { 1 };
    }
    files
}

/// Seen to fail with a host that has none yet shown that of another.
#[test]
fn the_first_certificate_comes_by_http() {
    let world = World::new(YEAR);
    let (proxy, at) = (Proxy::start(), free_address());
    let (mut listeners, services) = world.table(&[SHOP, "www.shop.example"], &world.authority(Challenge::Http01));
    let traffic = Traffic::Metrics { services: vec![name("web")] };
    listeners.push(Listener { address: at.into(), traffic, identities: vec![] });
    proxy.publish(listeners, services);
    let metric = |what: &str| {
        let series = format!("{what}{{service=\"web\",listener=\"{}\",certificate=\"{SHOP}\"}} ", world.secure);
        let told = Conn::to(at).get("/metrics").text().to_owned();
        told.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok())
    };
    assert_eq!(metric("cutover_certificate_problem"), Some(1.0));
    assert_eq!(metric("cutover_certificate_expiry_timestamp_seconds"), None);
    assert!(trouble(&proxy, SHOP).contains("nobody can connect to shop.example"), "{}", trouble(&proxy, SHOP));
    until("there are certificates", || {
        let own = |host| certificate(&proxy, host).until.is_some();
        // No host is shown the certificate of another.
        assert!(world.shown(SHOP).is_none() || own(SHOP));
        own(SHOP) && own("www.shop.example")
    });
    let mut conn = Conn::secure(world.secure, &blind(), SHOP);
    conn.send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"));
    assert_eq!(conn.answer().text(), "web");
    let stats = certificate(&proxy, SHOP);
    assert_eq!((stats.names, stats.problem), (vec![SHOP.to_owned()], None));
    let (until, renewal) = (stats.until.unwrap(), stats.order.unwrap().renewal.unwrap());
    assert_eq!(metric("cutover_certificate_problem"), Some(0.0));
    assert_eq!(metric("cutover_certificate_expiry_timestamp_seconds"), Some(until.0 as f64 / 1e3));
    let left = until.since(renewal).as_secs_f64() / YEAR.as_secs_f64();
    assert!((0.33..0.41).contains(&left), "{left} of its life is left when it is renewed");
    assert_ne!(world.shown(SHOP), world.shown("www.shop.example"), "each host has its own");
    assert!(private(&proxy.state().join("acme")) >= 4, "account, owner, and two certificates");
    // What is not an authority's question is answered as ever.
    let mut plain = Conn::to(world.plain);
    plain.send(format!("GET /.well-known/acme-challenge/abc HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"));
    assert_eq!(plain.answer().status, 308);
    let left = std::fs::read_dir(proxy.state().join("acme/challenges")).unwrap().count();
    assert_eq!(left, 0, "no answer is left behind");
}

/// Seen to fail with the authority's protocol taken for a client's.
#[test]
fn the_first_certificate_comes_in_a_handshake() {
    let world = World::new(YEAR);
    let proxy = Proxy::start();
    let (listeners, services) = world.table_at(world.secure, None, &[SHOP], &world.authority(Challenge::TlsAlpn01));
    proxy.publish(listeners, services);
    until("there is a certificate", || {
        let told = trouble(&proxy, SHOP);
        assert!(!told.contains("tried once"), "{told}");
        world.shown(SHOP).is_some()
    });
    assert_eq!(world.pebble.signed(), 1);
    assert!(speaking(world.secure, &[b"acme-tls/1"], SHOP).is_err(), "nobody asks any more");
}

/// Seen to fail with the account made without the binding.
#[test]
fn an_account_may_be_bound_to_one_that_is_there() {
    let world = World::with(YEAR, true);
    let (proxy, dir) = (Proxy::start(), tempfile::tempdir().unwrap());
    let key_file = dir.path().join("eab.key");
    let bound = |kid: &str| Authority {
        binding: Some(Binding { kid: kid.to_owned(), key_file: key_file.clone() }),
        ..world.authority(Challenge::Http01)
    };
    let publish = |hosts: &[&str], authority: &Authority| {
        let (listeners, services) = world.table(hosts, authority);
        proxy.publish(listeners, services);
    };
    publish(&["unbound.example"], &world.authority(Challenge::Http01));
    until("it is told", || trouble(&proxy, "unbound.example").contains("externalAccountRequired"));
    publish(&["early.example"], &bound(KID));
    until("it is told", || trouble(&proxy, "early.example").contains("eab.key cannot be used"));
    std::fs::write(&key_file, format!("{BOUND_KEY}\n")).unwrap();
    publish(&[SHOP], &bound(KID));
    until("there is a certificate", || world.shown(SHOP).is_some());
    let table = std::fs::read_to_string(proxy.state().join("table.json")).unwrap();
    assert!(table.contains("eab.key") && !table.contains(BOUND_KEY), "the key is in no table");
}

fn speaking(address: SocketAddr, protocols: &[&[u8]], host: &str) -> std::io::Result<Conn> {
    let mut config: ClientConfig = (*blind()).clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Conn::try_secure(address, &Arc::new(config), host)
}

/// A deployment looks through the proxy, and must not fail because an authority takes its time.
/// Seen to fail with the agent let in no more than others.
#[test]
fn before_there_is_one_only_our_agent_can_look() {
    let world = World::new(YEAR);
    let proxy = Proxy::start();
    world.publish(&proxy, &[BLOCKED], Challenge::Http01);
    assert!(world.shown(BLOCKED).is_none() && speaking(world.secure, &[b"http/1.1"], BLOCKED).is_err());
    let mut conn = speaking(world.secure, &[b"http/1.1", b"cutover-look"], BLOCKED).unwrap();
    conn.send(format!("GET / HTTP/1.1\r\nHost: {BLOCKED}\r\ncutover-token: secret\r\n\r\n"));
    assert_eq!(conn.answer().field("cutover-instance"), Some("web.r1.i1"));
    let mut plain = Conn::to(world.plain);
    plain.send(format!("GET / HTTP/1.1\r\nHost: {BLOCKED}\r\n\r\n"));
    assert_eq!(plain.answer().status, 308);
}

/// Seen to fail with a new certificate not read where there is one.
#[test]
fn a_certificate_is_renewed_under_load_and_kept_when_the_authority_is_gone() {
    let mut world = World::new(Duration::from_secs(20));
    let proxy = Proxy::start();
    world.publish(&proxy, &[SHOP], Challenge::Http01);
    until("there is a certificate", || world.shown(SHOP).is_some());
    let (done, served, first) = (AtomicBool::new(false), AtomicUsize::new(0), world.shown(SHOP));
    std::thread::scope(|scope| {
        for keeps in [true, false] {
            let (done, served, client, address) = (&done, &served, blind(), world.secure);
            scope.spawn(move || {
                let mut conn = Conn::secure(address, &client, SHOP);
                while !done.load(SeqCst) {
                    if !keeps {
                        conn = Conn::secure(address, &client, SHOP);
                    }
                    conn.send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"));
                    assert_eq!(conn.answer().text(), "web");
                    served.fetch_add(1, SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        let _finally = Finally(&done);
        in_time("a new one is shown", || world.shown(SHOP) != first);
        let before = served.load(SeqCst);
        until("the load goes on", || served.load(SeqCst) > before + 50);
    });
    assert_eq!(proxy.service("web").failed, 0);
    world.pebble.stop();
    let kept = world.shown(SHOP);
    in_time("the failure is told", || trouble(&proxy, SHOP).contains("could not be renewed"));
    let told = trouble(&proxy, SHOP);
    assert!(told.contains("could not be reached") && told.contains("the next attempt begins in"), "{told}");
    assert_eq!(world.shown(SHOP), kept, "it serves on");
}

/// Ends the load also when an assertion fails.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Seen to fail with the certificate on disk not looked at before one is ordered.
#[test]
fn a_proxy_that_starts_again_and_a_successor_have_it_from_the_disk() {
    let mut world = World::new(YEAR);
    let proxy = Proxy::start();
    world.publish(&proxy, &[SHOP], Challenge::Http01);
    until("there is a certificate", || world.shown(SHOP).is_some());
    let first = world.shown(SHOP);
    world.pebble.stop();
    let proxy = proxy.crash_and_start();
    assert_eq!(world.shown(SHOP), first);
    assert_eq!(trouble(&proxy, SHOP), "");
    proxy.upgrade();
    assert_eq!(world.shown(SHOP), first);
    world.pebble.resume();
    // It orders another with the account that is there; this authority has forgotten it, which costs an attempt.
    world.publish(&proxy, &[SHOP, "new.example"], Challenge::Http01);
    assert_eq!(world.shown(SHOP), first, "a host that is added changes nothing for the others");
    until("it is told", || trouble(&proxy, "new.example").contains("accountDoesNotExist"));
    std::fs::remove_file(note(proxy.state(), "new.example")).unwrap();
    until("there is another", || trouble(&proxy, "new.example").is_empty());
    assert_eq!(world.shown(SHOP), first);
    assert_eq!(world.pebble.signed(), 2);
}

/// The note of the attempts for a name.
fn note(state: &Path, host: &str) -> std::path::PathBuf {
    let folders = std::fs::read_dir(state.join("acme")).unwrap().flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join(format!("{host}.json"))).find(|note| note.exists()).unwrap()
}

/// Seen to fail with the time of the next attempt not kept.
#[test]
fn what_an_authority_refuses_is_told_in_its_words_and_not_asked_again_soon() {
    let world = World::new(YEAR);
    let proxy = Proxy::start();
    world.publish(&proxy, &[BLOCKED, NOWHERE, SHOP], Challenge::Http01);
    until("the others are not kept from theirs", || world.shown(SHOP).is_some());
    until("it is told", || trouble(&proxy, BLOCKED).contains("the authority refused"));
    let told = trouble(&proxy, BLOCKED);
    assert!(told.contains("rejectedIdentifier") && told.contains("tried once since"), "{told}");
    in_time("it is told", || {
        trouble(&proxy, NOWHERE).contains("could not see by http-01 that nowhere.example is ours")
    });
    let told = trouble(&proxy, NOWHERE);
    assert!(told.contains("Does the name lead here"), "{told}");
    let attempts = || certificate(&proxy, BLOCKED).order.unwrap().attempts.unwrap();
    let pause = attempts().next.since(attempts().last);
    assert!(pause >= Duration::from_secs(119), "{pause:?}");
    let asked = world.pebble.count("POST /order-plz");
    let proxy = proxy.crash_and_start();
    until("it is told again", || trouble(&proxy, BLOCKED).contains("tried once since"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.pebble.count("POST /order-plz"), asked, "nobody asks before it is time");
    // Somebody has seen to it, and wants it now.
    std::fs::remove_file(note(proxy.state(), BLOCKED)).unwrap();
    until("it is tried at once", || world.pebble.count("POST /order-plz") > asked);
}

/// Seen to fail with a lease that anybody may take.
#[test]
fn proxies_that_share_a_store_order_once() {
    let world = World::new(YEAR);
    let shared = tempfile::tempdir().unwrap();
    let authority = Authority { store: Some(shared.path().join("acme")), ..world.authority(Challenge::Http01) };
    let (one, two) = (Proxy::start(), Proxy::start());
    let other = free_address();
    let (listeners, services) = world.table_at(other, None, &[SHOP], &authority);
    two.publish(listeners, services);
    // Only the first is where the authority asks, and whichever of them orders, it answers.
    let (listeners, services) = world.table(&[SHOP], &authority);
    one.publish(listeners, services);
    let shown = |at| Conn::try_secure(at, &blind(), SHOP).ok().map(|conn| conn.shown());
    in_time("both have it", || {
        if trouble(&two, SHOP).contains("tried once") {
            // It asked before the first listened.
            let _ = std::fs::remove_file(note_in(shared.path()));
        }
        shown(world.secure).is_some() && shown(other).is_some()
    });
    assert_eq!(shown(world.secure), shown(other));
    assert_eq!(world.pebble.signed(), 1);
}

fn note_in(shared: &Path) -> std::path::PathBuf {
    note(shared, SHOP)
}

/// Files are given up for an authority, which takes its time.
/// Seen to fail with nothing to stand in.
#[test]
fn a_host_is_served_with_what_it_had_until_there_is_another() {
    let world = World::new(YEAR);
    let (signer, proxy) = (Signer::new(), Proxy::start());
    let files = signer.sign("shop", &[SHOP, BLOCKED]);
    let services = vec![service("web", &[("web.r1.i1", world.web.address, SERVING)])];
    let listener = secured(http(world.secure, "web"), vec![files.identity("web", &[])]);
    proxy.publish(vec![listener], services);
    assert_eq!(world.shown(SHOP).unwrap(), files.der());
    world.publish(&proxy, &[BLOCKED, SHOP], Challenge::Http01);
    assert_eq!(world.shown(BLOCKED).unwrap(), files.der());
    until("there is another", || world.shown(SHOP).unwrap() != files.der());
    until("it is told", || trouble(&proxy, BLOCKED).contains("rejectedIdentifier"));
    world.publish(&proxy, &[BLOCKED, SHOP], Challenge::Http01);
    assert_eq!(world.shown(BLOCKED).unwrap(), files.der(), "for as long as the process lives");
}

/// Seen to fail with the table taken as it is.
#[test]
fn a_table_that_orders_what_cannot_be_had_is_refused() {
    let (world, proxy) = (World::new(YEAR), Proxy::start());
    let refused = |host: &str| {
        let (listeners, services) = world.table(&[host], &world.authority(Challenge::Http01));
        proxy.try_publish(table(listeners, services)).unwrap_err().to_string()
    };
    assert!(refused("*.shop.example").contains("a wildcard is only signed for"), "{}", refused("*.shop.example"));
    assert!(refused("127.0.0.1").contains("certificates are for names"), "{}", refused("127.0.0.1"));
}
