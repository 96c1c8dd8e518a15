//! Carries out the steps of a plan. One file per step that does more than one thing.
//!
//! **Invariant.** Each may be carried out twice, the second time after a crash in the middle of the first.

mod drain;
mod hook;
mod judge;
mod outside;
mod ready;
mod register;
mod rest;
mod start;
mod undecided;
mod watch;

pub(super) use judge::{observing, together};

use std::sync::{Arc, PoisonError};

use cutover_core::machine::Duty;
use cutover_core::plan::Step;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};

use super::Parts;
use super::drive::out_of_time;
use super::port::{ProbeTarget, Progress, ReleaseOrder};

impl Parts {
    /// Carries out a step, until the given time at most.
    pub(super) async fn perform(
        self: &Arc<Self>,
        service: &ServiceName,
        step: &Step,
        until: Timestamp,
    ) -> Result<(), Failure> {
        match step {
            Step::Prepare { release } => {
                let release = self.release(service, *release)?;
                let order = ReleaseOrder {
                    service: service.clone(),
                    release: release.number,
                    spec: release.spec.run.clone(),
                    fingerprint: release.fingerprint.clone(),
                };
                let prepared =
                    self.in_time(step, until, self.world.runtime.prepare(&order, &self.progress(service))).await?;
                self.progress.lock().unwrap_or_else(PoisonError::into_inner).remove(service);
                prepared.map_err(|error| error.about(format!("could not prepare release {}", release.number)))
            }
            Step::Adopt { instances } | Step::Start { instances } => self.start_all(service, instances).await,
            Step::Ready { instances, .. } => {
                self.while_watched(service, until, self.await_ready(service, instances, until)).await?
            }
            Step::WarmUp { instances } => self.warm_up(service, instances, until).await,
            Step::Smoke { instance, .. } => self.smoke(service, instance, until).await,
            Step::Register { instances } => self.register(service, instances, until).await,
            Step::Shift { to, .. } => self.shift(service, to, until).await,
            Step::Weigh { .. } => self.publish_by(service, until).await,
            Step::Drain { instances, .. } => {
                self.while_watched(service, until, self.drain(service, instances, until)).await?;
                self.note_streams_kept(service, instances).await;
                Ok(())
            }
            Step::Rest { instances, .. } => self.rest(service, instances, until).await,
            Step::Watch { instances, .. } => self.watch(service, instances, until).await,
            // A hook has more to tell than whether it failed: see `hook_step`.
            Step::Commit { .. } | Step::Hook { .. } => Ok(()),
            Step::Retire { instances } => {
                self.publish(service).await;
                self.retire_now(service, instances).await;
                Ok(())
            }
            Step::Prune { releases, instances } => {
                self.publish(service).await;
                self.prune(service, releases, instances).await;
                Ok(())
            }
        }
    }

    /// Runs something until the given time at most.
    pub(super) async fn in_time<T>(
        &self,
        step: &Step,
        until: Timestamp,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::time::timeout(until.since(self.now()), work).await.map_err(|_| out_of_time(step))
    }

    /// Where a step of this service tells how far it has come.
    fn progress(&self, service: &ServiceName) -> Progress {
        let (lines, service) = (self.progress.clone(), service.clone());
        Progress::new(move |line| {
            lines.lock().unwrap_or_else(PoisonError::into_inner).insert(service.clone(), line);
        })
    }

    /// Where an instance is to be looked at.
    pub(super) fn target(&self, service: &ServiceName, instance: &InstanceId) -> Result<ProbeTarget, Failure> {
        let address = self.ledger.state(service).instances.get(instance).and_then(|found| found.address);
        let address = address.ok_or_else(|| Failure::new(format!("{instance} has no address yet")))?;
        // Without its release nobody knows how it is spoken to; whoever needs more of that release says that it is gone.
        let release = self.release(service, instance.release).ok();
        let release = release.as_ref();
        let tls = release.and_then(|release| release.spec.route.as_ref()?.proxy()?.instance_tls.clone());
        let socket = release.and_then(|release| release.spec.run.process()?.socket_of(instance));
        Ok(ProbeTarget { instance: instance.clone(), address, tls, socket })
    }

    /// What can be removed is removed; what cannot is left, and said: it hurts nobody.
    async fn prune(&self, service: &ServiceName, releases: &[cutover_core::ReleaseNo], instances: &[InstanceId]) {
        let state = self.ledger.state(service);
        let has_ended = |id: &&InstanceId| state.instances.get(*id).is_none_or(|found| found.duty == Duty::Gone);
        for instance in instances.iter().filter(has_ended) {
            if let Err(error) = self.world.runtime.forget(instance).await {
                tracing::warn!("could not remove the records of {instance}: {error}");
            }
        }
        for release in releases {
            if let Err(error) = self.world.runtime.discard(service, *release).await {
                tracing::warn!("could not remove release {release} of {service}: {error}");
            }
        }
        if let Err(error) = self.ledger.drop_releases(service, releases).await {
            tracing::warn!("could not forget old releases of {service}: {error}");
        }
    }
}
