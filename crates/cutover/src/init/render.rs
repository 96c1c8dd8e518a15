//! Writes a proposal out: few keys, and a comment that lets a newcomer understand each.

use super::candidate::{Candidate, Ready, Run, words};
use super::nginx::Pass;
use crate::config::words::toml_text;

/// What the file is written from.
pub(super) struct Facts<'a> {
    /// The project's name.
    pub(super) project: String,
    /// Whether there is a file `.env`.
    pub(super) env_file: bool,
    /// What was recognised; the first is used.
    pub(super) candidates: &'a [Candidate],
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
    file
}

fn service(chosen: &Candidate, facts: &Facts) -> String {
    let mut text = format!(
        "# One table for each service. Found here: {}.\n[service.{}]\n{}{}\n",
        comment(&chosen.found),
        chosen.service,
        about(chosen),
        chosen.run.key()
    );
    if let Some(artifact) = &chosen.artifact {
        let why = "# Copied into each release: a new build cannot hurt what runs, and a rollback finds the old one.\n";
        text.push_str(&format!("{why}artifact = {}\n", toml_text(artifact)));
    }
    if let Run::Image { port, .. } | Run::Compose { port, .. } = &chosen.run {
        let guess = if port.is_none() { " Nothing names it; this is a guess." } else { "" };
        let port = port.unwrap_or(8080);
        text.push_str(&format!("# The port that it listens on, inside its container.{guess}\nport = {port}\n"));
    }
    if !matches!(chosen.run, Run::Compose { .. }) {
        text.push_str(
            "# Variables that the program gets, NAME=value a line. They are kept with the release, and never shown.\n",
        );
        text.push_str(if facts.env_file { "env_file = \".env\"\n" } else { "# env_file = \".env\"\n" });
    }
    text.push_str("# How many instances serve side by side.\n# replicas = 1\n");
    text
}

/// What the reader should know about the line that says what runs.
fn about(chosen: &Candidate) -> String {
    match &chosen.run {
        Run::Command(_) => format!(
            "# The program, then each argument as a text of its own. No shell reads it.\n{}",
            placeholders(chosen)
        ),
        Run::Image { .. } => {
            "# `cutover deploy` builds it and gives it a tag of its own. With a registry in its name, add push = true\n\
             # to build; an image that is built elsewhere needs no build: `cutover deploy --image NAME:TAG`.\n"
                .to_owned()
        }
        Run::Compose { file, .. } => format!(
            "# The service as {file} describes it. That file stays as it is; cutover runs copies of the service,\n\
             # and leaves its neighbours (databases and the like) to Compose.\n"
        ),
    }
}

/// What the command's placeholders stand for, and how the program learns its port if there is none for it.
fn placeholders(chosen: &Candidate) -> &'static str {
    let takes_artifact = chosen.command().iter().any(|word| word.contains("{artifact}"));
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
    if chosen.ready == Ready::OwnCheck {
        return format!(
            "\n[service.{}.ready]\n\
             # A new instance gets traffic once its own health check says healthy. A page is asked sooner: http = \"/health\".\n\
             health = true\n# If it does not within this time, the deployment is undone, and the old release goes on serving.\n\
             # within = \"60s\"\n",
            chosen.service
        );
    }
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
    let published = match &chosen.run {
        Run::Compose { published, .. } => *published,
        _ => None,
    };
    let taken = published.map(|port| {
        format!(
            "# Compose publishes {port}. If the project runs already, Docker holds that port: take another one here, such as\n\
             # \"127.0.0.1:8100\", and point your nginx to it.\n"
        )
    });
    format!(
        "\n[service.{}.route]\n\
         # Where clients come in: cutover's proxy listens here. Instances have ports of their own.\n\
         {}listen = \":{}\"\n\
         # Several services can share one address, told apart by host or path.\n\
         # hosts = [\"shop.example.com\"]\n",
        chosen.service,
        taken.unwrap_or_default(),
        published.unwrap_or(8080)
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

fn other_service(name: &str, key: &str) -> String {
    format!(
        "\n# Found beside it. A service without a route is a worker: nothing is sent to it.\n# [service.{name}]\n# {}\n",
        comment(key)
    )
}

fn alternative(candidate: &Candidate) -> String {
    let key: String = candidate.run.key().lines().map(|line| format!("# {line}\n")).collect();
    let mut text = format!("\n# Also found: {}. To run that instead:\n{key}", comment(&candidate.found));
    if let Some(artifact) = &candidate.artifact {
        text.push_str(&format!("# artifact = {}\n", toml_text(artifact)));
    }
    text
}

/// What to say after the file is written: what to know first, then the next commands.
pub(super) fn notes(facts: &Facts) -> Vec<String> {
    let mut notes: Vec<String> = facts.candidates.first().map(|chosen| chosen.notes.clone()).unwrap_or_default();
    if facts.candidates.is_empty() {
        notes.push("Nothing here is known: put the command that starts your program into cutover.toml.".to_owned());
    }
    notes.push("Look through cutover.toml, then run `cutover check`.".to_owned());
    notes.push("Deploy with `cutover deploy`; see what runs with `cutover status`.".to_owned());
    notes
}
