//! The page about the agent's socket is written from the types that go over it, and names every path that is answered.
//! `UPDATE_DOCS=1` writes it anew.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use std::fmt::Write;
use std::path::{Path, PathBuf};

const TYPES: &str = include_str!("../src/agent/api.rs");
const PATHS: &str = include_str!("../src/agent/server.rs");

const INTRO: &str = "# The agent's socket

The agent answers HTTP/1.1 with JSON on a Unix socket: `agent.sock` in its state directory, which `cutover status --json` names.
Whoever may write to the socket may deploy; its mode is 0600, or 0660 with `cutover agent run --socket-group`. Everything that
the command line does goes through it.

```sh
curl --unix-socket /var/lib/cutover/agent.sock http://agent/v1/status
```

Times are milliseconds since 1970 (UTC), durations are texts such as `1m30s`, sizes are bytes. A value that is missing is `null` or left
out. No value of a service's environment is ever answered. New fields may be added at any time; what is here does not change its
meaning within `/v1`.

A `Request` names a service, what is wanted and who asks:
`{\"service\": \"web\", \"want\": {\"want\": \"rollback\", \"to\": null, \"past\": false}, \"by\": \"ann\"}`. What can be wanted: `deploy` and `adopt` (with a
whole `spec`, as the command line makes it of the configuration), `rollback`, `restart`, `scale` (with `replicas`), `stop` and `remove`.

";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md")
}

/// The table of requests, and one table for each type.
fn reference() -> String {
    let mut text = INTRO.to_owned();
    let header = TYPES.lines().take_while(|line| line.starts_with("//!")).skip(2);
    for line in header {
        let line = line.trim_start_matches("//!").trim_start();
        let line = line.replace("cutover_core::plan::", "").replace("[`Record`]", "an event");
        writeln!(text, "{}", plain(&line)).unwrap();
    }
    let (mut doc, mut inside) = (String::new(), false);
    for line in TYPES.lines() {
        let line = line.trim();
        if let Some(said) = line.strip_prefix("///") {
            let space = if doc.is_empty() { "" } else { " " };
            write!(doc, "{space}{}", said.trim()).unwrap();
        } else if let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            writeln!(text, "\n## {name}\n\n{}\n\n| field | type | |\n|---|---|---|", plain(&doc)).unwrap();
            (doc, inside) = (String::new(), true);
        } else if let (true, Some((name, kind))) = (inside, field(line)) {
            writeln!(text, "| `{name}` | `{kind}` | {} |", plain(&doc)).unwrap();
            doc.clear();
        } else if !line.starts_with("#[") {
            inside &= line != "}";
            doc.clear();
        }
    }
    text
}

fn field(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("pub ")?.strip_suffix(',')?.split_once(": ")
}

/// Without the links of rustdoc.
fn plain(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`")
}

/// Seen to fail after a field's comment was changed.
#[test]
fn the_page_about_the_socket_is_fresh() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page(), reference()).unwrap();
    }
    let written = std::fs::read_to_string(page()).unwrap_or_default();
    assert!(written == reference(), "docs/api.md is stale: run `cargo xtask docs`");
    assert!(written.contains("## Problem"), "the types are missing");
}

/// Seen to fail with the row of a path removed.
#[test]
fn every_path_is_named() {
    let page = reference();
    let paths: Vec<&str> = PATHS.split('"').filter(|text| text.starts_with("/v1/")).collect();
    assert!(paths.len() > 8, "{paths:?}");
    for path in paths {
        // `unlock` shares a row with `lock`.
        let named = page.contains(path) || page.contains(&format!("…/{}", path.rsplit('/').next().unwrap_or(path)));
        assert!(named, "docs/api.md does not name {path}");
    }
}
