//! What lies in a folder: one file for each kind of program, asked in order, the most specific first.

mod binary;
mod compose;
mod dockerfile;
mod jar;
mod node;
mod pages;
mod procfile;
mod python;
mod rust;

use std::io::Read;
use std::path::Path;

use super::candidate::Candidate;

/// What each kind of program makes of the folder.
type Look = fn(&Path) -> Option<Candidate>;

/// A Compose file, a Procfile and a Dockerfile say how to run it; a build result what to run; a description of a package only what
/// may be built.
const LOOKS: &[Look] = &[
    compose::look,
    procfile::look,
    dockerfile::look,
    jar::look,
    node::look,
    python::look,
    rust::look,
    binary::look,
    pages::look,
];

/// Everything that is recognised, the most specific first.
pub(super) fn all(dir: &Path) -> Vec<Candidate> {
    LOOKS.iter().filter_map(|look| look(dir)).collect()
}

/// The text of a small file in the folder.
fn text(dir: &Path, name: &str) -> Option<String> {
    const LIMIT: u64 = 1 << 20;
    let path = dir.join(name);
    if !path.is_file() {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The names of the files in a folder, sorted. Names that are not UTF-8 or hold line breaks are left out: the configuration
/// could not name them.
fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.contains(char::is_control))
        .collect();
    names.sort();
    names
}
