//! Holds every key of the file, in every environment, against the table of keys.
//!
//! Apart from reading, so that a slip in the environment that is not being deployed is found too.

use super::finding::Findings;
use super::keys::{Default, Form, Key, SECTIONS, Section, nearest};
use super::source::Source;
use super::tree::{Entry, Table, Value};

/// Adds a mistake for every key that means nothing.
pub(super) fn check(file: &Table, source: &Source, findings: &Findings) {
    if let Some(top) = Section::of("") {
        Check { source, findings }.section(file, top);
    }
}

struct Check<'a> {
    source: &'a Source,
    findings: &'a Findings,
}

impl Check<'_> {
    fn section(&self, table: &Table, section: &'static Section) {
        for entry in &table.entries {
            match section.key(&entry.key) {
                Some(key) => self.below(entry, key, section),
                None => self.unknown(entry, section),
            }
        }
    }

    fn below(&self, entry: &Entry, key: &Key, section: &'static Section) {
        let table = match &entry.node.value {
            Value::Table(table) => table,
            Value::List(items) if matches!(key.form, Form::List(_)) => {
                let tables = items.iter().filter_map(|item| match &item.value {
                    Value::Table(table) => Some(table),
                    _ => None,
                });
                return tables.for_each(|table| self.descend(table, section.below(key.name)));
            }
            _ => return,
        };
        match key.form {
            Form::Table | Form::Hook | Form::TrueOrTable => self.descend(table, section.below(key.name)),
            // Under an environment the services have the same keys as above.
            Form::Tables(_) => {
                let path = format!("{}.NAME", key.name);
                let path = match section.path {
                    at if at.is_empty() || at.starts_with("environment") => path,
                    at => format!("{at}.{path}"),
                };
                for named in &table.entries {
                    if let Value::Table(table) = &named.node.value {
                        self.descend(table, Section::of(&path));
                    }
                }
            }
            _ => {}
        }
    }

    fn descend(&self, table: &Table, section: Option<&'static Section>) {
        if let Some(section) = section {
            self.section(table, section);
        }
    }

    fn unknown(&self, entry: &Entry, section: &Section) {
        let place = self.source.place(entry.at);
        let added = self.findings.mistake(Some(place), format!("unknown key {:?}", entry.key));
        added.hint(suggestion(&entry.key, section));
    }
}

/// The nearest key here; else where a key of exactly this name belongs; else all keys of this table.
fn suggestion(word: &str, section: &Section) -> String {
    if let Some(meant) = meant(word, section) {
        return format!("did you mean {meant:?}?");
    }
    if let Some(home) = SECTIONS.iter().find(|other| other.path.starts_with(section.path) && other.key(word).is_some())
    {
        return format!("{word:?} belongs under [{}]", home.path);
    }
    if let Some(home) = SECTIONS.iter().find(|other| other.key(word).is_some()) {
        let under =
            if home.path.is_empty() { "at the top of the file".to_owned() } else { format!("under [{}]", home.path) };
        return format!("{word:?} belongs {under}");
    }
    let names: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    format!("the keys here are {}", names.join(", "))
}

/// The key of the section that an unknown word was probably meant to be.
fn meant(word: &str, section: &Section) -> Option<&'static str> {
    synonym(word, section.path).or_else(|| nearest(word, section.keys.iter().map(|key| key.name)))
}

/// Words that other tools use for the same thing, and that no measure of likeness would find.
fn synonym(word: &str, path: &str) -> Option<&'static str> {
    let words: &[(&str, &str)] = match path {
        "" => &[("name", "project"), ("services", "service"), ("environments", "environment")],
        "service.NAME" => &[
            ("cmd", "command"),
            ("exec", "command"),
            ("run", "command"),
            ("start", "command"),
            ("cwd", "directory"),
            ("workdir", "directory"),
            ("working_directory", "directory"),
            ("environment", "env"),
            ("instances", "replicas"),
            ("scale", "replicas"),
            ("volume", "volumes"),
            ("environment_file", "env_file"),
            ("healthcheck", "ready"),
            ("health_check", "ready"),
            ("readiness", "ready"),
            ("deploy", "rollout"),
        ],
        "service.NAME.ready" => {
            &[("path", "http"), ("url", "http"), ("cmd", "command"), ("retries", "passes"), ("exec", "command")]
        }
        "service.NAME.route" => {
            &[("host", "hosts"), ("domain", "hosts"), ("domains", "hosts"), ("port", "listen"), ("prefix", "path")]
        }
        "service.NAME.route.tls" => &[("letsencrypt", "acme"), ("auto", "acme"), ("cert", "certificate")],
        "service.NAME.route.instance_tls" => &[
            ("ca", "ca_file"),
            ("cert", "certificate"),
            ("cert_file", "certificate"),
            ("key_file", "key"),
            ("sni", "name"),
        ],
        "service.NAME.route.tls.acme" => &[
            ("url", "directory"),
            ("server", "directory"),
            ("ca", "directory"),
            ("contact", "email"),
            ("mail", "email"),
            ("storage", "store"),
            ("eab_key", "eab_key_file"),
        ],
        "service.NAME.route.redirect" => {
            &[("path", "from"), ("target", "to"), ("code", "status"), ("permanent", "status")]
        }
        "service.NAME.route.rewrite" => &[("path", "from"), ("target", "to")],
        "service.NAME.route.files" => {
            &[("root", "directory"), ("dir", "directory"), ("folder", "directory"), ("try_files", "missing")]
        }
        "service.NAME.route.access" => &[("limit", "rate"), ("connections", "at_once"), ("concurrent", "at_once")],
        "service.NAME.route.password" => &[("htpasswd", "file"), ("users", "file"), ("name", "realm")],
        "service.NAME.route.maintenance" => &[("retry", "retry_after"), ("file", "page"), ("except", "allow")],
        "service.NAME.hooks" => &[
            ("pre_build", "before_build"),
            ("pre_deploy", "before_start"),
            ("migrate", "before_start"),
            ("smoke", "before_switch"),
            ("post_deploy", "after_watch"),
            ("rollback", "on_rollback"),
            ("failure", "on_failure"),
        ],
        "service.NAME.hooks.before_start" => &[("timeout", "within"), ("cmd", "command"), ("run", "command")],
        "service.NAME.stop" => &[("timeout", "grace"), ("grace_period", "grace")],
        _ => &[],
    };
    words.iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| *ours)
}

/// The keys of a section that must be given and are not. One that is only misspelt is left out: that is said already.
pub(super) fn missing(table: &Table, section: &'static Section) -> Vec<&'static Key> {
    let unknown = table.entries.iter().filter(|entry| section.key(&entry.key).is_none());
    let misspelt: Vec<_> = unknown.filter_map(|entry| meant(&entry.key, section)).collect();
    let is_missing =
        |key: &&Key| key.default == Default::Required && !table.has(key.name) && !misspelt.contains(&key.name);
    section.keys.iter().filter(is_missing).collect()
}
