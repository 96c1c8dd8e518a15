//! A Node.js program: `package.json`.

use std::path::Path;

use super::text;
use crate::config::words;
use crate::init::candidate::{Candidate, words as command};

/// The program that `scripts.start` or `main` names, without npm in front: npm does not pass every signal on.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let package: serde_json::Value = serde_json::from_str(&text(dir, "package.json")?).ok()?;
    let start = package["scripts"]["start"].as_str();
    let direct = start.and_then(|line| direct(dir, line)).or_else(|| main(dir, package["main"].as_str()));
    let candidate = match (direct, start) {
        (Some(command), _) => Candidate::web("a Node.js program (package.json)", command),
        (None, Some(line)) => Candidate::web("a Node.js program (package.json)", command(&["npm", "start"])).note(format!(
            "npm stays in front of the program and may keep signals from it. Name the program itself in the command; the script is: {line}"
        )),
        (None, None) => return None,
    };
    let candidate = candidate.artifact(".");
    let needs_port = !candidate.takes_port();
    Some(if needs_port {
        candidate.note("The program must listen on the port in process.env.PORT.")
    } else {
        candidate
    })
}

/// The command of a start script, if it is one program that can be run without npm.
fn direct(dir: &Path, line: &str) -> Option<Vec<String>> {
    let line = line.replace("${PORT}", "{port}").replace("$PORT", "{port}");
    let mut words = words::split(&line).filter(|_| !words::needs_shell(&line))?;
    let program = words.first_mut()?;
    if program != "node" && !program.contains('/') {
        // npm runs scripts with the package's own programs in front of PATH.
        let own = format!("node_modules/.bin/{program}");
        if !dir.join(&own).is_file() {
            return None;
        }
        *program = own;
    }
    Some(words)
}

fn main(dir: &Path, main: Option<&str>) -> Option<Vec<String>> {
    let named = main.into_iter().chain(["server.js", "index.js", "app.js"]);
    let file = named.into_iter().find(|file| dir.join(file).is_file())?;
    Some(command(&["node", file]))
}
