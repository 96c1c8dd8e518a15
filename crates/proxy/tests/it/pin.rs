//! Clients that are bound to a release while a canary is held.

use std::net::SocketAddr;
use std::time::Duration;

use cutover_core::pin::{Pin, PinBy};
use cutover_core::table::{Listener, Mode, Service, Traffic};
use cutover_core::{DeploymentId, ReleaseNo};

use super::support::backend::{Backend, field};
use super::support::client::{Answer, Conn};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, routes, service, tcp, with};
use super::support::{free_address, until};

/// How many clients a share is measured with.
const CLIENTS: usize = 10_000;

/// The release 2 is tried out on so many of a hundred clients.
struct Canary {
    proxy: Proxy,
    old: Backend,
    new: Backend,
    by: PinBy,
}

impl Canary {
    fn start(by: PinBy, percent: u16) -> Self {
        let canary = Self { proxy: Proxy::start(), old: Backend::named("old"), new: Backend::named("new"), by };
        canary.share(percent);
        canary
    }

    fn share(&self, percent: u16) {
        let service = pinned(self.old.address, self.new.address, self.by.clone(), percent);
        self.proxy.publish(vec![trusting(http(self.proxy.address, "web"))], vec![service]);
    }

    /// Nobody is tried out any more.
    fn over(&self) {
        let targets = [("web.r1.i1", self.old.address, SERVING), ("web.r2.i2", self.new.address, Mode::Draining)];
        self.proxy.publish(vec![trusting(http(self.proxy.address, "web"))], vec![service("web", &targets)]);
    }
}

fn pinned(old: SocketAddr, new: SocketAddr, by: PinBy, percent: u16) -> Service {
    let weight = |weight| Mode::Serving { weight };
    let targets = [("web.r1.i1", old, weight((100 - percent).max(1))), ("web.r2.i2", new, weight(percent))];
    let (deployment, release, life) = (DeploymentId(7), ReleaseNo(2), Duration::from_secs(3600));
    let pin = Pin { by, release, share: percent * 100, deployment, life };
    with(service("web", &targets), |service| service.pin = Some(pin))
}

/// Believes what clients of the loopback say of others, as it does of a proxy in front.
fn trusting(mut listener: Listener) -> Listener {
    if let Traffic::Http { trusted, .. } = &mut listener.traffic {
        *trusted = vec!["127.0.0.0/8".to_owned().try_into().unwrap()];
    }
    listener
}

/// The cookie that an answer sets, as a client sends it back.
fn cookie(answer: &Answer) -> Option<String> {
    let value = answer.field("set-cookie")?;
    value.starts_with("cutover-canary-web=").then(|| value.split(';').next().unwrap().to_owned())
}

/// What a client sends to be told apart. With cookies: what it was given.
fn fields(by: &PinBy, client: usize, given: Option<&String>) -> String {
    match by {
        PinBy::Cookie => given.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default(),
        PinBy::Header(name) => format!("{name}: user-{client}\r\n"),
        PinBy::Address => format!("X-Forwarded-For: 10.1.{}.{}\r\n", client / 256, client % 256),
    }
}

/// Seen to fail with points drawn anew for each request, with a share compared by `>=`, and with the release chosen by the
/// weights although there is a point.
#[test]
fn a_share_is_one_of_clients_and_nobody_flips_while_it_grows() {
    for by in [PinBy::Cookie, PinBy::Header("X-User".to_owned()), PinBy::Address] {
        let canary = Canary::start(by.clone(), 10);
        let mut conn = canary.proxy.connect();
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let answer = conn.get_with("/", &fields(&by, client, None));
            clients.push((answer.text() == "new", cookie(&answer)));
        }
        let share = |clients: &[(bool, Option<String>)]| {
            100.0 * clients.iter().filter(|(new, _)| *new).count() as f64 / clients.len() as f64
        };
        assert!((share(&clients) - 10.0).abs() < 2.0, "{by:?}: {} %", share(&clients));
        // The rest of it with fewer: what is looked at is each client, not their number.
        clients.truncate(CLIENTS / 10);
        for percent in [10, 11, 40, 99] {
            canary.share(percent);
            for (client, (new, given)) in clients.iter_mut().enumerate() {
                let answer = conn.get_with("/", &fields(&by, client, given.as_ref()));
                assert_eq!(cookie(&answer), None, "it has one already");
                let now = answer.text() == "new";
                assert!(now || !*new, "{by:?}: client {client} went back to the old release at {percent} %");
                *new = now;
            }
            assert!((share(&clients) - f64::from(percent)).abs() < 4.0, "{by:?}: {} % for {percent}", share(&clients));
        }
        canary.over();
        for (client, (_, given)) in clients.iter().enumerate() {
            let answer = conn.get_with("/", &fields(&by, client, given.as_ref()));
            assert_eq!((answer.text(), cookie(&answer)), ("old", None), "{by:?}: the canary is taken back");
        }
        assert_eq!(canary.proxy.service("web").failed, 0);
        let heads = [canary.old.seen(), canary.new.seen()].concat();
        assert!(!heads.iter().any(|head| head.contains("cutover-canary")), "an instance saw our cookie");
    }
}

