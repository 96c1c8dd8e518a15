//! Names and passwords by HTTP Basic (RFC 7617), against a file of hashes as htpasswd writes it.
//!
//! A hash takes tens of milliseconds on purpose: it is computed on a thread of its own, two at a time, and what was found right is
//! remembered as long as the file stays as it is. The file is looked at every two seconds while somebody asks. Nothing that could give
//! a password away is kept: what is remembered is a digest with a key that dies with the process. No password is ever logged.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cutover_core::rules::Password;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::hash;
use crate::serve::refuse::Refusal;

/// How long it may take until a change of the file is noticed.
const LOOK_US: u64 = 2_000_000;

/// How many hashes are computed at once, and how many wait for that.
const AT_ONCE: usize = 2;
const WAITING: usize = 64;

/// How many clients are remembered, and how large a file may be.
const REMEMBERED: usize = 4096;
const MAX_FILE: u64 = 1 << 20;

/// What is known of the logins of a service.
#[derive(Debug)]
pub struct Passwords {
    right: Mutex<HashMap<[u8; 32], Right>>,
    key: OnceLock<[u8; 32]>,
    turns: Semaphore,
    waiting: AtomicUsize,
}

/// A login that was right.
#[derive(Debug, Clone, Copy)]
struct Right {
    of: Stamp,
    looked_us: u64,
}

/// A version of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

/// A login that has to be looked up.
pub struct Login {
    digest: [u8; 32],
    name: String,
    password: Vec<u8>,
}

/// What is known of a login.
#[derive(Debug)]
pub enum Verdict {
    /// It is right.
    Right,
    /// It is wrong, or there is none.
    Wrong,
    /// It has to be looked up.
    Unknown(Login),
    /// Too many wait to be looked up.
    Busy,
    /// The file cannot be used.
    Broken,
}

impl Verdict {
    /// What a client is told of one that does not let it in.
    pub fn refusal(&self, realm: &str) -> Refusal {
        match self {
            Self::Busy => Refusal::logins_busy(),
            Self::Broken => Refusal::password_file(),
            Self::Right | Self::Wrong | Self::Unknown(_) => Refusal::password_needed(realm),
        }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            right: Mutex::default(),
            key: OnceLock::new(),
            turns: Semaphore::new(AT_ONCE),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Passwords {
    /// What is known of the value of `Authorization`, without waiting.
    pub fn known(&self, rule: &Password, authorization: Option<&[u8]>, now_us: u64) -> Verdict {
        let Some((name, password)) = authorization.and_then(login) else { return Verdict::Wrong };
        let digest = self.digest(rule, &name, &password);
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        match right.get(&digest) {
            Some(right) if now_us < right.looked_us.saturating_add(LOOK_US) => Verdict::Right,
            _ => Verdict::Unknown(Login { digest, name, password }),
        }
    }

    /// Looks a login up, off the event loop.
    pub async fn look(&self, rule: &Password, login: Login, now_us: u64) -> Verdict {
        let path = rule.file.clone();
        let stamp = tokio::task::spawn_blocking(move || Stamp::of(&path)).await;
        let stamp = match stamp.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(stamp) => stamp,
            Err(error) => return broken(rule, &error),
        };
        if self.still_right(&login, stamp, now_us) {
            return Verdict::Right;
        }
        if self.waiting.fetch_add(1, Relaxed) >= WAITING {
            self.waiting.fetch_sub(1, Relaxed);
            return Verdict::Busy;
        }
        let _waiting = Waiting(&self.waiting);
        let Ok(_turn) = self.turns.acquire().await else { return Verdict::Busy };
        let (path, digest) = (rule.file.clone(), login.digest);
        let found = tokio::task::spawn_blocking(move || find(&path, &login)).await;
        match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(true) => {
                self.remember(digest, Right { of: stamp, looked_us: now_us });
                Verdict::Right
            }
            Ok(false) => Verdict::Wrong,
            Err(error) => broken(rule, &error),
        }
    }

    fn still_right(&self, login: &Login, stamp: Stamp, now_us: u64) -> bool {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let known = right.get_mut(&login.digest).filter(|right| right.of == stamp);
        known.map(|right| right.looked_us = now_us).is_some()
    }

    fn remember(&self, digest: [u8; 32], right: Right) {
        let mut all = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(digest, right);
    }

    fn digest(&self, rule: &Password, name: &str, password: &[u8]) -> [u8; 32] {
        let key = self.key.get_or_init(random);
        let mut digest = Sha256::new();
        for part in [&key[..], rule.file.as_os_str().as_encoded_bytes(), name.as_bytes(), password] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// Counts who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn random() -> [u8; 32] {
    let mut key = [0; 32];
    // Early in the boot of a machine the kernel may interrupt this; then the digest is only less well keyed.
    let _ = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty());
    key
}

/// Name and password of `Basic …`.
fn login(authorization: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    let pair = scheme.eq_ignore_ascii_case(b"basic ").then(|| STANDARD.decode(rest.trim_ascii()).ok())??;
    let colon = memchr::memchr(b':', &pair)?;
    Some((String::from_utf8(pair[..colon].to_vec()).ok()?, pair[colon + 1..].to_vec()))
}

fn broken(rule: &Password, error: &io::Error) -> Verdict {
    tracing::error!(file = %rule.file.display(), %error, "nobody can log in: the file of passwords cannot be used");
    Verdict::Broken
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        Ok(Self { inode: (data.dev(), data.ino()), size: data.len(), changed: (data.mtime(), data.mtime_nsec()) })
    }
}

/// Whether the file has this login. Blocks.
fn find(path: &Path, login: &Login) -> io::Result<bool> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.take(MAX_FILE).read_to_string(&mut text)?;
    let lines =
        || text.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
    let own = lines().find(|(name, _)| *name == login.name);
    // A name that is not there takes as long as one that is.
    let Some((_, hash)) = own.or_else(|| lines().next()) else { return Ok(false) };
    let hash = hash.split(':').next().unwrap_or_default();
    let right =
        hash::verify(&login.password, hash).map_err(|why| io::Error::other(format!("{} has {why}", login.name)));
    match own {
        Some(_) => right,
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_strictly() {
        let read = |text: &str| login(text.as_bytes());
        assert_eq!(read("Basic YTpi"), Some(("a".to_owned(), b"b".to_vec())));
        assert_eq!(read("bAsIc YTpiOmM="), Some(("a".to_owned(), b"b:c".to_vec())));
        for text in ["", "Basic", "Basic YWI=", "Basic !!", "Bearer YTpi", "Basic YTpi YTpi"] {
            assert_eq!(read(text), None, "{text:?} was taken for a login");
        }
    }
}
