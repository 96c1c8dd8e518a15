//! Where containers are reached: networks, fixed addresses, names and published ports, and what is said when somebody else is in the way.

mod docker_support;

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use cutover::engine::port::Runtime;
use cutover_core::spec::StopSpec;
use cutover_testkit::host::until;
use docker_support::place::{Network, Stranger, free_range};
use docker_support::shop::{Service, Shop};
use docker_support::{World, docker, id, order, web};

/// The sample with this network.
fn configure(shop: &Shop, more: &str, network: &str) {
    let tables = format!("{}\n[service.sample.network]\n{network}", Service::default().tables);
    shop.write(&Service { lines: shop.sample(1, more), tables, ..Service::default() });
}

/// The network's name, range and two addresses, to be made if it is missing.
fn two_addresses(network: &Network) -> String {
    format!(
        "name = \"{}\"\nsubnet = \"{}\"\ngateway = \"{}\"\naddresses = [\"{}\", \"{}\"]",
        network.name,
        network.subnet(),
        network.at(200),
        network.at(10),
        network.at(11)
    )
}

/// Seen to fail with a network that is made without its gateway, and with an address that is chosen without a look at who runs (the second deployment
/// takes the first one's).
#[test]
fn two_fixed_addresses_take_turns_in_a_network_that_is_made() {
    let network = Network::new();
    let shop = Shop::new();
    configure(&shop, "", &two_addresses(&network));
    for (round, last) in [10, 11, 10].into_iter().enumerate() {
        shop.host.done(&["deploy", "--again"]);
        assert_eq!(shop.targets(), [format!("{}:8080", network.at(last))], "deployment {round}");
        shop.get("/").expect("an answer by way of the proxy");
    }
    let made = network.says("{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}");
    assert_eq!(made, format!("{} {}", network.subnet(), network.at(200)));
}

#[test]
fn a_range_that_somebody_has_is_said_by_name_in_the_plan() {
    let (theirs, wanted) = (Network::made(), Network::new());
    let shop = Shop::new();
    let network = format!("name = \"{}\"\nsubnet = \"{}.0/25\"", wanted.name, theirs.range);
    shop.configure(1, "");
    shop.host.done(&["deploy"]);
    configure(&shop, "", &network);
    shop.refused(&[
        &format!("could not make the network {}", wanted.name),
        &format!("the network {} has {}", theirs.name, theirs.subnet()),
        "choose another subnet",
    ]);
    assert_eq!(shop.host.live(), Some(1));
    assert_eq!(shop.containers().len(), 1, "something was made");
}

/// A network that is to be there, and is not; and one whose range is not the one that is written down.
///
/// Seen to fail when a network that is there was taken as it is.
#[test]
fn a_network_that_is_not_as_it_should_be_is_said() {
    let (missing, other) = (Network::new(), Network::made());
    let shop = Shop::new();
    configure(&shop, "", &format!("name = \"{}\"", missing.name));
    shop.turned_down(&[
        &format!("there is no network {}", missing.name),
        &format!("docker network create {}", missing.name),
    ]);
    let range = free_range();
    let elsewhere =
        format!("name = \"{}\"\nsubnet = \"{range}.0/24\"\naddresses = [\"{range}.10\", \"{range}.11\"]", other.name);
    configure(&shop, "", &elsewhere);
    shop.refused(&[
        &format!("the network {} has {}", other.name, other.subnet()),
        &format!("{range}.0/24"),
        "docker network rm",
    ]);
    assert_eq!(shop.containers(), Vec::<String>::new());
}

/// Seen to fail with addresses that are taken in turn, whoever has them.
#[test]
fn an_address_that_a_stranger_holds_is_passed_over_or_said_by_name() {
    let network = Network::made();
    let holding = |last: u8| {
        let name = Stranger::name("holder");
        (Stranger::with(&["--name", &name, "--network", &network.name, "--ip", &network.at(last)]), name)
    };
    let shop = Shop::new();
    configure(&shop, "", &two_addresses(&network));
    let (first, name) = holding(10);
    shop.host.done(&["deploy"]);
    assert_eq!(shop.targets(), [format!("{}:8080", network.at(11))]);
    shop.turned_down_again(&[
        "none of the addresses in",
        &format!("{} is held by {name}", network.at(10)),
        &format!("{} is held by sample-r1-i1", network.at(11)),
        "release 1 of sample is live",
    ]);
    drop(first);
    shop.host.done(&["deploy", "--again"]);
    assert_eq!(shop.targets(), [format!("{}:8080", network.at(10))]);
    // The stranger comes back while nobody has it in mind.
    let (_second, name) = holding(11);
    shop.turned_down_again(&[&format!("{} is held by {name}", network.at(11))]);
}

