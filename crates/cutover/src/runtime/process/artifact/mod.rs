//! Copies artifacts into releases, so that nobody can change what a release runs by changing the original.
//!
//! A copy is made beside its place under another name, checked against the digest that was seen while planning, brought to
//! the disk, and renamed. So a release's directory is complete or absent.
//!
//! Kept: contents, permissions (without set-user-id and the like), links as links. Not kept: owners (the copy belongs to
//! the agent, so that the program cannot change it), times, extended attributes. What is neither a file, a directory nor a
//! link is refused.

mod walk;
mod write;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use self::walk::digest;
use self::walk::walk;
use self::write::Copy;
use super::durable;

/// What can go wrong with an artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file could not be read or written.
    #[error("{}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no longer what it was.
    #[error("{} changed", .0.display())]
    Changed(PathBuf),
}

impl ArtifactError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Copies `artifact` to `to`, which lies in the directory `release`. Does nothing if that has been done.
pub fn copy(artifact: &Path, release: &Path, to: &Path, expected: Option<&str>) -> Result<(), ArtifactError> {
    let changed = || ArtifactError::Changed(artifact.to_owned());
    if let Ok(digest) = std::fs::read_to_string(release.join("digest")) {
        return if expected.is_none_or(|expected| expected == digest) { Ok(()) } else { Err(changed()) };
    }
    let scratch = release.with_file_name(scratch_name(release));
    let copied = copy_into(artifact, &scratch, release, to, expected);
    if copied.is_err() {
        // The failure that is told is the one that came first.
        let _ = remove(&scratch);
    }
    copied
}

/// Removes a release's directory, by way of a rename so that it is never there by half.
pub fn discard(release: &Path) -> io::Result<()> {
    let scratch = release.with_file_name(scratch_name(release));
    remove(&scratch)?;
    match std::fs::rename(release, &scratch) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => remove(&scratch),
    }
}

fn copy_into(
    artifact: &Path,
    scratch: &Path,
    release: &Path,
    to: &Path,
    expected: Option<&str>,
) -> Result<(), ArtifactError> {
    let at = ArtifactError::at;
    remove(scratch).map_err(at(scratch))?;
    // `to`, as long as the release bears its scratch name.
    let inside = scratch.join(to.strip_prefix(release).expect("a copy lies in its release"));
    let parent = inside.parent().expect("a copy lies in its release");
    std::fs::create_dir_all(parent).map_err(at(parent))?;
    let digest = walk(artifact, &mut Copy::new(&inside))?;
    if expected.is_some_and(|expected| expected != digest) {
        return Err(ArtifactError::Changed(artifact.to_owned()));
    }
    let marker = scratch.join("digest");
    std::fs::write(&marker, &digest).map_err(at(&marker))?;
    settle(scratch, release).map_err(at(release))
}

/// Brings everything to the disk, then gives it its name.
fn settle(scratch: &Path, release: &Path) -> io::Result<()> {
    // One call for the whole file system: an artifact may hold tens of thousands of files.
    rustix::fs::syncfs(File::open(scratch)?)?;
    std::fs::rename(scratch, release)?;
    durable::sync_directory_of(release)
}

fn scratch_name(release: &Path) -> String {
    format!(".{}.tmp", release.file_name().unwrap_or_default().to_string_lossy())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
