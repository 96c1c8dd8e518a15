//! The side of the one that leaves: starts a successor, and steps aside when that is ready.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::channel::{Channel, FILES};
use super::message::{FromNew, FromOld};
use super::{LANGUAGE, leaving};
use crate::control::publish::{Control, Listening, Seat};
use crate::control::server::{self, Door};
use crate::control::{Kind, Problem, Upgrade, Upgraded};
use crate::notify;
use crate::run::private_socket;

/// How long a successor that is ready may take until it accepts.
const SERVING: Duration = Duration::from_secs(5);

/// How long is waited for a successor that hung up to end by itself, so that it can be told how.
const OWN_END: Duration = Duration::from_millis(300);

/// How many lines of what a failed successor said are told.
const LAST_WORDS: usize = 5;

/// Replaces this process. Whatever goes wrong, the successor is ended and this process is the proxy as before.
pub async fn hand_over(control: &Arc<Control>, wanted: &Upgrade) -> Result<Upgraded, Problem> {
    let Ok(_only) = control.upgrading.try_lock() else {
        return Err(control.problem(Kind::Upgrade, "the proxy is being replaced already".to_owned()));
    };
    if control.has_left() {
        return Err(control.moved());
    }
    let began = Instant::now();
    let log = control.state().join("upgrade.log");
    let failed = |why: &str| {
        let own = std::process::id();
        let tried = wanted.binary.display();
        let message = format!("the proxy was not replaced by {tried}: {why}; process {own} serves as before");
        control.problem(Kind::Upgrade, message)
    };
    let mut successor = Successor::start(control, &wanted.binary, &log).map_err(|error| failed(&error.to_string()))?;
    let deadline = began + Duration::from_millis(wanted.within_ms);
    match successor.takes_over(control, deadline, Duration::from_millis(wanted.streams_ms)).await {
        Ok(version) => {
            let (from, to) = (std::process::id(), successor.pid);
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(to, version, took_ms, "another process is the proxy now; this one leaves");
            notify::ready(to);
            successor.let_live();
            control.departed.notify_one();
            Ok(Upgraded { from, to, version, took_ms })
        }
        Err(why) => {
            let ended = successor.end().await;
            let problem = failed(&format!("{why}{ended}{}", last_words(&log)));
            tracing::error!("{}", problem.message);
            Err(problem)
        }
    }
}

/// A process that is to be the proxy. Dropped, it is ended before the conversation is: else it would think that we are dead.
struct Successor {
    child: Option<Child>,
    pid: u32,
    channel: Channel,
}

impl Successor {
    fn start(control: &Control, binary: &Path, log: &Path) -> io::Result<Self> {
        let (channel, theirs) = Channel::pair()?;
        let said = File::options().create(true).write(true).truncate(true).mode(0o600).open(log)?;
        let child = Command::new(binary)
            .args(&control.options.successor)
            .stdin(Stdio::from(theirs))
            // What it says before it serves is for whoever asked; then it gets our own standard error.
            .stderr(said)
            .spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended at once"))?;
        Ok(Self { child: Some(child), pid, channel })
    }

    /// All of the conversation. Gives its version once it accepts and we do not.
    async fn takes_over(
        &mut self,
        control: &Arc<Control>,
        deadline: Instant,
        streams: Duration,
    ) -> Result<String, String> {
        let version = match self.hears(deadline, "says nothing").await? {
            FromNew::Hello { language: LANGUAGE, version } => version,
            FromNew::Hello { language, version } => {
                let not_ours = format!("it is version {version}, which speaks of hand-overs in language {language}");
                return Err(format!("{not_ours}; this version speaks {LANGUAGE}"));
            }
            other => return Err(unexpected(&other)),
        };
        let frozen = tokio::time::timeout_at(deadline.into(), control.freeze()).await;
        let mut listening = frozen.map_err(|_| "a table was being published all the time".to_owned())?;
        match self.takes_over_frozen(control, &listening, deadline).await {
            Ok(()) => {
                *control.streams.lock().unwrap_or_else(PoisonError::into_inner) = streams;
                control.leave(&mut listening).await;
                Ok(version)
            }
            Err(why) => {
                // Not published before it has ended: should we die, it would go on with the table that it read.
                let ended = self.end().await;
                Err(format!("{why}{ended}"))
            }
        }
    }

