//! What is remembered of a file that was written: on disk, so that the next agent finishes what this one began.
//!
//! **Invariant.** Before a file is written, it is recorded that a reload is owed; only after nginx has acknowledged is the
//! debt struck off. So a file that is right on disk is never taken for one that is in force.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cutover_core::spec::NginxRoute;
use cutover_core::{Failure, ServiceName};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The service.
    pub service: ServiceName,
    /// The route by which the file was written.
    pub route: NginxRoute,
    /// The digest of the content that nginx acknowledged last.
    pub acknowledged: Option<String>,
    /// Whether a content was, or may have been, written that nginx has not acknowledged.
    pub owed: bool,
}

/// The records, and what was in the files before.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// Kept in this folder, which is made when it is needed.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All of them. One that cannot be read is as good as none: its file is then written and acknowledged anew.
    pub fn all(&self) -> Vec<Record> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
        files.filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()).collect()
    }

    /// The record of a service's file; a new one if there is none.
    pub fn of(&self, service: &ServiceName, route: &NginxRoute) -> Record {
        let read = || serde_json::from_slice::<Record>(&std::fs::read(self.path(service, route, "json")).ok()?).ok();
        let fresh = || Record { service: service.clone(), route: route.clone(), acknowledged: None, owed: false };
        let record = read().unwrap_or_else(fresh);
        Record { route: route.clone(), ..record }
    }

    /// Makes a record durable.
    pub fn keep(&self, record: &Record) -> Result<(), Failure> {
        let path = self.path(&record.service, &record.route, "json");
        let text = serde_json::to_vec(record).map_err(|error| failed(&path, &error))?;
        self.put(&path, &text)
    }

    /// Keeps what was in the file: `None` if it was not there.
    pub fn keep_previous(&self, record: &Record, content: Option<&[u8]>) -> Result<(), Failure> {
        let path = self.path(&record.service, &record.route, "previous");
        match content {
            Some(content) => self.put(&path, content),
            None => std::fs::remove_file(&path).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(failed(&path, &error)),
            }),
        }
    }

    /// What was in the file when nginx last acknowledged; `None` if it was not there.
    pub fn previous(&self, record: &Record) -> Option<Vec<u8>> {
        std::fs::read(self.path(&record.service, &record.route, "previous")).ok()
    }

    /// Keeps what was there before cutover wrote for the first time.
    pub fn keep_original(&self, record: &Record, content: &[u8]) -> Result<(), Failure> {
        self.put(&self.path(&record.service, &record.route, "original"), content)
    }

    /// What was there before cutover wrote for the first time, until a second state has served.
    pub fn original(&self, record: &Record) -> Option<Vec<u8>> {
        std::fs::read(self.path(&record.service, &record.route, "original")).ok()
    }

    /// There is a state of ours to go back to.
    pub fn drop_original(&self, record: &Record) {
        let _ = std::fs::remove_file(self.path(&record.service, &record.route, "original"));
    }

    /// Keeps what somebody made of our file, and tells where.
    pub fn keep_edited(&self, record: &Record, content: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.path(&record.service, &record.route, "edited");
        self.put(&path, content)?;
        Ok(path)
    }

    /// Forgets a file.
    pub fn forget(&self, record: &Record) {
        for kind in ["previous", "original", "edited", "json"] {
            let _ = std::fs::remove_file(self.path(&record.service, &record.route, kind));
        }
    }

    /// The folder for what else is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One path for each file at each place.
    fn path(&self, service: &ServiceName, route: &NginxRoute, kind: &str) -> PathBuf {
        let place = serde_json::to_string(&route.at).unwrap_or_default();
        let name = digest(format!("{place} {}", route.file.display()).as_bytes());
        self.folder.join(format!("{service}.{}.{kind}", &name[..12]))
    }

    fn put(&self, path: &Path, content: &[u8]) -> Result<(), Failure> {
        let write = || -> std::io::Result<()> {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let private = std::fs::Permissions::from_mode(0o600);
            let mut file = tempfile::Builder::new().permissions(private).tempfile_in(&self.folder)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| failed(path, &error))
    }
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::because(format!("could not write {}; nothing was changed in nginx", path.display()), error)
}

/// The digest of a content.
pub fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_new_one_has_nothing_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path().join("nginx"));
        let service = ServiceName::new("web").unwrap();
        let route = NginxRoute {
            at: cutover_core::spec::NginxAt::Host(cutover_core::spec::NginxProgram::default()),
            shape: cutover_core::spec::NginxShape::Down { upstream: "web".to_owned() },
            file: "/etc/nginx/x".into(),
            url: None,
            advertise: None,
            access_log: None,
        };
        let fresh = records.of(&service, &route);
        assert!(fresh.acknowledged.is_none() && records.all().is_empty());
        let record = Record { acknowledged: Some(digest(b"x")), owed: true, ..fresh };
        records.keep(&record).unwrap();
        records.keep_previous(&record, Some(b"old")).unwrap();
        assert_eq!((records.of(&service, &route), records.all().len()), (record.clone(), 1));
        assert_eq!(records.previous(&record).unwrap(), b"old");
        let elsewhere = NginxRoute { file: "/etc/nginx/y".into(), ..route };
        assert!(!records.of(&service, &elsewhere).owed, "another file owes nothing");
        records.forget(&record);
        assert!(records.all().is_empty() && records.previous(&record).is_none());
    }
}
