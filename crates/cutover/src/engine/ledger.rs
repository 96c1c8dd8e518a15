//! The ledger: the journal, and the states that its events add up to.
//!
//! **Invariant (intent first).** A state changes only by [`Ledger::decide`], which makes the events durable before it shows
//! their effect to anybody. There is one writer at a time, so whoever decides sees the newest state.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cutover_core::machine::{Event, Inconsistent, Record, ServiceState};
use cutover_core::{DeploymentId, Failure, Release, ReleaseNo, ServiceName};
use tokio::sync::{Mutex, Notify, broadcast};

use super::port::{Clock, Journal, JournalError};

/// The journal and what it adds up to.
pub struct Ledger {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    view: RwLock<View>,
    writer: Mutex<Option<Decided>>,
    feed: broadcast::Sender<Record>,
    changed: Notify,
}

/// What was decided and is being written. If whoever decided it goes away in the middle (a task is cut short), it stays here,
/// and the next one finishes it: it may be durable already.
struct Decided {
    records: Vec<Record>,
    view: View,
    /// Whether somebody began to write it. If that was cut short, a later failure does not say that nothing of it happened.
    begun: bool,
}

/// What is known now.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The services, also those removed.
    pub services: BTreeMap<ServiceName, ServiceState>,
    /// The releases that are kept.
    pub releases: BTreeMap<(ServiceName, ReleaseNo), Arc<Release>>,
    /// The number of the last event.
    pub last_seq: u64,
    /// The number of the last deployment.
    pub last_deployment: DeploymentId,
    /// Why the journal cannot be written now, if it cannot. Nothing moves until it can.
    pub trouble: Option<Failure>,
}

impl View {
    /// A service's state; a new one if nothing is known of it.
    pub fn state(&self, service: &ServiceName) -> ServiceState {
        self.services.get(service).cloned().unwrap_or_else(|| ServiceState::new(service.clone()))
    }

    /// A release that is kept.
    pub fn release(&self, service: &ServiceName, number: ReleaseNo) -> Option<Arc<Release>> {
        self.releases.get(&(service.clone(), number)).cloned()
    }

    /// The releases of a service that satisfy `of`, oldest first.
    pub fn releases_with(&self, service: &ServiceName, of: impl Fn(&Release) -> bool) -> Vec<ReleaseNo> {
        let own = self.releases.iter().filter(|((owner, _), release)| owner == service && of(release));
        own.map(|((_, number), _)| *number).collect()
    }

    /// Takes over what events change. Releases come and go beside them, also while events are being written.
    fn adopt(&mut self, newer: View) {
        self.services = newer.services;
        self.last_seq = newer.last_seq;
        self.last_deployment = newer.last_deployment;
    }

    fn take(&mut self, record: &Record) -> Result<(), Inconsistent> {
        let state = self.services.entry(record.service.clone());
        state.or_insert_with(|| ServiceState::new(record.service.clone())).apply(record)?;
        self.last_seq = record.seq;
        if let Some(deployment) = record.deployment {
            self.last_deployment = self.last_deployment.max(deployment);
        }
        Ok(())
    }
}

impl Ledger {
    /// Reads the journal back. Start-up and recovery are this one path.
    pub async fn open(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let mut view = View::default();
        for record in journal.load().await? {
            view.take(&record).map_err(|error| {
                let failure = Failure::because("the journal does not add up", &error);
                JournalError(failure.hint("it was damaged or edited; restore a copy of the state directory"))
            })?;
        }
        for (service, release) in journal.releases().await? {
            view.releases.insert((service, release.number), Arc::new(release));
        }
        Ok(Self {
            journal,
            clock,
            view: RwLock::new(view),
            writer: Mutex::new(None),
            feed: broadcast::Sender::new(4096),
            changed: Notify::new(),
        })
    }

    /// What is known now.
    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A service's state now.
    pub fn state(&self, service: &ServiceName) -> ServiceState {
        self.view().state(service)
    }

