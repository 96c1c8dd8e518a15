//! Certificates over time: replaced under load, replaced by bad ones, missing, and sessions that outlive the process.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cutover_core::stats::Stats;
use cutover_core::table::{Listener, Service};

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, service, table};
use super::support::tls::{Authority, Files, secured};
use super::support::{free_address, until};

fn by(files: &Files, proxy: &Proxy, web: &Backend) -> (Vec<Listener>, Vec<Service>) {
    let listener = secured(http(proxy.address, "web"), vec![files.identity("web", &[])]);
    (vec![listener], vec![service("web", &[("web.r1.i1", web.address, SERVING)])])
}

fn problem(stats: &Stats) -> Option<String> {
    stats.certificates[0].problem.clone()
}

/// Seen to fail with the files never looked at again.
#[test]
fn a_certificate_is_replaced_under_load() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let mut files = authority.sign("web", &["shop.example"]);
    let (listeners, services) = by(&files, &proxy, &web);
    proxy.publish(listeners, services);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (client, address) = (authority.client(), proxy.address);
    std::thread::scope(|scope| {
        for keeps in [true, false, false] {
            let (done, served, client) = (&done, &served, &client);
            scope.spawn(move || {
                let mut conn = Conn::secure(address, client, "shop.example");
                while !done.load(SeqCst) {
                    if !keeps {
                        conn = Conn::secure(address, client, "shop.example");
                    }
                    assert_eq!(conn.get("/").text(), "web");
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        let _finally = Finally(&done);
        for _ in 0..3 {
            let before = served.load(SeqCst);
            files = authority.sign("web", &["shop.example"]);
            let new = files.der();
            // A client that resumes a session shows what it was shown at first.
            let shown = || Conn::secure(address, &authority.client(), "shop.example").shown();
            until("the new one is shown", || shown() == new);
            until("the load goes on", || served.load(SeqCst) > before + 50);
        }
    });
    assert_eq!(problem(&proxy.stats()), None);
    assert_eq!(proxy.service("web").failed, 0);
}

/// Ends the load also when an assertion fails.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Seen to fail with what cannot be read taking the place of what serves.
#[test]
fn a_bad_certificate_does_not_replace_a_good_one() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let files = authority.sign("web", &["shop.example"]);
    let (listeners, services) = by(&files, &proxy, &web);
    proxy.publish(listeners, services);
    let good = files.der();
    let shown = || Conn::secure(proxy.address, &authority.client(), "shop.example").shown();
    let other = authority.sign("other", &["shop.example"]);
    std::fs::copy(&other.key, &files.key).unwrap();
    until("it is told", || problem(&proxy.stats()).is_some_and(|text| text.contains("does not belong to")));
    assert_eq!(shown(), good);
    std::fs::write(&files.certificate, "nonsense").unwrap();
    until("it is told", || problem(&proxy.stats()).is_some_and(|text| text.contains("no certificate in")));
    assert_eq!(shown(), good);
    std::fs::remove_file(&files.certificate).unwrap();
    until("it is told", || problem(&proxy.stats()).is_some_and(|text| text.contains("cannot read")));
    assert_eq!(shown(), good);
    let stats = proxy.stats();
    assert!(stats.certificates[0].until.is_some(), "what is in use is told beside it");
    // The table is published again meanwhile, for another reason.
    let (listeners, services) = by(&files, &proxy, &web);
    proxy.publish(listeners, services);
    assert_eq!(shown(), good);
    std::fs::copy(&other.certificate, &files.certificate).unwrap();
    until("the good one is used", || shown() == other.der());
    assert_eq!(problem(&proxy.stats()), None);
}

#[test]
fn a_new_certificate_that_cannot_be_used_is_refused() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let (one, other) = (authority.sign("one", &["a"]), authority.sign("other", &["b"]));
    let refused = |files: &Files| {
        let mut listener = secured(http(free_address(), "web"), vec![files.identity("web", &[])]);
        listener.address = free_address().into();
        let services = vec![service("web", &[("web.r1.i1", web.address, SERVING)])];
        let listeners = vec![http(proxy.address, "web"), listener];
        proxy.try_publish(table(listeners, services)).unwrap_err().to_string()
    };
    let mixed = Files { key: other.key.clone(), ..one.clone() };
    assert!(refused(&mixed).contains("does not belong to the certificate in"), "{}", refused(&mixed));
    let missing = Files { key: "/nowhere/web.key".into(), ..one.clone() };
    assert!(refused(&missing).contains("cannot read /nowhere/web.key"), "{}", refused(&missing));
    let swapped = Files { certificate: one.key.clone(), key: one.certificate.clone() };
    assert!(refused(&swapped).contains("no certificate in"), "{}", refused(&swapped));
    let text = std::fs::read_to_string(&one.certificate).unwrap();
    let end = text.find("-----END CERTIFICATE-----\n").unwrap() + "-----END CERTIFICATE-----\n".len();
    let turned = authority.dir().join("turned.pem");
    std::fs::write(&turned, format!("{}{}", &text[end..], &text[..end])).unwrap();
    let turned = Files { certificate: turned, ..one.clone() };
    assert!(refused(&turned).contains("wrong order"), "{}", refused(&turned));
    let locked = authority.dir().join("locked.key");
    std::fs::write(&locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    let locked = Files { key: locked, ..one.clone() };
    assert!(refused(&locked).contains("encrypted"), "{}", refused(&locked));
    let secret = std::fs::read_to_string(&one.key).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    for text in [refused(&mixed), refused(&swapped), refused(&locked)] {
        assert!(!text.contains(secret), "a key is in an error: {text}");
    }
    assert_eq!(proxy.connect().get("/").text(), "web", "what served serves on");
}

#[test]
fn after_a_crash_the_others_are_served_whatever_became_of_a_certificate() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let files = authority.sign("web", &["shop.example"]);
    let (mut listeners, services) = by(&files, &proxy, &web);
    let plain = free_address();
    listeners.push(http(plain, "web"));
    proxy.publish(listeners, services);
    let hidden = authority.dir().join("hidden");
    let proxy = proxy.crash_and_start_with(|| std::fs::rename(&files.key, &hidden).unwrap());
    assert_eq!(Conn::to(plain).get("/").text(), "web");
    assert!(Conn::try_secure(proxy.address, &authority.client(), "shop.example").is_err());
    let trouble = proxy.stats().certificates[0].trouble(proxy.stats().started).unwrap();
    assert!(trouble.contains("nobody can connect"), "{trouble}");
    std::fs::rename(&hidden, &files.key).unwrap();
    until("it is served again", || Conn::try_secure(proxy.address, &authority.client(), "shop.example").is_ok());
}

#[test]
fn an_expired_certificate_serves_on_and_is_told() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let files = authority.expired("web", &["shop.example"]);
    let (listeners, services) = by(&files, &proxy, &web);
    proxy.publish(listeners, services);
    let stats = proxy.stats();
    let trouble = stats.certificates[0].trouble(stats.started).unwrap();
    assert!(trouble.contains("EXPIRED 1 day ago"), "{trouble}");
    assert!(Conn::try_secure(proxy.address, &authority.client(), "shop.example").is_err(), "the client minds");
    let files = authority.sign("web", &["shop.example"]);
    until("the new one is used", || {
        Conn::try_secure(proxy.address, &authority.client(), "shop.example")
            .is_ok_and(|conn| conn.shown() == files.der())
    });
    let stats = proxy.stats();
    assert_eq!(stats.certificates[0].trouble(stats.started), None);
}

