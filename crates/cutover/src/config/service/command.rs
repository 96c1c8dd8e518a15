//! Commands: a list of words, what in them gets replaced, and what looks as if a shell should read it.

use std::path::PathBuf;

use super::route::Kind;
use crate::config::keys::nearest;
use crate::config::reader::{Located, Reader};
use crate::config::tree::Value;
use crate::config::words;

/// What is replaced in the arguments of a service's command.
const PLACEHOLDERS: &[&str] = &["port", "socket", "release", "instance", "artifact"];

/// The words of a command, and where each stands.
pub(in crate::config) type Command<'a> = Located<Vec<Located<&'a str>>>;

/// Reads a command: a list that is not empty, of words that can be passed to a program.
pub(in crate::config) fn read<'a>(reader: &Reader<'a>, key: &str) -> Option<Command<'a>> {
    let command = words(reader, key)?;
    warn_of_shell(reader, key, &command);
    Some(command)
}

/// The same for a command that ends by itself: a shell in front of it hurts nobody.
pub(in crate::config) fn read_short<'a>(reader: &Reader<'a>, key: &str) -> Option<Command<'a>> {
    let command = words(reader, key)?;
    if !runs_script(&command) {
        warn_of_shell(reader, key, &command);
    }
    Some(command)
}

fn words<'a>(reader: &Reader<'a>, key: &str) -> Option<Command<'a>> {
    let node = reader.node(key)?;
    if let Value::Text(line) = &node.value {
        add_line(reader, key, node.at, line);
        return None;
    }
    let command = reader.texts(key)?;
    let Value::List(items) = &node.value else { return None };
    if items.len() != command.value.len() {
        return None;
    }
    if items.is_empty() {
        reader.wrong_value(key, node.at, "the list is empty").hint("name the program, then its arguments");
        return None;
    }
    if let Some(word) = command.value.iter().find(|word| word.value.contains('\0')) {
        reader.wrong_value(key, word.at, "an argument contains a NUL").hint_if(None);
        return None;
    }
    if command.value[0].value.trim().is_empty() {
        reader.wrong_value(key, command.value[0].at, "the program's name is empty").hint_if(None);
        return None;
    }
    Some(command)
}

/// A command as plain words.
pub(super) fn into_words(command: Option<Command>) -> Vec<String> {
    command.map(|command| command.value.iter().map(|word| word.value.to_owned()).collect()).unwrap_or_default()
}

fn add_line(reader: &Reader, key: &str, at: usize, line: &str) {
    let added = reader.wrong_value(key, at, "expected a list, found a text; no shell is involved");
    let line = line.replace("${PORT}", "{port}").replace("$PORT", "{port}");
    match words::split(&line) {
        Some(_) if words::needs_shell(&line) => {
            let list = words::toml_list(&["sh", "-c", &line]);
            added.hint(format!("this needs a shell: {key} = {list}, with exec before the command that stays"));
        }
        Some(words) if !words.is_empty() => added.hint(format!("write {key} = {}", words::toml_list(&words))),
        _ => added.hint("write the program, then each argument, as a text of its own"),
    }
}

/// Adds what is wrong with the placeholders of a service's command, which `has` an artifact, and a socket, or not.
pub(super) fn check_placeholders(reader: &Reader, command: &Command, has: (bool, bool), route: Kind) {
    for word in &command.value {
        for name in placeholders(word.value) {
            check_placeholder(reader, word, name, has);
        }
    }
    let reads = |name: &str, variable: &str| {
        command.value.iter().any(|word| word.value.contains(name) || word.value.contains(variable))
    };
    let odd = |message: &str| reader.odd_value("command", command.at, message);
    match has {
        _ if route == Kind::Worker => {}
        (_, true) if !reads("{socket}", "SOCKET") => {
            odd("there is no {socket} in it")
                .hint("each instance gets a socket of its own: the program must listen on the one in the variable CUTOVER_SOCKET");
        }
        (_, false) if !reads("{port}", "PORT") => {
            odd("there is no {port} in it")
                .hint("each instance gets a port of its own: the program must listen on the one in the variable PORT");
        }
        _ => {}
    }
}

fn check_placeholder(reader: &Reader, word: &Located<&str>, name: &str, (has_artifact, has_socket): (bool, bool)) {
    if !PLACEHOLDERS.contains(&name) {
        let hint = match nearest(name, PLACEHOLDERS.iter().copied()) {
            Some(meant) => format!("did you mean {{{meant}}}?"),
            None => "{port}, {release}, {instance} and {artifact} are replaced".to_owned(),
        };
        reader.wrong_value("command", word.at, format_args!("nothing is known to replace {{{name}}}")).hint(hint);
    } else if name == "artifact" && !has_artifact {
        reader
            .wrong_value("command", word.at, "{artifact} is used, but the service has none")
            .hint("add artifact = \"path/of/what/you/built\"");
    } else if name == "socket" && !has_socket {
        reader
            .wrong_value("command", word.at, "{socket} is used, but the service has none")
            .hint("add socket = \"/run/NAME/{instance}.sock\"");
    } else if name == "port" && has_socket {
        reader
            .wrong_value("command", word.at, "{port} is used, but instances listen on a socket")
            .hint("write {socket}, or remove the key socket");
    }
}

/// The names in braces. Other braces, as in JSON, are left alone.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    text.split('{').skip(1).filter_map(|tail| tail.split_once('}')).map(|(name, _)| name).filter(is_name)
}

/// Adds a warning if the command runs the original of the artifact, or something else, instead of the release's copy.
pub(super) fn check_artifact_used(
    reader: &Reader,
    command: &Command,
    artifact: Option<&PathBuf>,
    directory: Option<&PathBuf>,
) {
    let runs_in_copy = directory.is_none();
    if artifact.is_some() && !runs_in_copy && !command.value.iter().any(|word| word.value.contains("{artifact}")) {
        reader
            .odd_value(
                "artifact",
                reader.place_of("artifact"),
                "is copied into each release, but the command does not use the copy",
            )
            .hint("write {artifact} in the command where its path stands");
    }
}

fn runs_script(command: &Command) -> bool {
    let words: Vec<&str> = command.value.iter().map(|word| word.value).collect();
    matches!(words[..], ["sh" | "bash" | "dash" | "/bin/sh" | "/bin/bash", "-c", ..])
}

fn warn_of_shell(reader: &Reader, key: &str, command: &Command) {
    let words: Vec<&str> = command.value.iter().map(|word| word.value).collect();
    if let ["sh" | "bash" | "dash" | "/bin/sh" | "/bin/bash", "-c", script, ..] = words[..] {
        if !script.contains("exec ") {
            reader
                .odd_value(key, command.at, "the shell stays in front of the program and may keep signals from it")
                .hint("write exec before the command that stays");
        }
        return;
    }
    if let Some(word) = command.value.iter().find(|word| looks_like_shell(word.value)) {
        reader
            .odd_value(
                key,
                word.at,
                format_args!("{:?} means something to a shell only, and none is involved", word.value),
            )
            .hint("it is passed on as it stands; if a shell is meant: [\"sh\", \"-c\", \"exec …\"]");
    }
}

fn looks_like_shell(word: &str) -> bool {
    const OPERATORS: &[&str] = &["&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1", "&>"];
    let variable = |(at, _): (usize, &str)| {
        word[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '{' || c == '(' || c == '_')
    };
    let quoted = |quote: char| word.len() > 1 && word.starts_with(quote) && word.ends_with(quote);
    OPERATORS.contains(&word) || word.match_indices('$').any(variable) || quoted('\'') || quoted('"') || quoted('`')
}
