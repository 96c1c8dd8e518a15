//! Writes an artifact's entries to another place as they come by.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ArtifactError;
use super::walk::Sink;

/// A copy under way.
pub struct Copy {
    to: PathBuf,
    file: Option<(File, PathBuf)>,
}

impl Copy {
    /// A copy that will be at `to`.
    pub fn new(to: &Path) -> Self {
        Self { to: to.to_owned(), file: None }
    }

    fn place(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() { self.to.clone() } else { self.to.join(path) }
    }
}

impl Sink for Copy {
    fn directory(&mut self, path: &Path, _: u32) -> Result<(), ArtifactError> {
        let place = self.place(path);
        std::fs::create_dir(&place).map_err(ArtifactError::at(&place))
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), ArtifactError> {
        let place = self.place(path);
        std::os::unix::fs::symlink(target, &place).map_err(ArtifactError::at(&place))
    }

    fn file(&mut self, path: &Path, mode: u32) -> Result<(), ArtifactError> {
        let place = self.place(path);
        let create = || {
            let file = OpenOptions::new().write(true).create_new(true).open(&place)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            Ok(file)
        };
        self.file = Some((create().map_err(ArtifactError::at(&place))?, place));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        let (file, place) = self.file.as_mut().expect("bytes follow their file");
        file.write_all(bytes).map_err(ArtifactError::at(place))
    }

    fn leave(&mut self, path: &Path, mode: u32) -> Result<(), ArtifactError> {
        // Last, for the directory may be one that nobody may write to.
        let place = self.place(path);
        std::fs::set_permissions(&place, Permissions::from_mode(mode)).map_err(ArtifactError::at(&place))
    }
}
