//! This host.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::command::{self, Output};
use super::{Place, PlaceError, Process, cure, process};

/// The host that the agent runs on.
#[derive(Debug, Clone, Copy)]
pub struct Host;

/// The mode of a file that was not there before: nginx's master reads it as root, people look at it.
const MODE: u32 = 0o644;

#[async_trait]
impl Place for Host {
    fn name(&self) -> String {
        "on this host".to_owned()
    }

    async fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
        match tokio::fs::read(file).await {
            Ok(content) => Ok(Some(content)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(told("read", file, &error)),
        }
    }

    async fn write(&self, file: &Path, content: &[u8]) -> Result<(), PlaceError> {
        let (path, content) = (target(file), content.to_vec());
        let place = path.clone();
        let written = spawn_blocking(move || put(&path, &content)).await;
        written.map_err(std::io::Error::other).and_then(|done| done).map_err(|error| told("write", &place, &error))
    }

    async fn remove(&self, file: &Path) -> Result<(), PlaceError> {
        match tokio::fs::remove_file(file).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(told("remove", file, &error)),
            _ => Ok(()),
        }
    }

    async fn may_write(&self, folder: &Path) -> Result<(), PlaceError> {
        // The only honest way to find out, with all the ways in which rights are given: do it.
        let tried = folder.to_owned();
        let made = spawn_blocking(move || tempfile::Builder::new().prefix(".cutover.").tempfile_in(tried).map(drop));
        let made = made.await.map_err(std::io::Error::other).and_then(|made| made);
        made.map_err(|error| told("write", &folder.join("x"), &error))
    }

    async fn run(&self, words: &[String]) -> Result<Output, PlaceError> {
        command::run(words, &[]).await.map_err(|error| PlaceError::Other {
            what: format!("run `{}`", words.join(" ")),
            place: self.name(),
            why: error.to_string(),
        })
    }

    async fn processes(&self) -> Result<Vec<Process>, PlaceError> {
        Ok(spawn_blocking(process::here).await.unwrap_or_default())
    }

    async fn inside(&self, file: &Path) -> Result<PathBuf, PlaceError> {
        Ok(file.to_owned())
    }

    fn look_again(&self) -> Duration {
        Duration::from_millis(10)
    }
}

/// A link stays; what it leads to is replaced.
fn target(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

fn put(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().ok_or_else(|| std::io::Error::other("it has no folder"))?;
    let before = std::fs::metadata(file).ok();
    let mode = before.as_ref().map_or(MODE, |meta| meta.permissions().mode() & 0o7777);
    let permissions = std::fs::Permissions::from_mode(mode);
    let mut new = tempfile::Builder::new().prefix(".cutover.").tempfile_in(folder)?;
    new.write_all(content)?;
    new.as_file().set_permissions(permissions)?;
    if let Some(meta) = before {
        // Who may not give a file away owns the new one; its content matters more.
        let _ = std::os::unix::fs::chown(new.path(), Some(meta.uid()), Some(meta.gid()));
    }
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

pub(super) fn told(verb: &'static str, file: &Path, error: &std::io::Error) -> PlaceError {
    let folder = file.parent().unwrap_or(file);
    let place = "on this host".to_owned();
    if error.kind() != ErrorKind::PermissionDenied {
        return PlaceError::Other { what: format!("{verb} {}", file.display()), place, why: error.to_string() };
    }
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name);
    match verb {
        "read" => {
            let cure = format!("sudo setfacl -m u:{user}:r {}", file.display());
            PlaceError::Denied { what: "read", path: file.to_owned(), place, cure }
        }
        _ => PlaceError::Denied { what: "write in", path: folder.to_owned(), place, cure: cure(&user, folder) },
    }
}
