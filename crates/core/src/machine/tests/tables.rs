//! What the route table says of shares and previews while a deployment goes through its steps.

use std::time::Duration;

use super::*;
use crate::id::Generation;
use crate::pin::{Pin, PinBy};
use crate::release::Release;
use crate::spec::{Canary, RouteSpec, ServiceSpec, Share, Strategy};
use crate::table::{Hold, Protocol, Table, Traffic};
use crate::tls::InstanceTls;

fn route(spec: &mut ServiceSpec) -> &mut crate::spec::ProxyRoute {
    let Some(RouteSpec::Proxy(route)) = &mut spec.route else { unreachable!() };
    route
}

fn table(state: &ServiceState, spec: &ServiceSpec) -> Table {
    let hold = Hold { wait: Duration::ZERO, requests: 0 };
    super::super::table(Generation(1), &[(state, spec.route.as_ref())], None, &hold)
}

/// What the table says at each stage: after each event, the same in a row left out.
fn seen<T: PartialEq>(
    run: &mut Run,
    look: impl Fn(&ServiceState) -> T,
    ends: impl Fn(&ServiceState) -> bool,
) -> Vec<T> {
    let mut seen = vec![look(&run.state)];
    while run.state.deployment.is_some() && !ends(&run.state) {
        run.go(false);
        seen.push(look(&run.state));
    }
    seen.dedup();
    seen
}

/// Seen to fail with the pin kept for those that stand by when a canary is taken back.
#[test]
fn clients_are_bound_while_a_canary_has_a_share_and_no_longer() {
    let mut spec = spec();
    let share = |percent| Share { percent, time: Duration::from_secs(60) };
    let canary = Canary { steps: vec![share(5), share(40)], by: Some(PinBy::Cookie) };
    spec.rollout.strategy = Strategy::Canary(canary);
    let mut run = Run::live();
    run.begin(plan::deploy(&run.state, desired(&spec)).unwrap());
    let pin = |state: &ServiceState| table(state, &spec).services[0].pin.clone();
    let share = |state: &ServiceState| pin(state).map(|pin| pin.share);
    let mut back = Run { state: run.state.clone(), records: run.records.clone() };
    assert_eq!(seen(&mut run, share, |_| false), [None, Some(500), Some(4000), None]);
    let held = |state: &ServiceState| share(state) == Some(4000);
    seen(&mut back, share, held);
    let Pin { release, life, deployment, by, .. } = pin(&back.state).unwrap();
    assert_eq!(
        (release, by, Some(deployment)),
        (ReleaseNo(2), PinBy::Cookie, back.state.deployment.as_ref().map(|d| d.id))
    );
    assert!(life > Duration::from_secs(120), "a cookie outlives the holds");
    back.take(abort());
    assert_eq!(seen(&mut back, share, |_| false), [Some(4000), None]);
}

/// Seen to fail without the look at the commit, and with the way back taken for a way forward.
#[test]
fn a_preview_shows_a_release_from_the_plan_to_the_commit() {
    let mut spec = spec();
    route(&mut spec).preview = Some("127.0.0.1:8101".parse().unwrap());
    let mut run = Run::live();
    run.begin(plan::deploy(&run.state, desired(&spec)).unwrap());
    let shown = |state: &ServiceState| {
        table(state, &spec).listeners.into_iter().find_map(|listener| match listener.traffic {
            Traffic::Preview { release, .. } => Some((listener.address.port()?, release)),
            _ => None,
        })
    };
    let mut back = Run { state: run.state.clone(), records: run.records.clone() };
    let committed = |state: &ServiceState| {
        let behind = |d: &Deployment| matches!(d.progress, Progress::Forward { step, .. } if step > d.plan.commit());
        state.deployment.as_ref().is_some_and(behind)
    };
    let (open, closed) = (Some((8101, Some(ReleaseNo(2)))), Some((8101, None)));
    assert_eq!(seen(&mut run, shown, committed), [open, closed]);
    assert!(run.state.deployment.is_some(), "it closes before the end");
    run.finish();
    back.go(false);
    back.take(abort());
    assert_eq!(seen(&mut back, shown, |_| false), [closed], "it is turned back");
    // A restart brings nothing new.
    let release = Release { spec: spec.clone(), ..release(2) };
    run.begin(plan::restart(&run.state, Kind::Restart, &release).unwrap());
    assert_eq!(seen(&mut run, shown, |_| false), [closed]);
}

