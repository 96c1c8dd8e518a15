//! Finds the configuration file: the path given, else `cutover.toml` here or in the nearest folder above.

use std::path::{Path, PathBuf};

use super::finding::Finding;

/// The name of the file.
pub(crate) const FILE_NAME: &str = "cutover.toml";

/// The absolute path of the file to read.
pub(super) fn find(directory: &Path, given: Option<&Path>) -> Result<PathBuf, Finding> {
    if let Some(given) = given {
        return Ok(normal(&directory.join(given)));
    }
    let nearest = directory.ancestors().map(|folder| folder.join(FILE_NAME)).find(|file| file.exists());
    nearest.ok_or_else(|| {
        Finding::new(format!("there is no {FILE_NAME} in {} or any folder above it", directory.display()))
            .hint("write one with `cutover init`, or name another file with --config")
    })
}

/// The path without `.` components, so that it reads well. `..` stays: what it means is for the file system to say.
pub(crate) fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}
