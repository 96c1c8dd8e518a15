//! The switch: write, have nginx read it, and wait until it has acknowledged.
//!
//! `nginx -s reload` returns before anything has changed: nginx reads its configuration, starts new workers, and a tenth of a
//! second later tells the old ones to take no more. Whoever stops the old release at once loses what comes in meanwhile. So a
//! switch counts as done when every worker of before is gone or *is shutting down* (then its listening sockets are closed),
//! a new one is there, and, where something answers, a question through nginx is answered with the new state.
//!
//! Anything that fails behind the write is undone: the old content is put back, and nginx told to read it. If its configuration is
//! refused even so, somebody else broke it.

use std::time::Duration;

use cutover_core::Failure;
use tokio::time::Instant;

use super::super::nginx::place::{PlaceError, Process, Role};
use super::front::{Front, InForce};
use super::probe::{Said, ask};
use super::program::{ProgramError, Unread};
use super::record::{Record, digest};
use super::render::{Wanted, choice, is_of, is_whole, render};
use crate::engine::port::RouterError;

/// How long nginx may take from the reload to the acknowledgement.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answers of an nginx that has nobody to pass a request to.
const NOBODY_THERE: [u16; 2] = [502, 504];

impl Front {
    /// Makes nginx send the service's traffic as wanted. When this returns, no request that comes in later goes anywhere else.
    pub(super) async fn publish(&self, wanted: &Wanted<'_>, token: Option<&str>) -> Result<(), RouterError> {
        let mut in_force = self.in_force.lock().await;
        let next = InForce { servers: wanted.servers.clone(), others: wanted.others.clone() };
        if in_force.as_ref().is_some_and(|now| now.is_like(&next)) {
            self.counting.acknowledged(&next, None);
            *in_force = Some(next);
            return Ok(());
        }
        // Until it is acknowledged, nobody knows what is in force.
        *in_force = None;
        let old = self.switch(wanted, token).await?;
        self.counting.acknowledged(&next, Some(old));
        *in_force = Some(next);
        Ok(())
    }

    /// Brings file and nginx in line. Tells the workers of before that still have something in hand.
    async fn switch(&self, wanted: &Wanted<'_>, token: Option<&str>) -> Result<Vec<u32>, RouterError> {
        let now = self.place.read(&self.route.file).await.map_err(unreached)?;
        let mut record = self.records.of(&self.service, &self.route);
        if wanted.servers.is_empty() && record.acknowledged.is_none() && !record.owed {
            // Nothing of the service has served yet: what is there is not ours to take away.
            return Ok(Vec::new());
        }
        // Until a second state has served, going back means to what was there before us.
        let original = self.records.original(&record).filter(|_| wanted.servers.is_empty());
        let content = match original {
            Some(original) => original,
            None => self.content(wanted, now.as_deref()).await?,
        };
        if now.as_ref() == Some(&content) && !record.owed && record.acknowledged == Some(digest(&content)) {
            return Ok(self.leaving().await);
        }
        self.keep_what_was_edited(&record, now.as_deref());
        // A debt of before means that what is there now was never acknowledged; what was there before it is kept already.
        let owed_before = std::mem::replace(&mut record.owed, true);
        if !owed_before {
            self.records.keep_previous(&record, now.as_deref()).map_err(RouterError::Refused)?;
            let theirs = now.as_ref().filter(|now| !is_of(now, &self.service));
            if let (None, Some(now)) = (&record.acknowledged, theirs) {
                self.records.keep_original(&record, now).map_err(RouterError::Refused)?;
            }
        }
        self.records.keep(&record).map_err(RouterError::Refused)?;
        let ours = now.as_ref() != Some(&content);
        if ours {
            self.place.write(&self.route.file, &content).await.map_err(unreached)?;
        }
        let before = match self.have_read().await {
            Ok(before) => before,
            Err(Unread::Refused(error)) if ours => {
                return Err(self.take_back(Record { owed: owed_before, ..record }, now.is_some(), error).await);
            }
            Err(Unread::Refused(error)) => return Err(self.not_good_before(error)),
            Err(Unread::Perhaps(error)) => {
                return Err(self.go_back(&record, self.program().explain(error)).await);
            }
        };
        let old = match self.acknowledged(&before, wanted, token).await {
            Ok(old) => old,
            Err(failure) => return Err(self.go_back(&record, failure).await),
        };
        if record.acknowledged.is_some() && !wanted.servers.is_empty() {
            self.records.drop_original(&record);
        }
        record.acknowledged = Some(digest(&content));
        record.owed = false;
        self.records.keep(&record).map_err(RouterError::Refused)?;
        Ok(old)
    }