/// Seen to fail with a successor that does without what it cannot read.
#[test]
fn a_successor_has_the_certificates_and_the_sessions_or_does_not_take_over() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let files = authority.sign("web", &["shop.example"]);
    let (listeners, services) = by(&files, &proxy, &web);
    proxy.publish(listeners, services);
    let client = authority.client();
    let mut open = Conn::secure(proxy.address, &client, "shop.example");
    assert_eq!(open.get("/").text(), "web");
    let hidden = authority.dir().join("hidden");
    std::fs::rename(&files.key, &hidden).unwrap();
    let binary = std::env::current_exe().unwrap();
    let refused = proxy.upgrade_to(&binary, Duration::from_secs(10)).unwrap_err().to_string();
    assert!(refused.contains("the certificate of web: cannot read"), "{refused}");
    assert_eq!(open.get("/").text(), "web");
    assert_eq!(Conn::secure(proxy.address, &client, "shop.example").get("/").text(), "web");
    std::fs::rename(&hidden, &files.key).unwrap();
    proxy.upgrade();
    assert_eq!(open.get("/").text(), "web", "what is open stays with the one before");
    let mut conn = Conn::secure(proxy.address, &client, "shop.example");
    assert!(conn.get("/").text() == "web" && conn.resumed(), "by a ticket of the one before");
}

/// By TLS 1.3 and 1.2, with a client that remembers. Seen to fail with the keys made anew at each start.
#[test]
fn sessions_are_resumed_after_a_restart() {
    let (authority, web) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::start();
    let files = authority.sign("web", &["shop.example"]);
    let (listeners, services) = by(&files, &proxy, &web);
    proxy.publish(listeners, services);
    let new = authority.client();
    let old = {
        let mut config = (*new).clone();
        config.resumption = rustls::client::Resumption::in_memory_sessions(8);
        std::sync::Arc::new(config)
    };
    let visit = |proxy: &Proxy, client| {
        let mut conn = Conn::secure(proxy.address, client, "shop.example");
        assert_eq!(conn.get("/").text(), "web");
        conn.resumed()
    };
    assert!(!visit(&proxy, &new) && !visit(&proxy, &old));
    assert!(visit(&proxy, &new), "by the ticket of the first visit");
    let proxy = proxy.crash_and_start();
    assert!(visit(&proxy, &new) && visit(&proxy, &old), "by the tickets of the proxy before");
    let session = authority.dir().join("session");
    let openssl = |proxy: &Proxy, option: &str| {
        let connect = proxy.address.to_string();
        let run = std::process::Command::new("openssl")
            .args(["s_client", "-tls1_2", "-servername", "shop.example", "-connect", &connect, option])
            .arg(&session)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&run.stdout).into_owned()
    };
    assert!(openssl(&proxy, "-sess_out").contains("New, TLSv1.2"));
    let proxy = proxy.crash_and_start();
    let said = openssl(&proxy, "-sess_in");
    assert!(said.contains("Reused, TLSv1.2"), "{said}");
}
