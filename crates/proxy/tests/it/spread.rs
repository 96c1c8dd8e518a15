//! Who is chosen: instances that fail are left out, clients stay with theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use cutover_core::spread::{Eject, HashBy};
use cutover_core::table::{Balance, Mode};

use super::support::backend::Backend;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service, with};
use super::support::until;

/// Answers with its name, or breaks the connection while it is ill.
fn patient(name: &'static str, ill: &Arc<AtomicBool>) -> Backend {
    let ill = ill.clone();
    Backend::scripted(move |mut peer| {
        while peer.request().is_some() {
            if ill.load(SeqCst) {
                return;
            }
            peer.ok(name);
        }
    })
}

/// Seen to fail with failures not counted, with the trial never given, and with both left out at once and nobody asked in their place.
#[test]
fn an_instance_that_fails_is_left_out_until_it_is_well() {
    let ill = [Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false))];
    let (one, two) = (patient("one", &ill[0]), patient("two", &ill[1]));
    let targets = [("web.r1.i1", one.address, SERVING), ("web.r1.i2", two.address, SERVING)];
    let back_off = Duration::from_millis(300);
    let proxy = Proxy::serving(with(service("web", &targets), |service| {
        service.balance = Balance::RoundRobin;
        service.spread.eject = Some(Eject { failures: 2, back_off, longest: back_off, errors: false });
    }));
    let ask = || proxy.connect().get("/");
    until("it is left out", || {
        ask();
        proxy.target("web.r1.i1").ejected
    });
    let failed = proxy.target("web.r1.i1").failed;
    (0..20).for_each(|_| assert!(ask().status == 200 || proxy.target("web.r1.i1").failed > failed));
    ill[0].store(false, SeqCst);
    until("it was tried and answers again", || ask().text() == "one");
    assert!(!proxy.target("web.r1.i1").ejected);
    ill.iter().for_each(|ill| ill.store(true, SeqCst));
    until("both would be left out", || {
        ask();
        proxy.target("web.r1.i1").ejected && proxy.target("web.r1.i2").ejected
    });
    let before = [&one, &two].map(|backend| backend.seen().len());
    (0..4).for_each(|_| drop(ask()));
    assert!(one.seen().len() > before[0] && two.seen().len() > before[1], "then both are asked");
}

/// Seen to fail with the cookie set in each answer, with it passed on, and with a client kept at an instance that drains.
#[test]
fn a_cookie_holds_a_client_at_its_instance_until_that_drains() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let serving = |mode| {
        let targets = [("web.r1.i1", one.address, mode), ("web.r1.i2", two.address, SERVING)];
        with(service("web", &targets), |service| service.spread.sticky = true)
    };
    let proxy = Proxy::serving(serving(SERVING));
    let answer = proxy.connect().get("/");
    let cookie = answer.field("set-cookie").unwrap().to_owned();
    assert!(
        cookie.starts_with("cutover-sticky-web=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    let (ours, _) = cookie.split_once(';').unwrap();
    let home = answer.text().to_owned();
    let mut conn = proxy.connect();
    for _ in 0..10 {
        let again = conn.get_with("/", &format!("Cookie: a=b; {ours}; c=d\r\n"));
        assert_eq!((again.text(), again.field("set-cookie")), (home.as_str(), None));
    }
    let seen = if home == "one" { one.seen() } else { two.seen() };
    assert!(seen.last().unwrap().contains("Cookie: a=b; c=d\r\n"), "{seen:?}");
    for made_up in ["", "zz", "0123456789abcdef", "ffffffffffffffffffff"] {
        let answer = conn.get_with("/", &format!("Cookie: cutover-sticky-web={made_up}\r\n"));
        assert!(answer.status == 200 && answer.field("set-cookie").is_some(), "{made_up}");
    }
    let to_one = (0..20).find_map(|_| {
        let answer = proxy.connect().get("/");
        (answer.text() == "one").then(|| answer.field("set-cookie").unwrap().split_once(';').unwrap().0.to_owned())
    });
    proxy.replace(serving(Mode::Draining));
    let moved = conn.get_with("/", &format!("Cookie: {}\r\n", to_one.unwrap()));
    assert!(moved.text() == "two" && moved.field("set-cookie").is_some(), "{moved:?}");
}

/// Seen to fail with the address in place of the header.
#[test]
fn a_header_holds_a_client_at_its_instance() {
    let backends = [Backend::named("a"), Backend::named("b"), Backend::named("c")];
    let ids = ["web.r1.i1", "web.r1.i2", "web.r1.i3"];
    let targets: Vec<_> = ids.iter().zip(&backends).map(|(id, backend)| (*id, backend.address, SERVING)).collect();
    let by_tenant = |targets: &[(&str, std::net::SocketAddr, Mode)]| {
        with(service("web", targets), |service| {
            service.balance = Balance::Hash;
            service.spread.hash = HashBy::Header("x-tenant".to_owned());
        })
    };
    let proxy = Proxy::serving(by_tenant(&targets));
    let ask = || -> Vec<String> {
        let mut conn = proxy.connect();
        (0..30).map(|tenant| conn.get_with("/", &format!("X-Tenant: t{tenant}\r\n")).text().to_owned()).collect()
    };
    let before = ask();
    assert_eq!(ask(), before);
    assert!(["a", "b", "c"].iter().all(|name| before.iter().any(|found| found == name)), "{before:?}");
    proxy.replace(by_tenant(&targets[..2]));
    let moved = before.iter().zip(ask()).filter(|(old, new)| *old != new).map(|(old, _)| old).collect::<Vec<_>>();
    assert!(moved.iter().all(|old| *old == "c") && !moved.is_empty(), "{moved:?}");
}