/// Seen to fail with every service given a listener of its own, and with a listener left when its last service is gone.
#[test]
fn counters_of_several_services_are_read_at_one_address_that_is_nobody_else_s() {
    let (mut first, mut second) = (spec(), spec());
    let metrics: std::net::SocketAddr = "127.0.0.1:9180".parse().unwrap();
    route(&mut first).metrics = Some(metrics);
    route(&mut second).metrics = Some(metrics);
    route(&mut second).listen = "127.0.0.1:81".parse().unwrap();
    let (mut own, mut third) = (first.clone(), spec());
    let (one, two) = (Run::live().state, ServiceState::new(ServiceName::new("api").unwrap()));
    let hold = Hold { wait: Duration::ZERO, requests: 0 };
    let both = [(&one, first.route.as_ref()), (&two, second.route.as_ref())];
    let table = super::super::table(Generation(1), &both, None, &hold);
    let told = table.listeners.iter().filter_map(|listener| match &listener.traffic {
        Traffic::Metrics { services } => Some((listener.address.tcp()?, services.len())),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(metrics, 2)]);
    assert_eq!(table.conflict(&one.name, route(&mut own)), None, "its own is no conflict");
    route(&mut third).listen = metrics.into();
    let conflict = table.conflict(&ServiceName::new("third").unwrap(), route(&mut third)).unwrap();
    assert_eq!(conflict.wanted, "127.0.0.1:9180");
    route(&mut third).listen = "127.0.0.1:82".parse().unwrap();
    route(&mut third).metrics = Some("0.0.0.0:80".parse().unwrap());
    let conflict = table.conflict(&ServiceName::new("third").unwrap(), route(&mut third)).unwrap();
    assert_eq!(conflict.owner, one.name, "it takes no address from a route");
    // Alone, it may give up an address of its counters for its traffic.
    let alone = super::super::table(Generation(1), &both[..1], None, &hold);
    route(&mut third).metrics = None;
    route(&mut third).listen = metrics.into();
    assert_eq!(alone.conflict(&one.name, route(&mut third)), None);
}

/// Seen to fail with the listeners of previews added before the routes of services behind them.
#[test]
fn a_preview_takes_no_address_from_a_route() {
    let (mut first, second) = (spec(), spec());
    route(&mut first).preview = Some("0.0.0.0:80".parse().unwrap());
    route(&mut first).listen = "127.0.0.1:81".parse().unwrap();
    let (one, two) = (Run::live().state, ServiceState::new(ServiceName::new("api").unwrap()));
    let hold = Hold { wait: Duration::ZERO, requests: 0 };
    let both = [(&one, first.route.as_ref()), (&two, second.route.as_ref())];
    let table = super::super::table(Generation(1), &both, None, &hold);
    let at: Vec<String> = table.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(at, ["127.0.0.1:81", "127.0.0.1:80"]);
    let conflict = table.conflict(&one.name, route(&mut first)).unwrap();
    assert_eq!((conflict.wanted.as_str(), conflict.owner.as_str()), ("0.0.0.0:80", "api"));
}

/// Two services may share a host by path, whatever other hosts each has.
/// Seen to fail with one certificate for all hosts.
#[test]
fn what_is_ordered_is_ordered_for_each_host() {
    use crate::acme::{Authority, Challenge};
    use crate::machine::ServiceState;
    use crate::spec::RouteKind;
    use crate::tls::{CertificateFrom, TlsSpec, TlsVersion};

    let name = |text: &str| crate::ServiceName::new(text).unwrap();
    let by = |hosts: &[&str], path: &str, directory: &str| {
        let mut spec = spec();
        let route = route(&mut spec);
        route.listen = "0.0.0.0:443".parse().unwrap();
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        route.kind = RouteKind::Http { hosts, path: path.to_owned(), more: vec![] };
        let (directory, challenge) = (directory.to_owned(), Challenge::TlsAlpn01);
        let authority = Authority { directory, email: None, ca_file: None, store: None, challenge, binding: None };
        let (from, minimum) = (CertificateFrom::Acme(Box::new(authority)), TlsVersion::V12);
        route.tls = Some(Box::new(TlsSpec { from, minimum, redirect: None, hsts: None }));
        spec.route.unwrap()
    };
    let shop = by(&["shop", "www"], "/", "https://ca/a");
    let state = ServiceState::new(name("shop"));
    let hold = Hold { wait: Duration::ZERO, requests: 0 };
    let table = super::super::table(Generation(1), &[(&state, Some(&shop))], None, &hold);
    let hosts: Vec<_> = table.listeners[0].identities.iter().map(|identity| identity.hosts.clone()).collect();
    assert_eq!(hosts, [["shop"], ["www"]]);
    let again: Table = serde_json::from_str(&serde_json::to_string(&table).unwrap()).unwrap();
    assert_eq!(again, table);
    let conflict = |route: RouteSpec| table.conflict(&name("api"), route.proxy().unwrap()).map(|found| found.wanted);
    assert_eq!(conflict(by(&["shop", "api"], "/api", "https://ca/a")), None);
    let other = conflict(by(&["shop"], "/api", "https://ca/b"));
    assert_eq!(other.as_deref(), Some("the certificate for shop on 0.0.0.0:443"));
}

