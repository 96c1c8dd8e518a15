//! The files of one authority, and how they are written.
//!
//! ```text
//! STORE/challenges/TOKEN                   what an authority is answered by HTTP
//! STORE/challenges/NAME.alpn               the same in a handshake
//! STORE/AUTHORITY/account.json             the account, with its key
//! STORE/AUTHORITY/NAME.pem                 a key, its certificate, and those that vouch for it
//! STORE/AUTHORITY/NAME.json                attempts that came to nothing
//! STORE/AUTHORITY/NAME.lock                who is ordering now, and until when
//! ```
//!
//! All of them are for our own user only. A file is replaced by renaming another over it, so that whoever reads sees a whole one;
//! key and certificate are one file, so that nobody sees halves of two pairs.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cutover_core::acme::{Attempts, Authority};

/// What is left of a process that was killed is removed after so long.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// Where the files of an authority lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
    folder: PathBuf,
}

impl Store {
    /// Of this authority: where the table says, else in the state directory of the proxy.
    pub fn of(authority: &Authority, state: &Path) -> Self {
        let root = authority.store.clone().unwrap_or_else(|| own(state));
        let folder = root.join(folder(&authority.directory));
        Self { root, folder }
    }

    /// The whole store, also of other authorities.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes its folders, and removes what a process that was killed has left.
    pub fn make(&self) -> io::Result<()> {
        for folder in [&self.folder, &self.challenges()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        sweep(&self.challenges(), |_| true);
        sweep(&self.folder, |name| name.starts_with('.'));
        Ok(())
    }

    /// The certificate for a name with its key.
    pub fn pair(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// The account.
    pub fn account(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    /// Who orders for a name.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.lock"))
    }

    /// What authorities are answered.
    pub fn challenges(&self) -> PathBuf {
        challenges(&self.root)
    }

    /// The attempts for a name. Damaged, they count as none.
    pub fn attempts(&self, name: &str) -> Option<Attempts> {
        serde_json::from_slice(&fs::read(self.noted(name)).ok()?).ok()
    }

    /// Notes attempts for a name, or that there is nothing to note.
    pub fn note(&self, name: &str, attempts: Option<&Attempts>) -> io::Result<()> {
        let path = self.noted(name);
        match attempts {
            Some(attempts) => write(&path, &serde_json::to_vec_pretty(attempts)?),
            None => remove(&path),
        }
    }

    /// The file of the attempts for a name.
    pub fn noted(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// What authorities are answered, in the store at `root`.
pub fn challenges(root: &Path) -> PathBuf {
    root.join("challenges")
}

/// What belongs to the proxy of this state directory alone.
pub fn own(state: &Path) -> PathBuf {
    state.join("acme")
}

/// A text by which the proxies that share a store are told apart. It stays the same when this one starts again.
pub fn owner(state: &Path) -> io::Result<String> {
    let path = own(state).join("owner");
    match fs::read_to_string(&path) {
        Ok(owner) if !owner.is_empty() => return Ok(owner),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(own(state))?;
    let owner = format!("{:016x}", random());
    write(&path, owner.as_bytes())?;
    Ok(owner)
}

/// Writes a file so that it is there whole or not at all, also after a crash.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let new = folder.join(format!(".{}.{:016x}", name.to_string_lossy(), random()));
    let written = File::options().create_new(true).write(true).mode(0o600).open(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed?;
    File::open(folder)?.sync_all()
}

/// Removes a file that may be gone already.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A number that no other process has: for names, not for secrets.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// The folder of an authority: its host, for people, and a number that tells its directories apart.
fn folder(directory: &str) -> String {
    let host = directory.split("://").last().unwrap_or_default().split(['/', ':']).next().unwrap_or_default();
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
    format!("{}-{:08x}", host.trim_start_matches('.'), crc32fast::hash(directory.as_bytes()))
}

fn sweep(folder: &Path, which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
        if which(&entry.file_name().to_string_lossy()) && age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// Seen to fail with the modes left to the mask.
    #[test]
    fn what_is_written_is_for_our_own_user_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let authority =
            serde_json::from_str(r#"{"directory": "https://ca.example:14000/dir", "challenge": "http-01"}"#);
        let authority: Authority = authority.unwrap();
        let store = Store::of(&authority, dir.path());
        store.make().unwrap();
        let pair = store.pair("shop.example");
        for text in ["one", "another"] {
            write(&pair, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&pair).unwrap(), text);
        }
        let folder = pair.parent().unwrap();
        assert_eq!((mode(&pair), mode(folder), mode(&store.challenges())), (0o600, 0o700, 0o700));
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing is left beside it");
        assert!(folder.file_name().unwrap().to_string_lossy().starts_with("ca.example-"));
        let other = Authority { directory: "https://ca.example:14000/other".to_owned(), ..authority.clone() };
        assert_ne!(Store::of(&other, dir.path()), store);
        let shared = Authority { store: Some("/shared".into()), ..authority };
        assert!(Store::of(&shared, dir.path()).pair("a").starts_with("/shared"));
        assert_eq!(owner(dir.path()).unwrap(), owner(dir.path()).unwrap());
    }

    #[test]
    fn no_authority_leads_out_of_its_store() {
        for directory in ["https://../../etc/", "..", "", "https:///x", "file:///etc/passwd"] {
            let folder = folder(directory);
            assert!(!folder.contains('/') && !folder.starts_with('.'), "{directory:?} lies in {folder:?}");
        }
    }
}
