//! Every process of a run, held so that each can be signalled and waited for without taking another for it.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout_at};

use super::identity::{Handle, ProcessId};
use super::members::{self, Kin};
use super::record::Record;

/// What was sent SIGKILL is gone within this time, or hangs in the kernel.
const DEAD_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The processes that were found so far.
#[derive(Debug, Default)]
pub struct Party(HashMap<ProcessId, Handle>);

impl Party {
    /// Adds the processes of a run that live now; forgets those that are gone.
    pub async fn gather(&mut self, record: &Record) -> io::Result<()> {
        let record = record.clone();
        self.gather_from(move || members::of(&record)).await
    }

    async fn gather_from(&mut self, search: impl FnOnce() -> Vec<ProcessId> + Send + 'static) -> io::Result<()> {
        self.0.retain(|id, _| id.lives());
        for id in tokio::task::spawn_blocking(search).await? {
            if let Some(handle) = Handle::open(id)? {
                self.0.entry(id).or_insert(handle);
            }
        }
        Ok(())
    }

    /// Sends a signal to each.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.0.values().try_for_each(|handle| handle.signal(signal))
    }

    /// Waits until all of them have ended, or the time is over.
    pub async fn ended_by(&self, deadline: Instant) -> io::Result<bool> {
        for handle in self.0.values() {
            match timeout_at(deadline, handle.ended()).await {
                Ok(ended) => ended?,
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Kills them all, also those that are born meanwhile.
    pub async fn kill(self, record: &Record) -> io::Result<()> {
        let record = record.clone();
        self.kill_from(move || members::of(&record)).await
    }

    async fn kill_from(mut self, search: impl Fn() -> Vec<ProcessId> + Clone + Send + 'static) -> io::Result<()> {
        let deadline = Instant::now() + DEAD_WITHIN;
        loop {
            self.gather_from(search.clone()).await?;
            if self.0.is_empty() {
                return Ok(());
            }
            self.signal(Signal::KILL)?;
            if !self.ended_by(deadline).await? {
                let left: Vec<String> = self.0.keys().filter(|id| id.lives()).map(|id| id.pid.to_string()).collect();
                let text = format!("process {} does not die of SIGKILL: it hangs in the kernel", left.join(", "));
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Kills every process of a run that can be found.
pub async fn kill(record: &Record) -> io::Result<()> {
    Party::default().kill(record).await
}

/// Kills every process of a hook that can be found.
pub async fn kill_kin(kin: &Kin) -> io::Result<()> {
    let kin = kin.clone();
    Party::default().kill_from(move || members::of_hook(&kin)).await
}