    async fn content(&self, wanted: &Wanted<'_>, now: Option<&[u8]>) -> Result<Vec<u8>, RouterError> {
        let cannot = |error: &dyn std::error::Error| {
            let summary = format!("could not make {} say who serves {}", self.title(), self.service);
            refused(Failure::because(summary, error))
        };
        let chosen = choice(&self.route.shape, wanted).map_err(|error| cannot(&error))?;
        let chosen = match chosen {
            None => None,
            Some(path) => {
                let content = self.place.read(path).await.map_err(unreached)?;
                let missing = || format!("could not copy {} {}: it is not there", path.display(), self.place.name());
                Some(content.ok_or_else(|| refused(Failure::new(missing())))?)
            }
        };
        render(&self.route.shape, wanted, now, chosen.as_deref()).map_err(|error| cannot(&error))
    }

    /// Whether nginx misses just what our file will bring.
    pub(super) fn lacks_the_file(&self, error: &ProgramError) -> bool {
        let ProgramError::Refused { said, .. } = error else { return false };
        let name = self.route.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        use cutover_core::spec::NginxShape::{Down, Site, Upstream, Variable};
        match &self.route.shape {
            Upstream { name: upstream, .. } => {
                said.contains(&name) || said.contains(&format!("host not found in upstream \"{upstream}\""))
            }
            Variable { name: variable, .. } => {
                said.contains(&name) || said.contains(&format!("unknown \"{variable}\" variable"))
            }
            Site { .. } => said.contains(&name),
            Down { .. } => false,
        }
    }

    /// Has nginx read what was written. Tells the processes of before.
    async fn have_read(&self) -> Result<Vec<Process>, Unread> {
        // Only now: where nginx's number is kept, a configuration that lacked our file could not tell.
        let before = self.processes().await;
        if before.as_ref().is_ok_and(|before| !before.is_empty()) {
            self.program().test_and_reload().await?;
        } else {
            self.program().test().await.map_err(Unread::Refused)?;
        }
        before.map_err(Unread::Refused)
    }

    /// Waits until nginx shows that it has read its configuration again.
    async fn acknowledged(
        &self,
        before: &[Process],
        wanted: &Wanted<'_>,
        token: Option<&str>,
    ) -> Result<Vec<u32>, Failure> {
        if before.is_empty() {
            // It reads the file when it starts. Nobody serves by the old one, for nobody serves.
            tracing::warn!("no nginx runs {}; {} is right for its next start", self.place.name(), self.title());
            return Ok(Vec::new());
        }
        let begun = Instant::now();
        loop {
            let (lacks, old) = match self.processes().await {
                Ok(now) => (unacknowledged(before, &now), still_there(before, &now)),
                Err(error) => (Some(error.to_string()), Vec::new()),
            };
            let lacks = match lacks {
                None => self.not_answered_with(wanted, token).await,
                lacks => lacks,
            };
            let Some(lacks) = lacks else { return Ok(old) };
            if begun.elapsed() > PATIENCE {
                let summary = format!("nginx {} did not take the new state within {PATIENCE:?}", self.place.name());
                return Err(Failure::new(format!("{summary}: {lacks}")).hint("nginx's error log may say why"));
            }
            tokio::time::sleep(self.place.look_again()).await;
        }
    }