fn ports_of(shop: &Shop) -> String {
    docker(&["inspect", "--format", "{{json .HostConfig.PortBindings}}", &shop.running()[0]])
}

/// Seen to fail without the warning, and with a port that is published though nobody asked.
#[test]
fn a_port_is_published_only_if_asked_and_with_a_warning() {
    let shop = Shop::new();
    let warning = "a published port accepts connections before the program listens";
    shop.configure(1, "");
    let told = shop.host.done(&["deploy"]);
    assert!(!told.stderr.contains(warning), "{}", told.stderr);
    assert_eq!(ports_of(&shop), "{}");
    let (one, other) = (shop.host.another_port(), shop.host.another_port());
    shop.configure(1, &format!("publish = [{one}, {other}]"));
    for port in [one, other, one] {
        shop.host.done(&["deploy", "--again"]).says(&[warning, "`ready` must ask for an answer"]);
        assert_eq!(shop.targets(), [format!("127.0.0.1:{port}")]);
        let bindings = format!("{{\"8080/tcp\":[{{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"{port}\"}}]}}");
        assert_eq!(ports_of(&shop), bindings);
    }
}

/// A process has one of the ports, a container the other.
///
/// Seen to fail when the process that stands in for a container was named in its place, and with a port that is taken for free because nobody of ours
/// has it.
#[test]
fn a_published_port_that_a_stranger_has_is_said_by_whom() {
    let shop = Shop::new();
    let (one, other) = (shop.host.another_port(), shop.host.another_port());
    shop.configure(1, &format!("publish = [{one}, {other}]"));
    let process = TcpListener::bind(("127.0.0.1", one)).expect("the port is free");
    let name = Stranger::name("publisher");
    let container = Stranger::with(&["--name", &name, "--publish", &format!("127.0.0.1:{other}:80")]);
    shop.turned_down(&[
        "none of the ports to publish on is free",
        &format!("{one} by docker_networks (process {})", std::process::id()),
        &format!("{other} by the container {name}"),
        "nothing of sample is live",
    ]);
    drop(process);
    shop.host.done(&["deploy"]);
    assert_eq!(shop.targets(), [format!("127.0.0.1:{one}")]);
    drop(container);
    until("the port is free", || TcpListener::bind(("127.0.0.1", other)).ok().map(drop));
    shop.host.done(&["deploy", "--again"]);
    assert_eq!(shop.targets(), [format!("127.0.0.1:{other}")]);
}

/// Neighbours find the instances by a name: those of the new release, once the old one is gone.
///
/// Seen to fail with a network that is attached without its aliases.
#[test]
fn an_alias_leads_to_the_new_container() {
    let network = Network::made();
    let neighbour = Stranger::with(&["--network", &network.name]);
    let shop = Shop::new();
    let alias = format!("name = \"{}\"\naliases = [\"shop\"]", network.name);
    let mut before = String::new();
    for image in [1, 2] {
        let tables = format!("{}\n[service.sample.network]\n{alias}", Service::default().tables);
        shop.write(&Service { lines: shop.sample(image, ""), tables, ..Service::default() });
        shop.host.done(&["deploy"]);
        let [target] = &shop.targets()[..] else { panic!("not one target: {:?}", shop.targets()) };
        assert_ne!(*target, before);
        let address = target.trim_end_matches(":8080").to_owned();
        until("the name leads to the new container only", || {
            let looked_up = neighbour.run(&["/bin/busybox", "nslookup", "shop"]);
            let found: Vec<&str> = looked_up.lines().filter_map(|line| line.strip_prefix("Address: ")).collect();
            (found == [address.as_str()]).then_some(())
        });
        let body = neighbour.run(&["/bin/busybox", "wget", "-q", "-O", "-", "http://shop:8080/healthz"]);
        assert_eq!(body, "ok");
        before.clone_from(target);
    }
}

/// They are asked for in the container's own network. Seen to fail with ours asked in place of it (nothing was found), and with an ended
/// container's said to be none.
#[tokio::test]
async fn connections_are_seen_while_they_are_open() {
    let world = World::new();
    let instance = id("web.r1.i1");
    let at = world.start(&order("web.r1.i1", web(8080))).await.unwrap();
    let open = until("it listens", || TcpStream::connect(at).ok());
    let peers = BTreeSet::from([open.local_addr().unwrap()]);
    assert_eq!(world.runtime.connections(&instance).await, Some(peers));
    drop(open);
    let closed = async {
        while world.runtime.connections(&instance).await != Some(BTreeSet::new()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("it is seen to close");
    let at_once = StopSpec { grace: Duration::ZERO, ..StopSpec::default() };
    world.runtime.stop(&instance, &at_once).await.unwrap();
    assert_eq!(world.runtime.connections(&instance).await, None);
}
