//! Lays an environment over the file: tables are merged key by key, any other value is replaced.
//!
//! One exception: the checks of a `ready` table exclude each other, so an environment that names one replaces the one above
//! together with its details. Without it, an environment could never choose another check.

use super::finding::Findings;
use super::keys::nearest;
use super::source::Source;
use super::tree::{Entry, Table, Value};

/// The keys of a `ready` table that say what is asked, and those that say how; only one of the former may be given.
const CHECKS: &[&str] = &["http", "tcp", "command", "file", "running"];
const CHECK_DETAILS: &[&str] = &["status", "host", "headers", "body"];

/// Takes the environments out of the file, and merges the chosen one into the rest.
pub(super) fn apply(file: &mut Table, chosen: Option<&str>, source: &Source, findings: &Findings) {
    let environments = file.entries.extract_if(.., |entry| entry.key == "environment").next();
    let environments = match environments.map(|entry| entry.node) {
        Some(node) => match node.value {
            Value::Table(table) => table,
            other => {
                let message =
                    format!("environment: expected a table such as [environment.staging], found {}", other.described());
                findings.mistake(Some(source.place(node.at)), message).hint_if(None);
                return;
            }
        },
        None => Table::default(),
    };
    for entry in &environments.entries {
        if !matches!(entry.node.value, Value::Table(_)) {
            let found = entry.node.value.described();
            let message = format!("environment.{}: expected a table, found {found}", entry.key);
            findings.mistake(Some(source.place(entry.node.at)), message).hint_if(None);
        }
    }
    let Some(chosen) = chosen else { return };
    match environments.table(chosen) {
        Some(over) => {
            let mut over = over.clone();
            drop_strangers(file, &mut over, chosen, source, findings);
            merge(file, over, "");
        }
        None if environments.has(chosen) => {}
        None => add_unknown(&environments, chosen, findings),
    }
}

fn add_unknown(environments: &Table, chosen: &str, findings: &Findings) {
    let known: Vec<&str> = environments.entries.iter().map(|entry| entry.key.as_str()).collect();
    let hint = match (nearest(chosen, known.iter().copied()), known.is_empty()) {
        (Some(meant), _) => format!("did you mean {meant:?}? The file has: {}", known.join(", ")),
        (None, false) => format!("the file has: {}", known.join(", ")),
        (None, true) => format!("the file has none; begin a table with [environment.{chosen}.service.NAME]"),
    };
    findings.mistake(None, format!("there is no environment {chosen:?}")).hint(hint);
}

/// A service that only the environment has must be a whole one; without a command its name is probably a slip.
fn drop_strangers(file: &Table, over: &mut Table, chosen: &str, source: &Source, findings: &Findings) {
    let Some(known) = file.table("service") else { return };
    let Some(entry) = over.entries.iter_mut().find(|entry| entry.key == "service") else { return };
    let Value::Table(services) = &mut entry.node.value else { return };
    services.entries.retain(|service| {
        let complete = matches!(&service.node.value, Value::Table(table) if table.has("command"));
        let keep = complete || known.has(&service.key);
        if !keep {
            let message =
                format!("environment {chosen:?} changes a service {:?} that the file does not have", service.key);
            let names = known.entries.iter().map(|entry| entry.key.as_str());
            let hint = match nearest(&service.key, names) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => "a service of its own needs a command".to_owned(),
            };
            findings.mistake(Some(source.place(service.at)), message).hint(hint);
        }
        keep
    });
}

fn merge(base: &mut Table, over: Table, path: &str) {
    if path.starts_with("service.") && path.ends_with(".ready") {
        make_room_for_check(base, &over);
    }
    for entry in over.entries {
        match base.entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => merge_entry(known, entry, path),
            None => base.entries.push(entry),
        }
    }
}

fn merge_entry(known: &mut Entry, entry: Entry, path: &str) {
    let dot = if path.is_empty() { "" } else { "." };
    let path = format!("{path}{dot}{}", entry.key);
    if let Value::Table(base) = &mut known.node.value
        && let Value::Table(over) = entry.node.value
    {
        merge(base, over, &path);
    } else {
        *known = entry;
    }
}

fn make_room_for_check(base: &mut Table, over: &Table) {
    if !CHECKS.iter().any(|check| over.has(check)) {
        return;
    }
    let keeps_details = over.has("http");
    base.entries.retain(|entry| {
        let key = entry.key.as_str();
        !(CHECKS.contains(&key) || !keeps_details && CHECK_DETAILS.contains(&key))
    });
}
