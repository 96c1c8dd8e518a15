//! Writes the first `cutover.toml` for a folder, from what lies in it.
//!
//! `recognise` holds one file for each kind of program; each looks at the folder and may propose how to run it. The most
//! specific proposal is written out, by `render`, with a comment for every line; the others follow as comments.
//!
//! Deliberately absent: running anything, or asking a build tool. What is proposed follows from files alone, so that `init`
//! is quick, harmless and the same everywhere; the only ones outside of the folder are those of an nginx on this machine.

mod candidate;
mod jar_entries;
mod name;
mod nginx;
mod recognise;
mod render;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::config::FILE_NAME;

/// What `init` would write, and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The whole file, with comments.
    pub file: String,
    /// What was recognised, the one that is used first: "a Spring Boot jar (target/app.jar)".
    pub found: Vec<String>,
    /// What to know, then what to do next; a sentence each.
    pub notes: Vec<String>,
}

/// Why no file was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one already.
    #[error("{} exists already, and was left as it is", .0.display())]
    Exists(PathBuf),
    /// The folder cannot be read.
    #[error("could not read the folder {}", .0.display())]
    Folder(PathBuf, #[source] std::io::Error),
    /// The file cannot be written.
    #[error("could not write {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
}

/// Looks at a folder and proposes a configuration for it.
pub fn propose(dir: &Path) -> Proposal {
    let candidates = recognise::all(dir);
    let passes = nginx::look(dir);
    let facts = render::Facts {
        project: name::of_folder(dir),
        env_file: dir.join(".env").is_file(),
        candidates: &candidates,
        passes: &passes,
    };
    let found = candidates.iter().map(|candidate| candidate.found.clone());
    Proposal { file: render::file(&facts), found: found.collect(), notes: render::notes(&facts) }
}

/// Writes the proposal for a folder to its `cutover.toml`, whole or not at all. An existing file is only replaced with
/// `force`.
pub fn write(dir: &Path, force: bool) -> Result<Proposal, InitError> {
    let path = dir.join(FILE_NAME);
    std::fs::read_dir(dir).map_err(|error| InitError::Folder(dir.to_owned(), error))?;
    let proposal = propose(dir);
    match put(dir, &path, &proposal.file, force) {
        Ok(()) => Ok(proposal),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(InitError::Exists(path)),
        Err(error) => Err(InitError::Write(path, error)),
    }
}

fn put(dir: &Path, path: &Path, content: &str, force: bool) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let readable = std::fs::Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().prefix(".cutover.toml.").permissions(readable).tempfile_in(dir)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    let placed = if force { file.persist(path) } else { file.persist_noclobber(path) };
    placed.map_err(|error| error.error)?;
    std::fs::File::open(dir)?.sync_all()
}
