//! The hooks: a command each, or a table with a command and a limit.

use std::collections::BTreeMap;

use cutover_core::spec::{Hook, HookSpec, ProcessSpec};

use super::command::Command;
use super::kind::Kind;
use super::{Place, command, program};
use crate::config::keys::nearest;
use crate::config::reader::{Located, Reader, Zero};
use crate::config::tree::Value;

/// What is replaced in the arguments of a hook.
const PLACEHOLDERS: &[&str] = &["release", "artifact"];

/// What is replaced for instances only.
const OF_INSTANCES: &[&str] = &["port", "instance"];

/// Reads the `hooks` table of a service.
pub(super) fn read(service: &Reader, place: &Place, kind: Kind, process: &ProcessSpec) -> BTreeMap<Hook, HookSpec> {
    let reader = service.section("hooks");
    let one = |hook: Hook| {
        let (command, within) = parts(&reader, hook)?;
        let command = match hook {
            Hook::BeforeBuild => super::rollout::beside_file(&reader, hook.name(), command, place),
            _ => in_release(&reader, hook.name(), command, place, kind, process),
        };
        Some((hook, HookSpec { command, within: within.unwrap_or(HookSpec::WITHIN) }))
    };
    Hook::ALL.into_iter().filter_map(one).collect()
}

/// Whether what the service runs is only there once it was built.
pub(super) fn build_first(service: &Reader) -> bool {
    service.section("hooks").has(Hook::BeforeBuild.name())
}

fn parts<'a>(reader: &Reader<'a>, hook: Hook) -> Option<(Command<'a>, Option<std::time::Duration>)> {
    match &reader.node(hook.name())?.value {
        Value::Table(_) => {
            let table = reader.section(hook.name());
            let within = table.duration("within", Zero::Refused);
            Some((command::read_short(&table, "command")?, within))
        }
        _ => Some((command::read_short(reader, hook.name())?, None)),
    }
}

/// A command that runs where the service's own does.
fn in_release(
    reader: &Reader,
    key: &str,
    command: Command,
    place: &Place,
    kind: Kind,
    process: &ProcessSpec,
) -> Vec<String> {
    for word in &command.value {
        for name in command::placeholders(word.value) {
            check_placeholder(reader, key, word, name, kind == Kind::Process && process.artifact.is_some());
        }
    }
    let path = process.env.get("PATH").map(|path| path.reveal()).or(place.surroundings.path());
    let (directory, artifact) = (process.directory.as_ref(), process.artifact.as_ref());
    let search = program::Search { directory: directory.or(artifact), artifact, path };
    let is_there = artifact.is_none_or(|artifact| artifact.exists());
    if let Some(program) = command.value.first().filter(|_| kind == Kind::Process && is_there) {
        program::check(reader, key, program, &search);
    }
    command::into_words(Some(command))
}

fn check_placeholder(reader: &Reader, key: &str, word: &Located<&str>, name: &str, has_artifact: bool) {
    let wrong = |message: String| reader.wrong_value(key, word.at, message);
    if OF_INSTANCES.contains(&name) {
        wrong(format!("{{{name}}} is not replaced here"))
            .hint("a hook runs once for a deployment, and belongs to no instance");
    } else if !PLACEHOLDERS.contains(&name) {
        let hint = match nearest(name, PLACEHOLDERS.iter().copied()) {
            Some(meant) => format!("did you mean {{{meant}}}?"),
            None => "{release} and {artifact} are replaced".to_owned(),
        };
        wrong(format!("nothing is known to replace {{{name}}}")).hint(hint);
    } else if name == "artifact" && !has_artifact {
        wrong("{artifact} is used, but the service has none".to_owned())
            .hint("a container's files are those of its image");
    }
}
