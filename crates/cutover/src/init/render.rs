//! Writes a proposal out: few keys, and a comment that lets a newcomer understand each.

use super::candidate::{Candidate, Ready, words};
use super::nginx::Pass;
use crate::config::words::{toml_list, toml_text};

/// What the file is written from.
pub(super) struct Facts<'a> {
    /// The project's name.
    pub(super) project: String,
    /// Whether there is a file `.env`.
    pub(super) env_file: bool,
    /// What was recognised; the first is used.
    pub(super) candidates: &'a [Candidate],
    /// What describes containers.
    pub(super) containers: &'a [String],
    /// Where an nginx passes requests on.
    pub(super) passes: &'a [Pass],
}

/// The whole file.
pub(super) fn file(facts: &Facts) -> String {
    let unknown =
        Candidate::web("nothing that is known, so this is only an example", words(&["./server", "--port={port}"]));
    let (chosen, others) = facts.candidates.split_first().unwrap_or((&unknown, &[]));
    let mut file = format!(
        "# What cutover deploys from this folder, and how. After a change, run `cutover check`.\n\
         # Lines that begin with `#` are comments; the ones with a key show its default or an example.\n\n\
         # Keeps the services of several projects on one server apart.\n\
         project = {}\n\n",
        toml_text(&facts.project)
    );
    file.push_str(&service(chosen, facts));
    if chosen.ready != Ready::Worker {
        file.push_str(&ready(chosen));
        file.push_str(&route(chosen, facts.passes));
    }
    file.push_str(&rollout(chosen));
    chosen.others.iter().for_each(|(name, command)| file.push_str(&other_service(name, command)));
    others.iter().for_each(|candidate| file.push_str(&alternative(candidate)));
    file.push_str(&containers(facts.containers));
    file
}

fn service(chosen: &Candidate, facts: &Facts) -> String {
    let mut text = format!(
        "# One table for each service. Found here: {}.\n[service.{}]\n\
         # The program, then each argument as a text of its own. No shell reads it.\n",
        comment(&chosen.found),
        chosen.service
    );
    text.push_str(placeholders(chosen));
    text.push_str(&format!("command = {}\n", toml_list(&chosen.command)));
    if let Some(artifact) = &chosen.artifact {
        let why = "# Copied into each release: a new build cannot hurt what runs, and a rollback finds the old one.\n";
        text.push_str(&format!("{why}artifact = {}\n", toml_text(artifact)));
    }
    text.push_str(
        "# Variables that the program gets, NAME=value a line. They are kept with the release, and never shown.\n",
    );
    text.push_str(if facts.env_file { "env_file = \".env\"\n" } else { "# env_file = \".env\"\n" });
    text.push_str("# How many instances serve side by side.\n# replicas = 1\n");
    text
}

/// What the command's placeholders stand for, and how the program learns its port if there is none for it.
fn placeholders(chosen: &Candidate) -> &'static str {
    let takes_artifact = chosen.command.iter().any(|word| word.contains("{artifact}"));
    match (chosen.ready == Ready::Worker, chosen.takes_port(), takes_artifact) {
        (_, true, true) => "# {port} becomes a port of its own, {artifact} the release's copy of the artifact below.\n",
        (_, true, false) => "# {port} becomes a port of its own.\n",
        (false, false, true) => {
            "# {artifact} becomes the release's copy of the artifact below; the port is in the variable PORT.\n"
        }
        (false, false, false) => "# The program must listen on the port in the variable PORT.\n",
        (true, false, true) => "# {artifact} becomes the release's copy of the artifact below.\n",
        (true, false, false) => "",
    }
}

/// A text that cannot leave the comment it is put into: file names may hold line breaks.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn ready(chosen: &Candidate) -> String {
    let (path, comment) = match chosen.ready {
        Ready::Health(path) => (path, ""),
        _ => (
            "/",
            "# The front page may answer while the program cannot work: better name a page that tests what it needs.\n",
        ),
    };
    format!(
        "\n[service.{}.ready]\n\
         # A new instance gets traffic once this page has answered with a status from 200 to 399, twice in a row.\n\
         {comment}http = {}\n\
         # If it does not within this time, the deployment is undone, and the old release goes on serving.\n\
         # within = \"60s\"\n",
        chosen.service,
        toml_text(path)
    )
}

