//! A Procfile: `web: command`, one process type a line.

use std::path::Path;

use super::text;
use crate::config::words;
use crate::init::candidate::{Candidate, Ready, Run};
use crate::init::name::fitting;

/// The `web` process of a Procfile; else its first process, as a worker.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let text = text(dir, "Procfile")?;
    let mut processes: Vec<(String, String)> = text.lines().filter_map(process).collect();
    let release = processes.iter().position(|(name, _)| name == "release").map(|at| processes.remove(at));
    let chosen = processes.iter().position(|(name, _)| name == "web").unwrap_or(0);
    if processes.is_empty() {
        return None;
    }
    let (name, line) = processes.remove(chosen);
    let mut candidate = Candidate::web(format!("a Procfile, process type {name:?}"), command(&line)).artifact(".");
    if name != "web" {
        candidate.ready = Ready::Worker;
        candidate.service = fitting(&name);
    }
    candidate.others =
        processes.into_iter().map(|(name, line)| (fitting(&name), Run::Command(command(&line)).key())).collect();
    match release {
        Some((_, line)) => Some(candidate.note(format!(
            "The Procfile has a release command, which is not run: {line}. Run it before `cutover deploy`."
        ))),
        None => Some(candidate),
    }
}

fn process(line: &str) -> Option<(String, String)> {
    let (name, command) = line.split_once(':')?;
    let (name, command) = (name.trim(), command.trim());
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    (is_name(name) && !command.is_empty()).then(|| (name.to_owned(), command.to_owned()))
}

/// A line as a command: directly if it is one program with arguments, else through a shell.
fn command(line: &str) -> Vec<String> {
    let direct = line.replace("${PORT}", "{port}").replace("$PORT", "{port}");
    match words::split(&direct) {
        Some(words) if !words::needs_shell(&direct) && !words.is_empty() => words,
        _ => {
            // `exec` in front of a list of commands would end the script after the first.
            let is_list = line.contains(['|', ';', '&', '\n']);
            let assigns = line.split_whitespace().next().is_some_and(|first| first.contains('='));
            let script = if is_list || assigns { line.to_owned() } else { format!("exec {line}") };
            vec!["sh".to_owned(), "-c".to_owned(), script]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_command() {
        let cases = [
            ("node server.js --port $PORT", "node|server.js|--port|{port}"),
            ("gunicorn -b 0.0.0.0:${PORT} 'a:b'", "gunicorn|-b|0.0.0.0:{port}|a:b"),
            ("java $JAVA_OPTS -jar a.jar", "sh|-c|exec java $JAVA_OPTS -jar a.jar"),
            ("./migrate && ./server", "sh|-c|./migrate && ./server"),
        ];
        for (line, words) in cases {
            assert_eq!(command(line).join("|"), words);
        }
    }
}
