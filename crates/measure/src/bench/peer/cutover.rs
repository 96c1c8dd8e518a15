//! Ourselves: the proxy alone, as the agent would start it, with a table of our own.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cutover_core::table::{Balance, Limits, Listener, Mode, Route, Service, Table, Target, Traffic};
use cutover_core::tls::{CertificateFrom, Identity, TlsVersion};
use cutover_core::trail::{AccessLog, Format, Trail};
use cutover_core::unit::ByteSize;
use cutover_core::{Generation, ServiceName};
use cutover_proxy::client::Client;
use tokio::runtime::Runtime;

use super::{Peer, spawn};
use crate::bench::site::{Doors, Site};

/// Our proxy, and what can be said to it.
#[derive(Debug)]
pub struct Ours {
    /// The process.
    pub peer: Peer,
    client: Client,
    runtime: Runtime,
}

impl Ours {
    /// Starts it with one service on all doors.
    pub fn start(site: &Site, program: &Path) -> Result<Self, Box<dyn Error>> {
        let ours = Self::bare(site, program, "cutover")?;
        ours.publish(&table(site, ours.peer.doors)?)?;
        Ok(ours)
    }

    /// Starts it without a table. `name` is the name of its directory.
    pub fn bare(site: &Site, program: &Path, name: &str) -> Result<Self, Box<dyn Error>> {
        let (doors, dir) = (Doors::free()?, site.dir(name)?);
        let state = dir.join("state");
        // A table of an earlier round, with other ports, is none of this one's.
        let _ = std::fs::remove_dir_all(&state);
        let mut command = Command::new(program);
        command.args(["proxy", "run", "--threads", &site.threads.to_string(), "--state"]).arg(&state);
        let peer = spawn("cutover", doors, &dir.join("out"), &mut command)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { peer, client: Client::of_state(&state), runtime })
    }

    /// How many clients are connected.
    pub fn connections(&self) -> Result<usize, Box<dyn Error>> {
        Ok(usize::try_from(self.runtime.block_on(self.client.stats())?.connections)?)
    }

    /// Publishes a table, and gives the time that took. Waits for a proxy that is not up yet.
    pub fn publish(&self, table: &Table) -> Result<Duration, Box<dyn Error>> {
        let began = Instant::now();
        loop {
            let sent = Instant::now();
            match self.runtime.block_on(self.client.publish(table)) {
                Ok(_) => return Ok(sent.elapsed()),
                Err(error) if began.elapsed() > Duration::from_secs(10) => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// One service on all doors, and one for bytes.
pub fn table(site: &Site, doors: Doors) -> Result<Table, Box<dyn Error>> {
    let (http, bytes) = (ServiceName::new("bench")?, ServiceName::new("bytes")?);
    let log = AccessLog {
        file: site.dir("cutover")?.join("access.log"),
        format: Format::Combined,
        query: true,
        max_size: ByteSize(0),
        keep: 0,
    };
    let trail = Trail { log: site.logs.then_some(log), ..Trail::default() };
    let from = CertificateFrom::Files { certificate: site.certificate.clone(), key: site.key.clone() };
    let identity = Identity { service: http.clone(), hosts: vec![], from, minimum: TlsVersion::default() };
    let tcp =
        Listener { address: doors.tcp.into(), traffic: Traffic::Tcp { service: bytes.clone() }, identities: vec![] };
    Ok(Table {
        generation: Generation(1),
        listeners: vec![
            listener(doors.http, vec![route(&http, vec![])]),
            Listener { identities: vec![identity], ..listener(doors.https, vec![route(&http, vec![])]) },
            tcp,
        ],
        services: vec![
            Service { trail, ..service(http, &[site.backends.http])? },
            service(bytes, &[site.backends.tcp])?,
        ],
        ..Table::default()
    })
}

/// A listener for HTTP with these routes.
pub fn listener(address: SocketAddr, routes: Vec<Route>) -> Listener {
    Listener { address: address.into(), traffic: Traffic::Http { routes, trusted: vec![] }, identities: vec![] }
}

/// Everything for these hosts, or for any, to a service.
pub fn route(service: &ServiceName, hosts: Vec<String>) -> Route {
    Route { hosts, path: "/".to_owned(), service: service.clone(), https: None, hsts: None }
}

/// A service with its instances, and nothing else asked for.
pub fn service(name: ServiceName, instances: &[SocketAddr]) -> Result<Service, Box<dyn Error>> {
    let target = |(index, address): (usize, &SocketAddr)| -> Result<Target, Box<dyn Error>> {
        let instance = format!("{name}.r1.i{}", index + 1).parse()?;
        Ok(Target {
            instance,
            address: *address,
            mode: Mode::Serving { weight: 1 },
            protocol: Default::default(),
            tls: None,
            socket: None,
        })
    };
    let targets = instances.iter().enumerate().map(target).collect::<Result<_, _>>()?;
    Ok(Service {
        name,
        balance: Balance::default(),
        targets,
        hold: None,
        limits: Limits::default(),
        pin: None,
        token: None,
        rules: None,
        trail: Trail::default(),
        spread: Default::default(),
    })
}
