//! An accessory: a container with a few keys of its own.

use std::net::SocketAddr;

use cutover_core::spec::{AccessorySpec, Ports, ProcessSpec, RestartSpec};
use cutover_core::table::Protocol;

use super::{Place, command, container, depends_on, env, kind, name, process, ready, route};
use crate::config::reader::{Located, Reader};

/// Reads the accessory of an `[accessory.NAME]` table.
pub(in crate::config) fn read(reader: &Reader, place: &Place) -> Option<AccessorySpec> {
    let shared = ProcessSpec {
        command: command::into_words(command::read(reader, "command")),
        artifact: None,
        directory: None,
        env: env::read(reader, place),
        user: None,
        ports: Ports::Automatic,
        socket: None,
        stop: process::stop(&reader.section("stop")),
        limits: process::limits(&reader.section("limits")),
        logs: process::logs(&reader.section("logs")),
        restart: RestartSpec::default(),
    };
    let mut container = container::read(reader, place, None, &shared);
    let texts = reader.texts("publish").map(|texts| texts.value).unwrap_or_default();
    container.publish = texts.iter().filter_map(|text| pair(reader, text)).collect();
    let ready = ready::read(reader, place, route::Kind::Worker, Protocol::Http1, kind::Kind::Container);
    let (project, depends_on) = (place.project.to_owned(), depends_on(reader));
    Some(AccessorySpec { name: name(reader)?, project, container, ready, depends_on })
}

/// `127.0.0.1:5432:5432`, `80:80`, or `80`.
fn pair(reader: &Reader, text: &Located<&str>) -> Option<(SocketAddr, u16)> {
    let parts: Vec<&str> = text.value.rsplitn(3, ':').collect();
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let read = match parts[..] {
        [both] => port(both).map(|port| (SocketAddr::from(([0, 0, 0, 0], port)), port)),
        [inside, outside] => port(outside).zip(port(inside)).map(|(to, port)| (([0, 0, 0, 0], to).into(), port)),
        [inside, outside, ip] => {
            let ip = ip.trim_matches(['[', ']']).parse().ok();
            ip.zip(port(outside)).zip(port(inside)).map(|((ip, to), port)| (SocketAddr::new(ip, to), port))
        }
        _ => None,
    };
    if read.is_none() {
        reader
            .wrong_value("publish", text.at, format_args!("{:?} publishes nothing", text.value))
            .hint("write for example \"127.0.0.1:5432:5432\" or \"80:80\"");
    }
    read
}
