//! Claiming a target for a request, or holding the request until there is one to claim.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use cutover_core::table::Hold;
use cutover_core::{InstanceId, ReleaseNo};

use super::refuse::Refusal;
use super::upload::client_leaves;
use crate::inbox::Inbox;
use crate::live::gate::Admits;
use crate::live::group::Wish;
use crate::live::service::LiveService;
use crate::live::target::{Claim, LiveTarget};
use crate::socket::Socket;
use crate::worker::clock::Slot;
use crate::worker::{Shared, Worker};

/// How long a request waits when no target can be reached, before it tries all of them again.
const PAUSE: Duration = Duration::from_millis(25);

/// How many requests of one service wait like that at once. The next is answered at once.
const PAUSED: u64 = 1000;

/// What a request asks for that carries the service's token, or comes where a release is previewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preview {
    /// To be told who answered.
    Any,
    /// This instance.
    Named(InstanceId),
    /// An instance whose id cannot be read.
    Unreadable(String),
    /// The release that is being deployed, if one is.
    New(Option<ReleaseNo>),
}

/// Why there is no claim.
#[derive(Debug, PartialEq, Eq)]
pub enum NoClaim {
    /// The client is told.
    Refused(Refusal),
    /// All targets were tried.
    Exhausted,
    /// The client left.
    Gone,
}

/// The connection on whose behalf is claimed. While a request is held, its client is watched.
#[derive(Debug)]
pub struct Waiter<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// The client's socket.
    pub stream: &'a mut Socket,
    /// What the client sends meanwhile.
    pub inbox: &'a mut Inbox,
    /// The connection's deadline.
    pub slot: &'a Slot,
}

impl Waiter<'_> {
    /// Claims a target of `service` that was not `tried`, as its client `wish`es where that is possible. `service` becomes the newest version of itself.
    pub async fn claim(
        &mut self,
        service: &mut Arc<LiveService>,
        preview: Option<&Preview>,
        wish: Wish,
        tried: &[u64],
    ) -> Result<Claim, NoClaim> {
        match preview {
            Some(Preview::Named(instance)) => return named(service, instance, self.worker.shared.now_us()),
            Some(Preview::Unreadable(text)) => return Err(NoClaim::Refused(Refusal::no_such_instance(text))),
            Some(Preview::New(release)) => return previewed(service, *release, tried, self.worker.shared.now_us()),
            Some(Preview::Any) | None => {}
        }
        loop {
            if service.hold().is_some() {
                self.held(service).await?;
            }
            let now_us = self.worker.shared.now_us();
            match service.choose(tried, Shared::millis(now_us), wish) {
                Some(target) => match Claim::new(target, Admits::All, now_us) {
                    Some(claim) => return Ok(claim),
                    // The target was retired a moment ago; the table that says so is already there.
                    None => self.newest(service)?,
                },
                None if tried.is_empty() => return Err(NoClaim::Refused(Refusal::no_target(&service.spec.name))),
                None => return Err(NoClaim::Exhausted),
            }
        }
    }

    /// Waits a moment for somebody who can be reached, or for a table that names another. Nobody was sent anything, so that
    /// trying again is safe.
    pub async fn pause(&mut self, service: &mut Arc<LiveService>) -> Result<(), NoClaim> {
        let counts = service.counts.clone();
        counts.shard(self.worker.index).held();
        if counts.held.fetch_add(1, Relaxed) >= PAUSED {
            counts.held.fetch_sub(1, Relaxed);
            return Err(NoClaim::Exhausted);
        }
        let _held = Held(&counts.held);
        let changed = async {
            tokio::select! {
                () = self.worker.changed.notified() => false,
                () = tokio::time::sleep(PAUSE) => false,
                () = client_leaves(self.inbox, self.stream) => true,
            }
        };
        if changed.await {
            return Err(NoClaim::Gone);
        }
        self.newest(service)
    }

    /// The service as it is in the table served now.
    fn newest(&self, service: &mut Arc<LiveService>) -> Result<(), NoClaim> {
        let newest = self.worker.table(|table| table.service(&service.spec.name).cloned());
        *service = newest.ok_or_else(|| NoClaim::Refused(Refusal::no_target(&service.spec.name)))?;
        Ok(())
    }

    /// Waits until the service is not held.
    async fn held(&mut self, service: &mut Arc<LiveService>) -> Result<(), NoClaim> {
        let Some(Hold { wait, requests }) = service.hold().cloned() else { return Ok(()) };
        let counts = service.counts.clone();
        counts.shard(self.worker.index).held();
        let _held = match counts.held.fetch_add(1, Relaxed) {
            before if before >= u64::from(requests) => {
                counts.held.fetch_sub(1, Relaxed);
                return Err(NoClaim::Refused(Refusal::hold_full(&service.spec.name)));
            }
            _ => Held(&counts.held),
        };
        self.slot.within(self.worker.shared.now_ms(), wait.max(Duration::from_millis(1)));
        loop {
            let mut changed = pin!(self.worker.changed.notified());
            // Listening begins before the table is looked at, so that no change falls between the two.
            changed.as_mut().enable();
            self.newest(service)?;
            if service.hold().is_none() {
                return Ok(());
            }
            let mut leaves = pin!(client_leaves(self.inbox, self.stream));
            let refusal = poll_fn(|cx| {
                if changed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if leaves.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(NoClaim::Gone));
                }
                let late = || NoClaim::Refused(Refusal::hold_timeout(&service.spec.name, wait));
                self.slot.poll(cx).map_or(Poll::Pending, |_| Poll::Ready(Err(late())))
            });
            refusal.await?;
        }
    }
}

fn named(service: &LiveService, instance: &InstanceId, now_us: u64) -> Result<Claim, NoClaim> {
    let claim = service.named(instance).and_then(|target| Claim::new(target, Admits::Named, now_us));
    claim.ok_or_else(|| NoClaim::Refused(Refusal::no_such_instance(instance)))
}

/// Any instance of a release, whether it has traffic or not.
fn previewed(service: &LiveService, release: Option<ReleaseNo>, tried: &[u64], now_us: u64) -> Result<Claim, NoClaim> {
    let is_new = |target: &&Arc<LiveTarget>| Some(target.instance.release) == release;
    let claim = service
        .targets
        .iter()
        .filter(|target| is_new(target) && !tried.contains(&target.serial))
        .find_map(|target| Claim::new(target, Admits::Named, now_us));
    let none = || NoClaim::Refused(Refusal::no_preview(&service.spec.name));
    claim.ok_or_else(|| if tried.is_empty() { none() } else { NoClaim::Exhausted })
}

/// Counts a held request while it lives.
struct Held<'a>(&'a std::sync::atomic::AtomicU64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
