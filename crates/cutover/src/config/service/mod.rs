//! Reads one service, one file here for each of its tables.
//!
//! A mistake does not end the reading: its key counts as not given, so that everything else is still looked at. The result is
//! only used when there was none.

mod accessory;
mod acme;
mod build;
mod command;
mod compose;
mod container;
mod env;
mod hooks;
mod instance_tls;
mod kind;
mod listen;
mod metric;
mod mounts;
mod nginx;
mod ports;
mod process;
mod program;
mod ready;
mod rollout;
mod route;
mod rules;
mod socket;
mod spans;
mod strategy;
mod tls;
mod trail;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cutover_core::ServiceName;
use cutover_core::spec::{BuildSpec, Check, ProxyRoute, RunSpec, ServiceSpec};

use self::kind::Kind;
use super::Composed;
use super::locate::normal;
use super::reader::Reader;
use super::surroundings::Surroundings;
use super::tree::Offset;

/// What a service needs to know about where it was written.
pub(super) struct Place<'a> {
    /// The project's name.
    pub(super) project: &'a str,
    /// The folder of the file.
    pub(super) folder: &'a Path,
    /// The caller's surroundings.
    pub(super) surroundings: &'a Surroundings,
}

impl Place<'_> {
    /// A path of the file, made absolute.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        normal(&self.folder.join(path))
    }

    /// The variables of whoever runs cutover.
    pub(super) fn variables(&self) -> &BTreeMap<String, String> {
        &self.surroundings.variables
    }
}

pub(super) use accessory::read as read_accessory;
pub(super) use command::read as read_command;
pub(super) use env::interpolate;
pub(super) use rollout::beside_file;
pub(crate) use rules::read_page;

/// A service, and where the parts stand that may conflict with other services.
pub(super) struct Read {
    /// The service.
    pub(super) spec: ServiceSpec,
    /// How its image is built, if it is.
    pub(super) build: Option<BuildSpec>,
    /// The Compose project that it is from.
    pub(super) composed: Option<Composed>,
    /// The services that are deployed before it.
    pub(super) depends_on: Vec<ServiceName>,
    /// Where its address stands.
    pub(super) listen_at: Offset,
    /// Where its ports stand.
    pub(super) ports_at: Offset,
    /// Where its trusted ranges stand.
    pub(super) trusted_at: Offset,
}

impl Read {
    /// Its route through our proxy, if it has one.
    pub(super) fn route(&self) -> Option<&ProxyRoute> {
        self.spec.route.as_ref()?.proxy()
    }
}

/// Reads the service of a `[service.NAME]` table.
pub(super) fn read(reader: &Reader, place: &Place) -> Option<Read> {
    let replicas = replicas(reader);
    let route = route::read(reader, place);
    let kind = kind::read(reader);
    let strategy = strategy::read(&reader.section("rollout"), route.kind).unwrap_or_default();
    let most = strategy.most(replicas.into());
    let process = process::read(reader, place, most, route.kind, kind);
    if process.socket.is_some() {
        socket::check(reader, route.spec.as_ref());
    }
    let hooks = hooks::read(reader, place, kind, &process);
    let container = container::read(reader, place, Some(most), &process);
    let build = build::read(reader, place);
    let compose = compose::read(reader, place);
    if kind == Kind::Container {
        kind::check_port(reader, kind, route.kind, container.port);
    }
    let found = compose.filter(|_| kind == Kind::Compose);
    let found = found.map(|written| compose::resolve(reader, place, &written, &container));
    let mut ready = ready::read(reader, place, route.kind, route.protocol, kind);
    let rollout = rollout::read(reader, place, &ready, strategy, replicas, hooks);
    let name = name(reader)?;
    let (mut replicas, mut composed) = (replicas, None);
    let run = match (kind, found) {
        (Kind::Process, _) => RunSpec::Process(Box::new(process)),
        (Kind::Compose, Some(found)) => {
            let found = found?;
            kind::check_port(reader, kind, route.kind, found.container.port);
            if found.container.health.is_some() && !ready::is_chosen(reader) {
                ready.check = Check::Health;
            }
            if !reader.has("replicas") {
                replicas = found.resolved.replicas.unwrap_or(replicas);
            }
            let run = RunSpec::Container(Box::new(found.container.clone()));
            composed = Some(found.into());
            run
        }
        (Kind::Container | Kind::Compose, _) => RunSpec::Container(Box::new(container)),
    };
    let project = place.project.to_owned();
    let anchor = reader.section("route");
    Some(Read {
        spec: ServiceSpec { name, project, run, replicas, ready, route: route.spec, rollout },
        build,
        composed,
        depends_on: depends_on(reader),
        listen_at: anchor.place_of("listen"),
        ports_at: reader.place_of("ports"),
        trusted_at: anchor.place_of("trusted"),
    })
}

fn name(reader: &Reader) -> Option<ServiceName> {
    let name = ServiceName::new(reader.name);
    if name.is_err() {
        reader
            .mistake(reader.at, format!("{:?} is not a name for a service", reader.name))
            .hint("use 1 to 40 of a-z, 0-9, '-' and '_', beginning with a letter");
    }
    name.ok()
}

fn depends_on(reader: &Reader) -> Vec<ServiceName> {
    let names = reader.texts("depends_on").map(|names| names.value).unwrap_or_default();
    names.iter().filter_map(|name| ServiceName::new(name.value).ok()).collect()
}

fn replicas(reader: &Reader) -> u16 {
    match reader.node("replicas").map(|node| &node.value) {
        Some(super::tree::Value::Integer(0)) => {
            reader
                .wrong_value("replicas", reader.place_of("replicas"), "must be at least 1, found 0")
                .hint(format!("to take the service down, run `cutover stop {}`", reader.name));
            1
        }
        _ => reader.number("replicas", 1..=1000u16).map_or(1, |replicas| replicas.value),
    }
}