    /// The part of the conversation during which no table is published.
    async fn takes_over_frozen(
        &mut self,
        control: &Arc<Control>,
        listening: &Listening,
        deadline: Instant,
    ) -> Result<(), String> {
        let sent = self.offer(control, listening).await;
        sent.map_err(|error| format!("the sockets could not be handed over: {error}"))?;
        match self.hears(deadline, "is not ready").await? {
            FromNew::Ready { generation } if generation == control.generation() => {}
            FromNew::Ready { generation } => {
                let ours = control.generation();
                return Err(format!("it read table {generation} from disk, and table {ours} is served"));
            }
            other => return Err(unexpected(&other)),
        }
        self.commit(control).await
    }

    async fn offer(&self, control: &Control, listening: &Listening) -> io::Result<()> {
        let (lock, socket) = {
            let seat = control.seat.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(Seat { lock, socket }) = &*seat else { return Err(io::Error::other("they are gone")) };
            (OwnedFd::from(lock.try_clone()?), OwnedFd::from(socket.try_clone()?))
        };
        let offer =
            FromOld::Offer { generation: control.generation(), since: control.since, listeners: listening.len() };
        let stderr = io::stderr();
        self.channel.send(&offer, &[lock.as_fd(), socket.as_fd(), stderr.as_fd()]).await?;
        let all: Vec<_> = listening.iter().collect();
        for some in all.chunks(FILES) {
            let addresses = some.iter().map(|(address, _)| (*address).clone()).collect();
            let files: Vec<_> = some.iter().map(|(_, listener)| listener.as_fd()).collect();
            self.channel.send(&FromOld::Listeners { addresses }, &files).await?;
        }
        Ok(())
    }

    /// From here on the successor is the proxy. If it does not say that it is, it is ended, and we are again.
    async fn commit(&mut self, control: &Arc<Control>) -> Result<(), String> {
        let socket = leaving::socket(control.state(), std::process::id());
        let door = private_socket(&socket).map_err(|error| format!("no socket for the time of leaving: {error}"))?;
        let asked = server::begin(control.clone(), Door::Leaving, door);
        control.set_left(true);
        // Taken after that, so that no farewell comes between.
        let past = control.past().handed_on(std::process::id(), control.own_in_full());
        let past = serde_json::to_value(past).unwrap_or_default();
        let commit = FromOld::Commit { past };
        let serves = match self.channel.send(&commit, &[]).await {
            Ok(()) => self.hears(Instant::now() + SERVING, "does not accept").await,
            Err(error) => Err(format!("it does not listen: {error}")),
        };
        if let Ok(FromNew::Serving) = serves {
            return Ok(());
        }
        // Not before it is certain that it is no proxy.
        let ended = self.end().await;
        asked.abort();
        let _ = fs::remove_file(socket);
        control.set_left(false);
        Err(format!("{}{ended}", serves.map_or_else(|why| why, |other| unexpected(&other))))
    }

    /// What it says next.
    async fn hears(&mut self, deadline: Instant, or_else: &str) -> Result<FromNew, String> {
        match tokio::time::timeout_at(deadline.into(), self.channel.receive()).await {
            Ok(Ok(Some((FromNew::Failed { message }, _)))) => Err(format!("it cannot serve: {message}")),
            Ok(Ok(Some((message, _)))) => Ok(message),
            Ok(Ok(None)) => Err("it hung up".to_owned()),
            Ok(Err(error)) => Err(format!("it cannot be understood: {error}")),
            Err(_) => Err(format!("it {or_else} in the time it had")),
        }
    }

    /// Ends it, and returns when it has ended; says how, if it ended by itself.
    async fn end(&mut self) -> String {
        let Some(mut child) = self.child.take() else { return String::new() };
        let own_end = tokio::time::timeout(OWN_END, child.wait()).await;
        let _ = child.kill().await;
        own_end.ok().and_then(Result::ok).map_or_else(String::new, |status| format!(" ({status})"))
    }

    /// It outlives us; until then, its end is noted.
    fn let_live(mut self) {
        let Some(mut child) = self.child.take() else { return };
        tokio::spawn(async move {
            let ended = child.wait().await;
            tracing::info!(?ended, "the successor has ended");
        });
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
    }
}

fn unexpected(message: &FromNew) -> String {
    format!("it said something that makes no sense there: {message:?}")
}

/// The end of what a failed successor wrote.
fn last_words(log: &PathBuf) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines[lines.len().saturating_sub(LAST_WORDS)..] {
        [] => String::new(),
        last => format!("; its last words: {}", last.join(" / ")),
    }
}
