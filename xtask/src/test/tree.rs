//! What must hold for the tree itself.

use std::path::Path;
use std::process::Command;

/// A longer file has more than one idea in it.
const LONGEST: usize = 600;

/// Words that do not belong into a public tree: hosts of package registries, and paths of the machine that somebody works on.
/// Written in two parts, so that this file does not hold them.
const FOREIGN: &[(&str, &str)] = &[
    ("deb.", "debian.org"),
    ("index.", "crates.io"),
    ("static.", "crates.io"),
    ("pypi", ".org"),
    ("/root", "/.cargo"),
    (" /wo", "rk/"),
    ("\"/wo", "rk/"),
];

/// Looks at every file that is tracked.
pub fn check(root: &Path) -> Result<(), String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let listed = listed.map_err(|error| format!("could not ask git for the files: {error}"))?;
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names: Vec<&str> = names.split('\0').filter(|name| !name.is_empty() && *name != "Cargo.lock").collect();
    if names.is_empty() {
        return Err("git lists no files".to_owned());
    }
    let complaints: Vec<String> = names.iter().flat_map(|name| complaints(root, name)).collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn complaints(root: &Path, name: &str) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(root.join(name)) else { return Vec::new() };
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if name.ends_with(".rs") && lines > LONGEST {
        complaints.push(format!("{name} has {lines} lines, over {LONGEST}"));
    }
    for (first, second) in FOREIGN {
        let word = format!("{first}{second}");
        if let Some(line) = text.lines().position(|line| line.contains(&word)) {
            complaints.push(format!("{name}:{}: names {word:?}", line + 1));
        }
    }
    complaints
}
