//! A file with a whole `upstream` block.
//!
//! The marker is a header that nginx adds to its answers while the request carries the secret: a `map` from the secret to the
//! state, and an `add_header` of the mapped value, which adds nothing when that is empty. Both stand in the `http` block, so
//! that no server needs a change. A server or location with an `add_header` of its own does not inherit ours; there the marker
//! is not seen, and the state of the worker processes is the proof.

use super::{MARKER_HEADER, Wanted, header};

/// The server of an upstream in which nobody serves: an upstream must have one. nginx answers with 502 at once.
pub const NOBODY: &str = "127.0.0.1:1";

pub(super) fn render(name: &str, directives: &[String], server: Option<&str>, wanted: &Wanted) -> String {
    let mut text = header(wanted);
    text.push_str(&format!("upstream {name} {{\n"));
    for directive in directives {
        text.push_str(&format!("    {};\n", directive.trim().trim_end_matches(';')));
    }
    for one in &wanted.servers {
        let weight = if wanted.is_weighted() { format!(" weight={}", one.weight) } else { String::new() };
        let further = server.map(|parameters| format!(" {parameters}")).unwrap_or_default();
        text.push_str(&format!("    server {}{weight}{further}; # {}\n", one.address, one.instance));
    }
    if wanted.servers.is_empty() {
        text.push_str(&format!("    server {NOBODY} down; # nobody serves\n"));
    }
    text.push_str("}\n");
    if let Some(token) = &wanted.token {
        text.push_str(&marker(token, wanted));
    }
    text
}

fn marker(token: &str, wanted: &Wanted) -> String {
    // Two services whose names differ only in a dash must not share a variable.
    let distinct = token.get(..6).unwrap_or(token);
    let variable = format!("$cutover_{}_{distinct}", wanted.service.as_str().replace('-', "_"));
    format!(
        "# Tells cutover which state is in force, when it asks by this secret; empty for everybody else.\n\
         map $http_cutover_token {variable} {{\n    {token} \"{}\";\n}}\nadd_header {MARKER_HEADER} {variable} always;\n",
        wanted.marker()
    )
}