/// The route. With one place in an nginx that could be written, that is proposed; the better way stands beside it.
fn route(chosen: &Candidate, passes: &[Pass]) -> String {
    let own = own_route(chosen);
    let places: Vec<(&Pass, String)> = passes.iter().filter_map(|p| Some((p, p.route(&chosen.service)?))).collect();
    match &places[..] {
        [(pass, route)] => format!(
            "\n# nginx passes requests on at {}: {}.\n# cutover writes who serves into this file, and reloads nginx once for \
             each deployment.\n{route}\
             # Better: let nginx pass to cutover's proxy, once; then no deployment reloads it, and no client notices one.\n\
             # To do so, remove the table above, and pass to this address in nginx:\n\
             # [service.{}.route]\n# listen = \"127.0.0.1:8000\"\n# trusted = [\"127.0.0.1\"]\n",
            comment(&pass.at),
            comment(&pass.says),
            chosen.service
        ),
        _ => {
            let found: String =
                passes.iter().map(|p| format!("#   {}: {}\n", comment(&p.at), comment(&p.says))).collect();
            if found.is_empty() {
                return own;
            }
            format!(
                "{own}# An nginx passes requests on already:\n{found}# Let it pass to the address above, or see docs/nginx.md for \
                 how cutover switches it.\n"
            )
        }
    }
}

fn own_route(chosen: &Candidate) -> String {
    format!(
        "\n[service.{}.route]\n\
         # Where clients come in: cutover's proxy listens here. Instances have ports of their own.\n\
         listen = \":8080\"\n\
         # Several services can share one address, told apart by host or path.\n\
         # hosts = [\"shop.example.com\"]\n",
        chosen.service
    )
}

fn rollout(chosen: &Candidate) -> String {
    format!(
        "\n# [service.{}.rollout]\n\
         # How long requests may take to finish on the old release, and streams (WebSocket, event streams) to end.\n\
         # drain = \"30s\"\n\
         # stream_drain = \"1h\"\n\
         # How long both releases stay alive after the switch; until then going back is instant.\n\
         # watch = \"10s\"\n",
        chosen.service
    )
}

fn other_service(name: &str, command: &[String]) -> String {
    format!(
        "\n# Found beside it. A service without a route is a worker: nothing is sent to it.\n# [service.{name}]\n# command = {}\n",
        toml_list(command)
    )
}

fn alternative(candidate: &Candidate) -> String {
    let mut text = format!(
        "\n# Also found: {}. To run that instead:\n# command = {}\n",
        comment(&candidate.found),
        toml_list(&candidate.command)
    );
    if let Some(artifact) = &candidate.artifact {
        text.push_str(&format!("# artifact = {}\n", toml_text(artifact)));
    }
    text
}

fn containers(found: &[String]) -> String {
    if found.is_empty() {
        return String::new();
    }
    format!(
        "\n# Also found: {}. Containers come with a later version of cutover; this one runs plain processes.\n",
        comment(&found.join(", "))
    )
}

/// What to say after the file is written: what to know first, then the next commands.
pub(super) fn notes(facts: &Facts) -> Vec<String> {
    let mut notes: Vec<String> = facts.candidates.first().map(|chosen| chosen.notes.clone()).unwrap_or_default();
    if facts.candidates.is_empty() {
        notes.push("Nothing here is known: put the command that starts your program into cutover.toml.".to_owned());
    }
    if !facts.containers.is_empty() {
        notes.push("Containers come with a later version; this one runs plain processes.".to_owned());
    }
    notes.push("Look through cutover.toml, then run `cutover check`.".to_owned());
    notes.push("Deploy with `cutover deploy`; see what runs with `cutover status`.".to_owned());
    notes
}
