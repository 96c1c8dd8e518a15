//! A folder with a configuration in it, for the tests of the reader.

mod certificate;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cutover::config::{Config, ConfigErrors, Surroundings, load_in};

/// A folder that holds what a configuration may name: an artifact, a program, an env file.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    /// A folder with the files that the examples name.
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        folder.file("target/app.jar", "not really a jar");
        folder.file(".env", "API_KEY=hunter2\n");
        folder.certificate("web", &["shop.example.com", "*.example.org"], 90);
        for program in ["smoke.sh", "server", "bin/java", "bin/python3", "bin/node", "bin/sh", "bin/psql"] {
            folder.file(program, "#!/bin/true\n");
            let path = folder.path().join(program);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        folder
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Writes a certificate that is good until so many days from now, and its key, as `NAME.pem` and `NAME.key`.
    pub fn certificate(&self, name: &str, hosts: &[&str], days: i64) {
        certificate::write(self.path(), name, hosts, days);
    }

    /// The caller: in this folder, with programs in its `bin`.
    pub fn surroundings(&self) -> Surroundings {
        let path = self.path().join("bin").display().to_string();
        let variables = [("PATH", path), ("SECRET", "hunter2".to_owned())];
        let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value)).into();
        Surroundings { directory: self.path().to_owned(), variables }
    }

    /// Writes `cutover.toml` and loads it.
    pub fn load(&self, toml: impl AsRef<[u8]>, environment: Option<&str>) -> Result<Config, ConfigErrors> {
        self.file("cutover.toml", toml);
        load_in(&self.surroundings(), None, environment)
    }
}
