//! Those that were the proxy before and still have something in hand, seen from the one that is the proxy now.
//!
//! They are found by their sockets in the state directory, so that a proxy that was started after a crash finds them too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::control::client::{Client, ClientError};

/// The beginning of the name of their sockets; their number follows.
const PREFIX: &str = "leaving.";

/// How long one of them may take for an answer. Then, because it lives, nobody knows what it has in hand.
const LIMIT: Duration = Duration::from_secs(5);

/// What came back from one of them.
#[derive(Debug)]
pub enum Answer<T> {
    /// An answer.
    Said(T),
    /// It is no more.
    Gone,
    /// It lives, and does not answer, or refuses.
    Silent(String),
}

/// The socket of a process that leaves.
pub fn socket(state: &Path, pid: u32) -> PathBuf {
    state.join(format!("{PREFIX}{pid}"))
}

/// Those that have a socket there, without this process.
pub fn listed(state: &Path) -> Vec<u32> {
    let names =
        fs::read_dir(state).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let pids = names.filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok());
    pids.filter(|pid| *pid != std::process::id()).collect()
}

/// Asks all of them at once. What the dead have left behind is removed.
pub async fn ask<T, F>(state: &Path, question: impl Fn(Client) -> F + Clone + Send + 'static) -> Vec<(u32, Answer<T>)>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ClientError>> + Send + 'static,
{
    ask_within(LIMIT, state, question).await
}

/// The same, with less patience.
pub async fn ask_within<T, F>(
    limit: Duration,
    state: &Path,
    question: impl Fn(Client) -> F + Clone + Send + 'static,
) -> Vec<(u32, Answer<T>)>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ClientError>> + Send + 'static,
{
    let pids = listed(state);
    let mut asked = JoinSet::new();
    for pid in pids {
        let (path, question) = (socket(state, pid), question.clone());
        asked.spawn(async move { (pid, ask_one(limit, &path, question).await) });
    }
    asked.join_all().await
}

async fn ask_one<T, F: Future<Output = Result<T, ClientError>>>(
    limit: Duration,
    path: &Path,
    question: impl Fn(Client) -> F,
) -> Answer<T> {
    let mut tries = 0..2;
    loop {
        tries.next();
        if is_gone(path).await {
            let _ = fs::remove_file(path);
            return Answer::Gone;
        }
        let answer = tokio::time::timeout(limit, question(Client::new(path))).await;
        match answer {
            Ok(Ok(answer)) => return Answer::Said(answer),
            // It may have left in the middle of the conversation: that is seen by another look.
            Ok(Err(_)) if !tries.is_empty() => {}
            Ok(Err(error)) => return Answer::Silent(error.to_string()),
            Err(_) => return Answer::Silent(format!("it does not answer for {limit:?}")),
        }
    }
}

/// Whether nobody listens there any more. It listens from before it leaves until it is done, so then it is dead or done.
async fn is_gone(path: &Path) -> bool {
    let refused = |error: io::Error| matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
    UnixStream::connect(path).await.is_err_and(refused)
}

/// For people.
pub fn silent(pid: u32, why: &str) -> String {
    format!(
        "process {pid}, which was the proxy before and still has connections, does not answer ({why}); until it does, nobody knows \
         what it has in hand. If it hangs, `kill -9 {pid}` ends it, with its connections"
    )
}
