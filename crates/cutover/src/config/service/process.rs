//! How instances run: program, artifact, environment, user, ports, limits.

use std::path::PathBuf;

use cutover_core::spec::{LimitSpec, LogSpec, ProcessSpec, RestartSpec, StopSpec};
use cutover_core::unit::ByteSize;

use super::route::Kind;
use super::{Place, command, env, kind, ports, program, socket};
use crate::config::reader::{Located, Reader, Zero};

/// Reads the keys of the service itself, and its tables `stop`, `limits`, `logs` and `restart`.
pub(super) fn read(reader: &Reader, place: &Place, most: usize, route: Kind, kind: kind::Kind) -> ProcessSpec {
    let is_process = kind == kind::Kind::Process;
    let artifact = artifact(reader, place);
    let is_there = artifact.as_ref().is_none_or(|artifact| artifact.exists());
    let directory = if is_process { directory(reader, place, artifact.as_ref()) } else { None };
    let ports = ports::read(reader, most);
    let socket = if is_process { socket::read(reader, place) } else { None };
    let env = env::read(reader, place);
    let command = command::read(reader, "command");
    if let Some(command) = command.as_ref().filter(|_| is_process) {
        command::check_placeholders(reader, command, (artifact.is_some(), socket.is_some()), route);
        command::check_artifact_used(reader, command, artifact.as_ref(), directory.as_ref());
        let path = env.get("PATH").map(|path| path.reveal()).or(place.surroundings.path());
        let search =
            program::Search { directory: directory.as_ref().or(artifact.as_ref()), artifact: artifact.as_ref(), path };
        if let Some(program) = command.value.first().filter(|_| is_there) {
            program::check(reader, "command", program, &search);
        }
    }
    ProcessSpec {
        command: command::into_words(command),
        artifact,
        directory,
        env,
        user: if is_process { user(reader) } else { None },
        ports,
        socket,
        stop: stop(&reader.section("stop")),
        limits: limits(&reader.section("limits")),
        logs: logs(&reader.section("logs")),
        restart: restart(&reader.section("restart")),
    }
}

/// The absolute form of a path that must exist.
fn existing_path(reader: &Reader, place: &Place, key: &str) -> Option<PathBuf> {
    let written = reader.plain(key)?;
    let path = place.resolve(written.value);
    if !path.exists() {
        let hint = match (written.value.starts_with('~'), key) {
            (true, _) => "`~` is not replaced here; write the whole path",
            (_, "artifact") => "build it first, or correct the path; it starts from the folder of this file",
            _ => "relative paths start from the folder of this file",
        };
        reader.wrong_value(key, written.at, format_args!("{} does not exist", path.display())).hint(hint);
    }
    Some(path)
}

/// What is built first need not be there yet.
fn artifact(reader: &Reader, place: &Place) -> Option<PathBuf> {
    if super::hooks::build_first(reader) {
        return reader.plain("artifact").map(|written| place.resolve(written.value));
    }
    existing_path(reader, place, "artifact")
}

fn directory(reader: &Reader, place: &Place, artifact: Option<&PathBuf>) -> Option<PathBuf> {
    match existing_path(reader, place, "directory") {
        Some(directory) => {
            if directory.is_file() {
                let message = format_args!("{} is a file", directory.display());
                reader.wrong_value("directory", reader.place_of("directory"), message).hint_if(None);
            }
            Some(directory)
        }
        // The copy of a folder is the working directory; its path is only known once there is a release.
        None if artifact.is_some_and(|artifact| artifact.is_dir()) => None,
        None => Some(place.folder.to_owned()),
    }
}

fn user(reader: &Reader) -> Option<String> {
    let Located { value: name, at } = reader.plain("user")?;
    match nix::unistd::User::from_name(name) {
        Ok(Some(_)) => {}
        Ok(None) if name.contains(':') => {
            reader
                .wrong_value("user", at, format_args!("there is no user {name:?}"))
                .hint("write the user only, without a group");
        }
        Ok(None) => {
            reader
                .wrong_value("user", at, format_args!("there is no user {name:?} on this machine"))
                .hint(format!("create it with `useradd --system {name}`, or leave the key out"));
        }
        Err(error) => {
            reader.wrong_value("user", at, format_args!("could not look up {name:?}: {error}")).hint_if(None);
        }
    }
    Some(name.to_owned())
}

pub(super) fn stop(reader: &Reader) -> StopSpec {
    let default = StopSpec::default();
    let signals = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"].map(|signal| (signal, signal.to_owned()));
    StopSpec {
        signal: reader.one_of("signal", &signals).unwrap_or(default.signal),
        grace: reader.duration("grace", Zero::Allowed).unwrap_or(default.grace),
    }
}

pub(super) fn limits(reader: &Reader) -> LimitSpec {
    LimitSpec {
        memory: reader.size("memory", 1 << 20),
        open_files: reader.number("open_files", 16..=1_000_000_000u64).map(|files| files.value),
    }
}

pub(super) fn logs(reader: &Reader) -> LogSpec {
    let default = LogSpec::default();
    let least = ByteSize(4 << 10).0;
    LogSpec {
        max_size: reader.size("max_size", least).unwrap_or(default.max_size),
        keep: reader.number("keep", 1..=1000).map_or(default.keep, |keep| keep.value),
    }
}

fn restart(reader: &Reader) -> RestartSpec {
    let default = RestartSpec::default();
    let first = reader.duration("first", Zero::Refused);
    let longest = reader.duration("longest", Zero::Refused);
    let spec = RestartSpec { first: first.unwrap_or(default.first), longest: longest.unwrap_or(default.longest) };
    if spec.longest < spec.first {
        let key = if longest.is_some() { "longest" } else { "first" };
        reader.wrong_value(key, reader.place_of(key), "longest is shorter than first").hint_if(None);
    }
    spec
}
