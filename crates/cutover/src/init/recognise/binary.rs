//! A compiled program that lies in the folder: what `go build` leaves, for instance.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{files, text};
use crate::init::candidate::{Candidate, words};

/// The first executable of the folder; for a Go module that is not built yet, the one that would be.
pub(super) fn look(dir: &Path) -> Option<Candidate> {
    let reads_port = "The program must listen on the port in the variable PORT, or take {port} as an argument.";
    let module = text(dir, "go.mod").and_then(|text| module(&text));
    let candidate = match (["", "bin/", "build/", "dist/"].iter().find_map(|folder| executable(dir, folder)), module) {
        (Some(file), module) => {
            let kind = if module.is_some() { "a Go program" } else { "an executable" };
            Candidate::web(format!("{kind} ({file})"), words(&["{artifact}"])).artifact(file)
        }
        (None, Some(name)) => Candidate::web("a Go program (go.mod)", words(&["{artifact}"]))
            .note(format!("Build it first: go build -o {name}"))
            .artifact(name),
        (None, None) => return None,
    };
    Some(candidate.note(reads_port))
}

fn executable(dir: &Path, folder: &str) -> Option<String> {
    let names = files(&dir.join(folder)).into_iter().filter(|name| !name.contains(".so"));
    names.map(|name| format!("{folder}{name}")).find(|file| is_executable(&dir.join(file)))
}

/// An ELF file that may be executed.
fn is_executable(file: &Path) -> bool {
    let may = file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
    let mut magic = [0; 4];
    may && std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == b"\x7fELF"
}

/// The last part of a Go module's path, without a major version: the name that `go build` gives its program.
fn module(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("module "))?.trim();
    let is_major = |part: &&str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    path.rsplit('/').find(|part| !is_major(part)).map(str::to_owned)
}
