//! The side of the successor.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use cutover_core::{Generation, Timestamp};
use rustix::process::getppid;
use serde::Serialize;

use super::LANGUAGE;
use super::channel::Channel;
use super::message::{FromNew, FromOld};
use super::past::Past;
use crate::bind::Bound;
use crate::control::publish::{Listening, Seat};

/// One that is to be the proxy.
#[derive(Debug)]
pub struct Heir {
    channel: Channel,
    predecessor: u32,
}

/// What it is handed.
#[derive(Debug)]
pub struct Estate {
    /// What makes it the proxy.
    pub seat: Seat,
    /// What is listened on.
    pub listening: Listening,
    /// Since when is counted.
    pub since: Timestamp,
    /// Where the one that leaves writes what it has to say.
    pub stderr: OwnedFd,
}

impl Heir {
    /// Greets the one that started us. It is found at our standard input, which is empty from here on.
    pub async fn greet() -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let predecessor = getppid().map_or(0, |parent| parent.as_raw_nonzero().get().unsigned_abs());
        let heir = Self { channel: Channel::of(UnixStream::from(stdin))?, predecessor };
        heir.say(&FromNew::Hello { language: LANGUAGE, version: env!("CARGO_PKG_VERSION").to_owned() }).await?;
        Ok(heir)
    }

    /// Takes what is handed over.
    pub async fn inherit(&self) -> io::Result<Estate> {
        let (FromOld::Offer { since, listeners, .. }, files) = self.hear().await? else { return Err(unexpected()) };
        let [lock, socket, stderr] = <[OwnedFd; 3]>::try_from(files).map_err(|_| unexpected())?;
        let mut listening: Listening = HashMap::new();
        while listening.len() < listeners {
            let (FromOld::Listeners { addresses }, files) = self.hear().await? else { return Err(unexpected()) };
            if addresses.is_empty() || addresses.len() != files.len() {
                return Err(unexpected());
            }
            for (address, socket) in addresses.into_iter().zip(files) {
                let bound = Bound::inherited(&address, socket);
                listening.insert(address, bound);
            }
        }
        let seat = Seat { lock: File::from(lock), socket: UnixListener::from(socket) };
        Ok(Estate { seat, listening, since, stderr })
    }

    /// Says that everything is ready, and waits for its turn. It has come, too, when the one before has died: then it is
    /// not known what was counted.
    pub async fn turn(&self, generation: Generation) -> io::Result<Past> {
        let _ = self.say(&FromNew::Ready { generation }).await;
        let mut past = match self.channel.receive().await {
            // Counters are not worth a hand-over that fails.
            Ok(Some((FromOld::Commit { past }, _))) => serde_json::from_value(past).unwrap_or_else(|error| {
                tracing::warn!(%error, "what was counted before cannot be read; counting begins anew");
                Past::default()
            }),
            Ok(Some(_)) => return Err(unexpected()),
            Ok(None) => {
                tracing::error!(before = self.predecessor, "the proxy died while it was replaced; going on without it");
                Past::default()
            }
            Err(error) => return Err(error),
        };
        past.begins_to_leave(self.predecessor);
        Ok(past)
    }

    /// Says that it accepts.
    pub async fn serving(&self) {
        // If nobody hears it any more, it is true all the same.
        let _ = self.say(&FromNew::Serving).await;
    }

    /// Says why it cannot be the proxy.
    pub async fn failed(&self, message: String) {
        let _ = self.say(&FromNew::Failed { message }).await;
    }

    async fn say(&self, message: &impl Serialize) -> io::Result<()> {
        self.channel.send(message, &[]).await
    }

    async fn hear(&self) -> io::Result<(FromOld, Vec<OwnedFd>)> {
        self.channel.receive().await?.ok_or_else(|| io::Error::other("the proxy that is to be replaced hung up"))
    }
}

fn unexpected() -> io::Error {
    io::Error::other("the proxy that is to be replaced says something that cannot be understood")
}