    /// Why the answer through nginx does not show the wanted state; `None` if it does, or if nothing can be seen there.
    async fn not_answered_with(&self, wanted: &Wanted<'_>, token: Option<&str>) -> Option<String> {
        let (at, secret) = self.question(token)?;
        let url = self.route.url.as_deref().unwrap_or_default();
        match ask(&at, &secret).await {
            Said::State(state) if !is_whole(&self.route.shape) || state == wanted.marker() => None,
            Said::State(state) => Some(format!("{url} still names {state}")),
            Said::Status(status) if NOBODY_THERE.contains(&status) && !wanted.servers.is_empty() => {
                Some(format!("{url} answers with {status}"))
            }
            Said::Status(_) => None,
            Said::Nothing(why) => Some(format!("{url} does not answer: {why}")),
        }
    }

    /// The new content is refused by nginx: what was there is put back, before anybody has read the other.
    /// Nothing was reloaded, so no more is owed than `record` says.
    async fn take_back(&self, record: Record, file_was_there: bool, error: ProgramError) -> RouterError {
        let failure = self.program().explain(error);
        let summary = format!("nginx refused what was written for {}: {}", self.service, failure.summary);
        let failure = Failure { summary, ..failure };
        if let Err(again) = self.put_back(&record).await {
            return refused(self.by_hand(failure, &again));
        }
        if let Err(failure) = self.records.keep(&record) {
            return refused(failure);
        }
        // Asked only now: a test before each write would cost every deployment the time of one more.
        match self.program().test().await {
            Err(error) if file_was_there || !self.lacks_the_file(&error) => self.not_good_before(error),
            _ => refused(failure),
        }
    }

    /// Somebody else broke nginx's configuration.
    fn not_good_before(&self, error: ProgramError) -> RouterError {
        let failure = self.program().explain(error);
        let summary = format!(
            "nginx's configuration was not good before cutover touched it, and was left as it is: {}",
            failure.summary
        );
        refused(Failure { summary, ..failure })
    }

    /// nginx may have read the new content, or not: it is put back, and nginx told to read again. The reload stays owed, so that
    /// the next publication has it acknowledged.
    async fn go_back(&self, record: &Record, failure: Failure) -> RouterError {
        if let Err(error) = self.put_back(record).await {
            return refused(self.by_hand(failure, &error));
        }
        match self.program().test_and_reload().await {
            Ok(()) => {
                let summary = format!("{}; what was there before is back", failure.summary);
                refused(Failure { summary, ..failure })
            }
            Err(Unread::Refused(error) | Unread::Perhaps(error)) => {
                let (why, title) = (self.program().explain(error), self.title());
                let summary = format!("{}; {title} is as it was, but nginx does not read it: {why}", failure.summary);
                let hint = format!("mend what it says, then run `{}`", self.program().reload_command());
                refused(Failure { summary, ..failure }.hint(hint))
            }
        }
    }

    async fn put_back(&self, record: &Record) -> Result<(), Failure> {
        let done = match self.records.previous(record) {
            Some(content) => self.place.write(&self.route.file, &content).await,
            None => self.place.remove(&self.route.file).await,
        };
        done.map_err(Failure::from)
    }

    /// Neither forward nor back: a person has to.
    fn by_hand(&self, failure: Failure, again: &Failure) -> Failure {
        let summary = format!("{}; and what was there before could not be put back: {again}", failure.summary);
        let hint = format!(
            "{} is what was there; copy it to {}, then run `{}`",
            self.records.folder().display(),
            self.title(),
            self.program().reload_command()
        );
        Failure { summary, ..failure }.hint(hint)
    }

