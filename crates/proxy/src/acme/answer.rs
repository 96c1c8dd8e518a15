//! What an authority is answered when it looks whether a name is ours.
//!
//! The answers are files in the store, so that any process that is asked can give them: a successor that took over meanwhile, or another
//! host that shares the store. They are looked for only when somebody asks in the way of an authority, and off the worker's
//! thread. None of them is secret: an authority fetches them without a password.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

use super::store;

/// The path under which they are asked for by HTTP (RFC 8555, 8.3).
pub const PATH: &[u8] = b"/.well-known/acme-challenge/";

/// The protocol in which they are asked for in a handshake (RFC 8737, 3).
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// The largest answer: a token and the print of a key.
const LARGEST: u64 = 1024;

/// The stores in which answers may lie.
#[derive(Debug, Default)]
pub struct Answers {
    any: AtomicBool,
    roots: RwLock<Vec<PathBuf>>,
}

impl Answers {
    /// Looks in these from now on.
    pub fn look_in(&self, roots: Vec<PathBuf>) {
        self.any.store(!roots.is_empty(), Relaxed);
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = roots;
    }

    /// The token that a request asks for by its target, if that can be one of ours.
    pub fn token<'a>(&self, target: &'a [u8]) -> Option<&'a str> {
        let token = target.strip_prefix(PATH)?;
        let token = token.split(|byte| *byte == b'?').next().unwrap_or_default();
        let is_token = self.any.load(Relaxed) && is_token(token);
        is_token.then(|| std::str::from_utf8(token).ok()).flatten()
    }

    /// The answer for a token.
    pub async fn for_token(&self, token: &str) -> Option<String> {
        self.read(token.to_owned()).await
    }

    /// The answer for a name that is asked for in a handshake.
    pub async fn for_name(&self, name: &str) -> Option<String> {
        let is_ours = self.any.load(Relaxed) && cutover_core::acme::unfit(name).is_none();
        if is_ours { self.read(file_of(&name.to_ascii_lowercase())).await } else { None }
    }

    async fn read(&self, file: String) -> Option<String> {
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner).clone();
        let find = move || roots.iter().find_map(|root| small(store::challenges(root).join(&file)));
        tokio::task::spawn_blocking(find).await.ok().flatten()
    }
}

/// The file with what is answered in a handshake for this name. No token has a dot.
pub fn file_of(name: &str) -> String {
    format!("{name}.alpn")
}

/// Whether this can be a token, and so the name of a file: base64url (RFC 8555, 8.3).
pub fn is_token(token: &[u8]) -> bool {
    (1..=128).contains(&token.len())
        && token.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_')
}

fn small(path: PathBuf) -> Option<String> {
    let is_small = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
    is_small.then(|| std::fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with a dot in a token.
    #[test]
    fn only_what_can_be_a_token_is_looked_for() {
        let answers = Answers::default();
        let path = |rest: &str| format!("/.well-known/acme-challenge/{rest}").into_bytes();
        assert_eq!(answers.token(&path("abc")), None, "there is nothing to look in");
        answers.look_in(vec!["/nowhere".into()]);
        assert_eq!(answers.token(&path("aB-_9")), Some("aB-_9"));
        assert_eq!(answers.token(&path("abc?x=1")), Some("abc"));
        for rest in ["", "../account.json", "a.b", "a/b", "%61", &"a".repeat(129)] {
            assert_eq!(answers.token(&path(rest)), None, "{rest}");
        }
        assert_eq!(answers.token(b"/.well-known/other/abc"), None);
        assert_eq!(answers.token(b"*"), None);
    }
}