/// Few clients are shared out as well as many: of twenty, one in ten is two.
// Seen to fail with points given out in order: all of them are then the canary's, or none.
#[test]
fn a_few_clients_are_shared_out_too() {
    let canary = Canary::start(PinBy::Cookie, 10);
    let new = (0..20).filter(|_| canary.proxy.connect().get("/").text() == "new").count();
    assert!((1..=3).contains(&new), "{new} of 20");
}

/// Seen to fail with the cookie passed on, with those of others dropped beside it, and with `Secure` on anybody's word.
#[test]
fn a_cookie_is_between_the_client_and_the_proxy() {
    let canary = Canary::start(PinBy::Cookie, 50);
    canary.proxy.publish(
        vec![routes(canary.proxy.address, &[(&[], "/shop", "web")])],
        vec![pinned(canary.old.address, canary.new.address, PinBy::Cookie, 50)],
    );
    let mut conn = canary.proxy.connect();
    let answer = conn.get_with("/shop/cart", "X-Forwarded-Proto: https\r\n");
    let given = answer.field("set-cookie").unwrap();
    let (value, attributes) = given.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/shop; Max-Age=3600; HttpOnly; SameSite=Lax", "nobody is believed here");
    let release = answer.text().to_owned();
    let seen = |backend: &Backend| backend.seen().pop().unwrap();
    let server = if release == "new" { &canary.new } else { &canary.old };
    for (sent, expected) in [
        (format!("Cookie: {value}\r\n"), None),
        (format!("Cookie: a=1; {value}; b=\"2;\"\r\n"), Some("a=1; b=\"2;\"")),
        (format!("Cookie: a=1\r\nCookie: {value}; cutover-canary-api=9.9\r\n"), Some("a=1")),
        (format!("cookie:cutover-canary-=;{value};;not-cutover-canary-x=1\r\n"), Some("not-cutover-canary-x=1")),
    ] {
        let answer = conn.get_with("/shop", &sent);
        assert_eq!((answer.text(), cookie(&answer)), (release.as_str(), None), "{sent}");
        assert_eq!(field(&seen(server), "cookie").as_deref(), expected, "{sent}");
    }
    conn.get_with("/shop", &format!("Cookie: a=1; {value}\r\nConnection: keep-alive, cookie\r\n"));
    assert_eq!(field(&seen(server), "cookie"), None, "the client said that it is not to be passed on");
    canary.share(50);
    let answer = conn.get_with("/", "X-Forwarded-Proto: https, http\r\n");
    assert!(answer.field("set-cookie").unwrap().ends_with("; SameSite=Lax; Secure"));
    assert!(!conn.get_with("/", "X-Forwarded-Proto: http\r\n").head.contains("Secure"));
}

/// Whoever makes up a cookie chooses a release, and no more. Seen to fail with points beyond the last one taken.
#[test]
fn a_cookie_that_is_made_up_is_harmless() {
    let canary = Canary::start(PinBy::Cookie, 50);
    let mut conn = canary.proxy.connect();
    let name = "cutover-canary-web";
    for value in ["", "7", "7.", "7.x", "7.-1", "7.10000", "7.99999999999999999999", "6.1", "7.1.1", "\u{e9}.1", "7.1x"]
    {
        let answer = conn.get_with("/", &format!("Cookie: {name}={value}\r\n"));
        assert_eq!(answer.status, 200, "{value:?}");
        assert!(cookie(&answer).is_some(), "{value:?} was taken for a point");
    }
    assert_eq!(conn.get_with("/", &format!("Cookie: {name}=7.0\r\n")).text(), "new");
    assert_eq!(conn.get_with("/", &format!("Cookie: {name}=7.9999\r\n")).text(), "old");
    assert_eq!(
        conn.get_with("/", &format!("Cookie: {name}=junk; {name}=7.9999\r\n")).text(),
        "old",
        "the good one counts"
    );
    assert!(cookie(&conn.get_with("/", "cutover-token: secret\r\n")).is_none(), "the agent is no client");
}

