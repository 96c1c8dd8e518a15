//! Stops an instance, whatever state a crash has left it in.
//!
//! It is stopped when its lock is free. So a stop also waits for a start that was under way when the agent died, and ends
//! what comes out of it.
//!
//! The signal goes to every process of the run, as a terminal would do it. The program and whatever it started have the
//! whole grace: a shell that leaves at once must not take from the server behind it the time to finish. What is left is
//! killed.

use std::time::Duration;

use cutover_core::InstanceId;
use cutover_core::spec::StopSpec;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::layout::{InstanceDir, Layout};
use super::lock::InstanceLock;
use super::party::Party;
use super::record::{Record, RunId};
use super::{failed, observe, signal};
use crate::engine::port::{Exit, RuntimeError, Stopped};

/// How long something may hold the lock although nothing of the instance can be found. A start takes milliseconds.
const FREE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Stops an instance.
pub async fn stop(layout: &Layout, instance: &InstanceId, spec: &StopSpec) -> Result<Stopped, RuntimeError> {
    let signal = signal::parse(&spec.signal)?;
    let what = format!("could not stop {instance}");
    end(&layout.instance(instance), signal, spec.grace).await.map_err(failed(what))
}

async fn end(dir: &InstanceDir, signal: Signal, grace: Duration) -> std::io::Result<Stopped> {
    let mut killed = false;
    let mut dealt_with: Option<RunId> = None;
    let mut until = Instant::now() + FREE_WITHIN;
    loop {
        let free = InstanceLock::is_free(dir)?;
        let record = Record::read(dir)?;
        if let Some(record) = record.as_ref().filter(|record| dealt_with.as_ref() != Some(&record.run)) {
            killed |= end_run(record, signal, grace).await?;
            dealt_with = Some(record.run.clone());
            until = Instant::now() + FREE_WITHIN;
        } else if free {
            return Ok(Stopped { exit: exit(dir, record).await?, killed });
        } else if Instant::now() > until {
            let text = format!("something that holds {} lives, and cannot be identified", dir.lock().display());
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text));
        } else {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Ends one run, and says whether its program had to be killed.
async fn end_run(record: &Record, signal: Signal, grace: Duration) -> std::io::Result<bool> {
    let deadline = Instant::now() + grace;
    let mut party = Party::default();
    party.gather(record).await?;
    if record.main_lives() {
        party.signal(signal)?;
        party.ended_by(deadline).await?;
    }
    let killed = record.main_lives();
    party.kill(record).await?;
    Ok(killed)
}

async fn exit(dir: &InstanceDir, record: Option<Record>) -> std::io::Result<Exit> {
    let Some(record) = record else { return Ok(Exit::Unknown) };
    Ok(observe::ending(dir, &record).await?.unwrap_or(Exit::Unknown))
}