    /// Lets `decide` look at the newest state and say what happens next; records that and shows its effect. No events are
    /// fine. The error is either the decider's own or the journal's.
    pub async fn decide<E: From<JournalError>>(
        &self,
        service: &ServiceName,
        decide: impl FnOnce(&View, &ServiceState) -> Result<Vec<Event>, E>,
    ) -> Result<Vec<Record>, E> {
        let of_service = |event| (service.clone(), event);
        let decide = |view: &View| Ok(decide(view, &view.state(service))?.into_iter().map(of_service).collect());
        self.decide_for(decide).await
    }

    /// The same for several services at once: all of it happens, or nothing.
    pub async fn decide_for<E: From<JournalError>>(
        &self,
        decide: impl FnOnce(&View) -> Result<Vec<(ServiceName, Event)>, E>,
    ) -> Result<Vec<Record>, E> {
        let mut decided = self.writer.lock().await;
        self.finish(&mut decided).await?;
        let mut view = self.view().clone();
        let mut records = Vec::new();
        for (service, event) in decide(&view)? {
            let record = self.record_of(&view, &service, event);
            view.take(&record).expect("the machine's own events fit its state");
            records.push(record);
        }
        if !records.is_empty() {
            *decided = Some(Decided { records: records.clone(), view, begun: false });
            self.finish(&mut decided).await?;
        }
        Ok(records)
    }

    /// Makes durable what was decided, and shows its effect. An error means that nothing of it happened, or that this is not known: then
    /// it stays, and nothing else is decided before it is.
    async fn finish(&self, decided: &mut Option<Decided>) -> Result<(), JournalError> {
        let Some(Decided { records, begun, .. }) = decided else { return Ok(()) };
        let was_cut_short = std::mem::replace(begun, true);
        let written = self.journal.append(records).await;
        self.note_trouble(written.as_ref().err());
        if was_cut_short {
            written.clone()?;
        }
        let Some(Decided { records, view, .. }) = decided.take() else { return Ok(()) };
        written?;
        self.view_mut().adopt(view);
        for record in &records {
            let _ = self.feed.send(record.clone());
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// Records what happened, whatever the state.
    pub async fn record(&self, service: &ServiceName, event: Event) -> Result<(), JournalError> {
        self.decide(service, |_, _| Ok::<_, JournalError>(vec![event])).await.map(drop)
    }

    fn record_of(&self, view: &View, service: &ServiceName, event: Event) -> Record {
        let running = view.services.get(service).and_then(|state| state.deployment.as_ref()).map(|d| d.id);
        let deployment = if let Event::Planned { deployment, .. } = &event { Some(*deployment) } else { running };
        Record { seq: view.last_seq + 1, at: self.clock.now(), service: service.clone(), deployment, event }
    }

    fn note_trouble(&self, error: Option<&JournalError>) {
        let trouble = error.map(|error| error.0.clone());
        if self.view().trouble != trouble {
            self.view_mut().trouble = trouble;
        }
    }

    /// Keeps a release before the event that refers to it.
    pub async fn save_release(&self, service: &ServiceName, release: Release) -> Result<(), JournalError> {
        self.journal.save_release(service, &release).await?;
        self.view_mut().releases.insert((service.clone(), release.number), Arc::new(release));
        Ok(())
    }

    /// Forgets releases after the event that says so.
    pub async fn drop_releases(&self, service: &ServiceName, releases: &[ReleaseNo]) -> Result<(), JournalError> {
        self.journal.drop_releases(service, releases).await?;
        self.view_mut().releases.retain(|(owner, no), _| owner != service || !releases.contains(no));
        Ok(())
    }

    /// Every event from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Record> {
        self.feed.subscribe()
    }

    /// Waits until something was recorded after this event, and returns the number of the newest. Those who wait are woken in
    /// the order in which they came (a watch channel would wake them in a random one), so that a simulation can be repeated.
    pub async fn changed_since(&self, seq: u64) -> u64 {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let newest = self.view().last_seq;
            if newest > seq {
                return newest;
            }
            changed.await;
        }
    }

    /// Waits until a service's state satisfies `of`, and returns it.
    pub async fn until(&self, service: &ServiceName, of: impl Fn(&ServiceState) -> bool) -> ServiceState {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let state = self.state(service);
            if of(&state) {
                return state;
            }
            changed.await;
        }
    }
}