/// A binding never costs a request: when nobody of the release is there, the other one serves. Seen to fail (502) with a client's
/// own side as the only choice.
#[test]
fn when_one_side_is_gone_the_other_serves() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let proxy = Proxy::start();
    let mut conn = Conn::to({
        proxy.publish(vec![http(proxy.address, "web")], vec![pinned(old.address, free_address(), PinBy::Cookie, 50)]);
        proxy.address
    });
    for _ in 0..20 {
        assert_eq!(conn.get_with("/", "Cookie: cutover-canary-web=7.0\r\n").text(), "old");
    }
    proxy.publish(vec![http(proxy.address, "web")], vec![pinned(free_address(), new.address, PinBy::Cookie, 50)]);
    for _ in 0..20 {
        assert_eq!(conn.get_with("/", "Cookie: cutover-canary-web=7.9999\r\n").text(), "new");
    }
    // The table has learned of it.
    let half = with(pinned(old.address, new.address, PinBy::Cookie, 50), |web| web.targets[1].mode = Mode::Draining);
    proxy.publish(vec![http(proxy.address, "web")], vec![half]);
    assert_eq!(conn.get_with("/", "Cookie: cutover-canary-web=7.0\r\n").text(), "old");
    assert_eq!(proxy.service("web").failed, 0);
}

/// Who cannot be told apart goes by the weights. Seen to fail with an absent header taken for an empty one: all of them are one
/// client then.
#[test]
fn who_cannot_be_told_apart_is_shared_out_by_request() {
    for (by, fields) in [
        (PinBy::Header("X-User".to_owned()), ""),
        (PinBy::Header("X-User".to_owned()), "X-User:\r\n"),
        (PinBy::Address, "X-Forwarded-For: unknown\r\n"),
    ] {
        let canary = Canary::start(by.clone(), 25);
        let mut conn = canary.proxy.connect();
        let new = (0..100).filter(|_| conn.get_with("/", fields).text() == "new").count();
        assert_eq!(new, 25, "{by:?} {fields:?}");
    }
}

/// Only those in front of us are believed, and of what they say the last that is not one of them. Seen to fail with the first
/// member taken, which is whatever the client wrote.
#[test]
fn an_address_is_the_one_that_somebody_trusted_saw() {
    let canary = Canary::start(PinBy::Address, 50);
    let mut conn = canary.proxy.connect();
    let mut of = |forwarded: &str| conn.get_with("/", &format!("X-Forwarded-For: {forwarded}\r\n")).text().to_owned();
    let (mut differ, mut same) = (false, true);
    for client in 0..16 {
        let seen = of(&format!("10.0.0.{client}"));
        same &= seen == of(&format!("1.1.1.1, 10.0.0.{client}"));
        same &= seen == of(&format!("10.0.0.{client}, 127.0.0.9"));
        same &= seen == of(&format!("nonsense, 10.0.0.{client}:4711,127.0.0.9"));
        differ |= seen != of("10.0.0.0");
    }
    assert!(differ && same);
    // From anybody else all of it is only talk: it is one client.
    let web = pinned(canary.old.address, canary.new.address, PinBy::Address, 50);
    canary.proxy.publish(vec![http(canary.proxy.address, "web")], vec![web]);
    let one = of("10.0.0.1");
    assert!((2..16).all(|client| of(&format!("10.0.0.{client}")) == one));
}

/// Connections have addresses. Seen to fail with the choice left to the weights.
#[test]
fn a_tcp_client_keeps_to_its_release() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let proxy = Proxy::start();
    let publish = |percent| {
        let web = pinned(old.address, new.address, PinBy::Address, percent);
        proxy.publish(vec![tcp(proxy.address, "web")], vec![web]);
    };
    publish(50);
    let first = proxy.connect().get("/").text().to_owned();
    for _ in 0..10 {
        assert_eq!(proxy.connect().get("/").text(), first, "one address is one client");
    }
    publish(100);
    assert_eq!(proxy.connect().get("/").text(), "new");
    until("all are over", || proxy.target("web.r1.i1").streams + proxy.target("web.r2.i2").streams == 0);
}