    /// Somebody's edit of a file of ours is overwritten, for who serves is ours to say, but not lost.
    fn keep_what_was_edited(&self, record: &Record, now: Option<&[u8]>) {
        let (Some(now), Some(acknowledged), false) = (now, &record.acknowledged, record.owed) else { return };
        if matches!(self.route.shape, cutover_core::spec::NginxShape::Down { .. }) || digest(now) == *acknowledged {
            return;
        }
        match self.records.keep_edited(record, now) {
            Ok(kept) => tracing::warn!(
                "{} was edited since cutover wrote it; the edited content is kept in {}",
                self.title(),
                kept.display()
            ),
            Err(failure) => tracing::warn!("{} was edited, and that could not be kept: {failure}", self.title()),
        }
    }

    /// The processes of this nginx.
    pub(super) async fn processes(&self) -> Result<Vec<Process>, ProgramError> {
        let known = self.pid_file.get().cloned();
        let pid_file = match known {
            Some(known) => known,
            None => self.find_pid_file().await?,
        };
        self.program().processes(pid_file.as_deref()).await
    }

    /// Where nginx's process number is. Remembered, once the configuration could be read.
    async fn find_pid_file(&self) -> Result<Option<String>, ProgramError> {
        let dump = self.program().dump().await;
        let found = self.program().pid_file(dump.as_ref().unwrap_or(&Default::default())).await?;
        if dump.is_ok() {
            let _ = self.pid_file.set(found.clone());
        }
        Ok(found)
    }

    async fn leaving(&self) -> Vec<u32> {
        let processes = self.processes().await.unwrap_or_default();
        processes.iter().filter(|p| p.role == Role::Leaving).map(|p| p.pid).collect()
    }
}

impl InForce {
    /// Whether nginx has to do nothing for the other one.
    fn is_like(&self, other: &Self) -> bool {
        // An address that was not known before may have a line of its own in the user's file.
        let known = |address| self.servers.iter().chain(&self.others).any(|server| server.address == address);
        self.servers == other.servers && other.others.iter().all(|server| known(server.address))
    }
}

/// What is missing until the processes of now show that the reload has happened.
fn unacknowledged(before: &[Process], now: &[Process]) -> Option<String> {
    let was = |pid: u32| before.iter().any(|p| p.pid == pid && p.role != Role::Master);
    let working: Vec<&Process> = now.iter().filter(|p| p.role == Role::Worker).collect();
    let old = working.iter().filter(|p| was(p.pid)).count();
    if old > 0 {
        return Some(format!("{old} of its old workers still take connections"));
    }
    if working.is_empty() { Some("it has started no new workers".to_owned()) } else { None }
}

/// The workers of before that are still there.
fn still_there(before: &[Process], now: &[Process]) -> Vec<u32> {
    let was = |pid: u32| before.iter().any(|p| p.pid == pid);
    now.iter().filter(|p| p.role != Role::Master && was(p.pid)).map(|p| p.pid).collect()
}

fn refused(failure: Failure) -> RouterError {
    RouterError::Refused(failure)
}

/// A place that cannot be reached may be reached later; what it forbids stays forbidden.
fn unreached(error: PlaceError) -> RouterError {
    match error {
        PlaceError::Unreachable { .. } => RouterError::Unreachable(error.into()),
        other => RouterError::Refused(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_acknowledged_by_new_workers_and_by_old_ones_that_leave() {
        let process = |pid, role| Process { pid, parent: 1, role };
        let master = Process { pid: 1, parent: 0, role: Role::Master };
        let before = [master, process(2, Role::Worker), process(3, Role::Worker), process(4, Role::Leaving)];
        let lacks = |now: &[Process]| unacknowledged(&before, now);
        assert_eq!(lacks(&before).unwrap(), "2 of its old workers still take connections");
        assert!(
            lacks(&[master, process(2, Role::Leaving), process(3, Role::Worker), process(5, Role::Worker)]).is_some()
        );
        assert_eq!(
            lacks(&[master, process(2, Role::Leaving), process(3, Role::Leaving)]).unwrap(),
            "it has started no new workers"
        );
        let after = [master, process(3, Role::Leaving), process(4, Role::Leaving), process(5, Role::Worker)];
        assert_eq!(lacks(&after), None);
        assert_eq!(still_there(&before, &after), [3, 4]);
    }
}
