//! What a service is, by the keys that are written: a process, a container, or a copy of a Compose service.

use super::route;
use crate::config::reader::Reader;

/// What instances are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Plain processes.
    Process,
    /// Containers.
    Container,
    /// Copies of a Compose service.
    Compose,
}

/// Keys that mean nothing for a container of any kind.
const PROCESS_ONLY: &[&str] = &["artifact", "ports", "socket"];

/// Keys that mean nothing for a process.
const CONTAINER_ONLY: &[&str] = &[
    "port",
    "entrypoint",
    "volumes",
    "networks",
    "publish",
    "publish_on",
    "labels",
    "pull",
    "platform",
    "network",
    "container",
    "health",
    "login",
];

/// What the Compose file says.
const SAID_BY_COMPOSE: &[&str] = &[
    "image",
    "build",
    "command",
    "entrypoint",
    "volumes",
    "networks",
    "publish",
    "publish_on",
    "labels",
    "platform",
    "network",
    "container",
    "health",
    "user",
    "directory",
];

/// Finds out, and adds a mistake for every key that does not belong to it.
pub(super) fn read(reader: &Reader) -> Kind {
    let kind = match (reader.has("compose"), reader.has("image") || reader.has("build")) {
        (true, _) => Kind::Compose,
        (false, true) => Kind::Container,
        (false, false) => Kind::Process,
    };
    let strangers: &[&[&str]] = match kind {
        Kind::Process => &[CONTAINER_ONLY],
        Kind::Container => &[PROCESS_ONLY],
        Kind::Compose => &[PROCESS_ONLY, SAID_BY_COMPOSE],
    };
    for key in strangers.iter().flat_map(|keys| keys.iter()).filter(|key| reader.has(key)) {
        let (message, hint) = match kind {
            Kind::Process => (
                "means something for containers only, and this service has no `image`",
                "add image = \"…\", or remove it",
            ),
            Kind::Container => (
                "means something for processes only, and this service is a container",
                "remove it; a container has `port`",
            ),
            Kind::Compose => ("is said by the Compose file", "remove it here, or change it there"),
        };
        reader.wrong_value(key, reader.place_of(key), message).hint(hint);
    }
    if kind == Kind::Process && !reader.has("command") {
        reader
            .mistake(reader.at, format!("{}: missing", reader.path_of("command")))
            .hint("a service needs one of command (a process), image (a container) and compose (a Compose service)");
    }
    kind
}

/// A container that gets traffic needs to be told where.
pub(super) fn check_port(reader: &Reader, kind: Kind, route: route::Kind, port: Option<u16>) {
    if kind != Kind::Process && route != route::Kind::Worker && port.is_none() && !reader.has("port") {
        reader.mistake(reader.at, format!("{}: missing", reader.path_of("port"))).hint(match kind {
            Kind::Compose => "the Compose file names none or several: add port = …, the one on which it takes traffic",
            _ => "add port = …: the port on which it listens inside the container",
        });
    }
}