/// Seen to fail with the certificates of a listener compared by service instead of by host.
#[test]
fn services_by_tls_share_an_address_and_bring_their_certificates() {
    use crate::machine::ServiceState;
    use crate::spec::RouteKind;
    use crate::tls::{CertificateFrom, TlsSpec, TlsVersion};

    let name = |text: &str| crate::ServiceName::new(text).unwrap();
    let by = |hosts: &[&str], path: &str, pair: Option<&str>, listen: &str| {
        let mut spec = spec();
        let route = route(&mut spec);
        route.listen = listen.parse().unwrap();
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        route.kind = RouteKind::Http { hosts, path: path.to_owned(), more: vec![] };
        route.tls = pair.map(|pair| {
            Box::new(TlsSpec {
                from: CertificateFrom::Files { certificate: pair.into(), key: pair.into() },
                minimum: TlsVersion::V12,
                redirect: Some("0.0.0.0:80".parse().unwrap()),
                hsts: Some(Duration::from_secs(60)),
            })
        });
        spec.route.unwrap()
    };
    let tls = "0.0.0.0:443";
    let (shop, api) = (by(&["shop"], "/", Some("/a"), tls), by(&["api"], "/", Some("/b"), tls));
    let states = [ServiceState::new(name("shop")), ServiceState::new(name("api"))];
    let hold = Hold { wait: Duration::ZERO, requests: 0 };
    let routes = [(&states[0], Some(&shop)), (&states[1], Some(&api))];
    let table = super::super::table(Generation(1), &routes, None, &hold);
    let [secure, plain] = &table.listeners[..] else { panic!("{:?}", table.listeners) };
    assert_eq!(secure.identities.iter().map(|i| &i.hosts[0][..]).collect::<Vec<_>>(), ["shop", "api"]);
    assert!(plain.identities.is_empty());
    let routes_of = |listener: &crate::table::Listener| match &listener.traffic {
        Traffic::Http { routes, .. } => {
            routes.iter().map(|route| (route.https, route.hsts.is_some())).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(routes_of(secure), [(None, true), (None, true)]);
    assert_eq!(routes_of(plain), [(Some(443), false), (Some(443), false)]);
    let again: Table = serde_json::from_str(&serde_json::to_string(&table).unwrap()).unwrap();
    assert_eq!(again, table);
    let conflict = |route: RouteSpec| {
        let conflict = table.conflict(&name("new"), route.proxy().unwrap());
        conflict.map(|conflict| (conflict.wanted, conflict.owner.to_string()))
    };
    let taken = |wanted: &str, owner: &str| Some((wanted.to_owned(), owner.to_owned()));
    assert_eq!(conflict(by(&["new"], "/", Some("/c"), tls)), None);
    assert_eq!(conflict(by(&["shop"], "/new", Some("/a"), tls)), None, "the same certificate, another path");
    assert_eq!(
        conflict(by(&["shop"], "/new", Some("/c"), tls)),
        taken("the certificate for shop on 0.0.0.0:443", "shop")
    );
    assert_eq!(conflict(by(&["new"], "/", None, tls)), taken(tls, "shop"), "not by TLS");
    assert_eq!(conflict(by(&["new"], "/", None, "0.0.0.0:80")), None, "beside the redirects");
    assert_eq!(conflict(by(&["api"], "/", None, "0.0.0.0:80")), taken("api/ on 0.0.0.0:80", "api"));
    assert_eq!(table.conflict(&name("api"), api.proxy().unwrap()), None, "not with itself");
}

/// A release brings its protocol along; tables of before there were any still read, and are read by proxies of then.
#[test]
fn a_target_is_spoken_to_as_its_release_says() {
    let (spec, mut run) = (spec(), Run::live());
    run.state.instances.values_mut().for_each(|instance| instance.address = Some("127.0.0.1:1".parse().unwrap()));
    let mut table = table(&run.state, &spec);
    let before = serde_json::to_string(&table).unwrap();
    assert!(!before.contains("protocol"));
    table.speak(|instance| if instance.number == 1 { Protocol::H2c } else { Protocol::Http1 });
    let text = serde_json::to_string(&table).unwrap();
    assert_eq!(text.matches("\"protocol\":\"h2c\"").count(), 1, "{text}");
    assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
    let tls = InstanceTls { name: Some("web.internal".to_owned()), ..InstanceTls::default() };
    table.secure(|instance| (instance.number == 1).then(|| Box::new(tls.clone())));
    let text = serde_json::to_string(&table).unwrap();
    assert_eq!(text.matches("\"tls\":{\"name\":\"web.internal\"}").count(), 1, "{text}");
    assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
}
