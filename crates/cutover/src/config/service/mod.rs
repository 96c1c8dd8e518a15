//! Reads one service, one file here for each of its tables.
//!
//! A mistake does not end the reading: its key counts as not given, so that everything else is still looked at. The result is
//! only used when there was none.

mod command;
mod env;
mod ports;
mod process;
mod program;
mod ready;
mod rollout;
mod route;

use std::path::{Path, PathBuf};

use cutover_core::ServiceName;
use cutover_core::spec::ServiceSpec;

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
    fn resolve(&self, path: &str) -> PathBuf {
        normal(&self.folder.join(path))
    }
}

/// A service, and where the parts stand that may conflict with other services.
pub(super) struct Read {
    /// The service.
    pub(super) spec: ServiceSpec,
    /// Where its address stands.
    pub(super) listen_at: Offset,
    /// Where its ports stand.
    pub(super) ports_at: Offset,
    /// Where its trusted ranges stand.
    pub(super) trusted_at: Offset,
}

/// Reads the service of a `[service.NAME]` table.
pub(super) fn read(reader: &Reader, place: &Place) -> Option<Read> {
    let replicas = replicas(reader);
    let route = route::read(reader);
    let process = process::read(reader, place, replicas, route.kind);
    let ready = ready::read(reader, place, route.kind);
    let rollout = rollout::read(reader, place, &ready);
    let name = name(reader)?;
    let project = place.project.to_owned();
    let anchor = reader.section("route");
    Some(Read {
        spec: ServiceSpec { name, project, process, replicas, ready, route: route.spec, rollout },
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
