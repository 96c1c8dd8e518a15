//! What the acknowledgement is worth: our order against that of the usual script, on a real nginx.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

mod nginx_support;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use cutover::router::nginx::Nginx as NginxRouter;
use cutover::runtime::Runtimes;
use cutover_core::spec::{NginxAt, NginxProgram, NginxRoute, NginxShape};
use cutover_core::table::{Balance, Front, Limits, Mode, Service, Table, Target};
use cutover_core::{InstanceId, ServiceName};
use cutover_meter::{Load, Meter, Running};
use cutover_testkit::host::{Host, answers, until};
use nginx_support::{Conf, Nginx, PASS, including};

/// A copy of the sample that nobody manages.
struct Side {
    child: Child,
    port: u16,
    release: u32,
}

impl Side {
    #[track_caller]
    fn start(host: &Host, release: u32) -> Self {
        let port = host.another_port();
        let mut command = Command::new(host.binary());
        let number = release.to_string();
        command.args(["sample", "--port", &port.to_string(), "--release", &number, "--ledger"]).arg(host.ledger());
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port, release }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn instance(&self) -> InstanceId {
        format!("sample.r{0}.i{0}", self.release).parse().unwrap()
    }
}

fn scene() -> (Host, Nginx, Side) {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let nginx = Nginx::prepare(&host, &Conf { http: &including(&host), server: PASS });
    let first = Side::start(&host, 1);
    nginx.write("app.conf", &format!("upstream app {{ server 127.0.0.1:{}; }}\n", first.port));
    nginx.run();
    (host, nginx, first)
}

/// A new connection for each request: what no reload needs to harm.
#[track_caller]
fn load(host: &Host) -> Running {
    let load = Load { reused: 0, peek: 0, fresh: 8, sse: 0, websockets: 0, uploads: 1, ..host.load(400.0) };
    let meter = Meter::start_on_thread(load).unwrap();
    answers(&meter, 50);
    meter
}

/// The order of the usual script: write, reload, kill.
#[test]
fn killing_the_old_side_right_after_the_reload_loses_requests() {
    let (host, nginx, mut old) = scene();
    let meter = load(&host);
    while meter.snapshot().requests.failed == 0 {
        assert!(old.release <= 20, "20 switches in the wrong order lost nothing");
        let new = Side::start(&host, old.release + 1);
        nginx.write("app.conf", &format!("upstream app {{ server 127.0.0.1:{}; }}\n", new.port));
        assert!(nginx.call(&["-s", "reload"]).status.success());
        old.kill();
        old = new;
        answers(&meter, 100);
    }
    drop(meter.stop_blocking());
    old.kill();
}

/// Ours: write, reload, wait for the acknowledgement, wait until nothing is in hand, kill. Seen to fail with an acknowledgement
/// that looks at nothing (the release before answered), and with counters that leave out nginx's old workers (slow uploads were
/// lost that they were still reading).
#[test]
fn the_acknowledged_order_loses_nothing() {
    let (host, nginx, mut old) = scene();
    let runtime = Arc::new(Runtimes::new(&host.state(), host.binary()));
    let router = NginxRouter::new(host.root().join("nginx-records"), runtime);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let meter = load(&host);
    for generation in 1..=5 {
        let new = Side::start(&host, old.release + 1);
        let table = table(&host, &nginx, generation, &new, &old);
        router.expect(&table);
        tokio.block_on(router.publish(&ServiceName::new("sample").unwrap(), &table)).unwrap();
        assert_eq!(release_of_a_new_connection(&host), new.release.to_string(), "after {generation} switches");
        let in_hand = || {
            let counted = tokio.block_on(router.count()).unwrap();
            counted.iter().filter(|t| t.instance == old.instance()).map(|t| t.in_flight + t.streams).sum::<u64>()
        };
        until("nothing is in hand", || (in_hand() == 0).then_some(()));
        // What is open at a process that is not ours cannot be told here: the few milliseconds of a plain request.
        let table = || std::fs::read_to_string("/proc/net/tcp").unwrap();
        until("no connection is open at it", || (!has_peers(&table(), old.port)).then_some(()));
        old.kill();
        old = new;
        answers(&meter, 50);
    }
    assert_eq!(nginx.reloads(), 5);
    host.clean_report(meter);
    old.kill();
}

fn has_peers(table: &str, port: u16) -> bool {
    let local = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(1).zip(line.split_ascii_whitespace().nth(3)))
        .any(|(address, state)| address.ends_with(&local) && state == "01")
}

fn table(host: &Host, nginx: &Nginx, generation: u64, new: &Side, old: &Side) -> Table {
    let name = ServiceName::new("sample").unwrap();
    let program = NginxProgram { config: Some(nginx.config()), command: nginx.command(), reload: None };
    let shape = NginxShape::Upstream { name: "app".to_owned(), directives: Vec::new(), server: None };
    let url = Some(format!("http://{}/", host.address()));
    let route = NginxRoute {
        at: NginxAt::Host(program),
        shape,
        file: nginx.file("app.conf"),
        url,
        advertise: None,
        access_log: None,
    };
    let target = |side: &Side, mode| Target {
        instance: side.instance(),
        address: ([127, 0, 0, 1], side.port).into(),
        mode,
        protocol: Default::default(),
        tls: None,
        socket: None,
    };
    let targets = vec![target(old, Mode::Draining), target(new, Mode::Serving { weight: 1 })];
    let service = Service {
        name: name.clone(),
        balance: Balance::default(),
        targets,
        hold: None,
        pin: None,
        limits: Limits::default(),
        token: Some("look-through".to_owned()),
        rules: None,
        trail: Default::default(),
        spread: Default::default(),
    };
    let front = Front { service: name, nginx: route, serving: vec![new.instance()] };
    Table {
        generation: cutover_core::Generation(generation),
        listeners: Vec::new(),
        services: vec![service],
        fronts: vec![front],
        introduced: vec![],
    }
}

fn release_of_a_new_connection(host: &Host) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(host.address()).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let header =
        text.lines().find_map(|line| line.to_lowercase().strip_prefix("x-sample-release: ").map(str::to_owned));
    header.unwrap_or(text)
}
