//! What the reader takes from the process it runs in: variables and the current directory. A value, so that tests can choose
//! it; the file system and the user database are asked directly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The current directory and the environment of the caller.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The directory that relative paths given by the caller start from; absolute.
    pub directory: PathBuf,
    /// The environment variables; those that are not UTF-8 are left out.
    pub variables: BTreeMap<String, String>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
        Self { directory: std::env::current_dir().unwrap_or_default(), variables: variables.collect() }
    }

    /// Where programs are searched.
    pub(super) fn path(&self) -> Option<&str> {
        self.variables.get("PATH").map(String::as_str)
    }

    /// A path as someone in the current directory would write it.
    pub(super) fn shown(&self, path: &Path) -> String {
        let short = path.strip_prefix(&self.directory).ok().filter(|short| !short.as_os_str().is_empty());
        short.unwrap_or(path).display().to_string()
    }
}
