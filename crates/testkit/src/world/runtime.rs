//! The simulated runtime: instances that live as their command line says.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use cutover::engine::port::{
    Adoptable, Exit, HookFilter, HookOrder, HookRun, LogLine, LogStream, Progress, ReleaseOrder, Runtime, RuntimeError,
    Seen, StartOrder, Stopped,
};
use cutover_core::spec::{RunSpec, StopSpec};
use cutover_core::{Failure, InstanceId, ReleaseNo, ServiceName, Timestamp};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::traffic::Request;
use super::{Call, Inner, Life, Port};

/// An instance, running or not.
#[derive(Debug, Clone)]
pub struct SimInstance {
    /// The attempt it was started with.
    pub attempt: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// How it lives.
    pub life: Life,
    /// When it was started.
    pub started: Timestamp,
    /// When and how it will end, and by whom, if that is certain already.
    pub dies: Option<(Timestamp, Exit, Cause)>,
    /// How it ended.
    pub ended: Option<(Exit, Cause)>,
    /// Since when the router gives it nothing new, if it ever gave it something.
    pub idle_since: Option<Timestamp>,
    pub(crate) requests: Vec<Request>,
    /// How many it has answered.
    pub(crate) served: u64,
}

/// Who ended an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The engine told it to stop, or started it anew.
    Ours,
    /// It ended by itself.
    Itself,
    /// The simulation killed it.
    Injected,
}

impl SimInstance {
    /// Whether it would answer a request.
    pub fn answers(&self, now: Timestamp) -> bool {
        let age = u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        let unready = self.life.unready.is_some_and(|(from, to)| from <= age && age < to);
        self.ended.is_none() && self.has_been_ready(now) && !unready
    }

    /// Whether it has answered since it was started, even if it does not now.
    pub fn has_been_ready(&self, now: Timestamp) -> bool {
        self.life.ready.is_some_and(|at| self.started + Duration::from_millis(at) <= now)
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.ended.is_none()
    }

    fn end_at(&mut self, at: Timestamp, exit: Exit, cause: Cause) {
        if self.dies.as_ref().is_none_or(|(known, ..)| at < *known) {
            self.dies = Some((at, exit, cause));
        }
    }
}

pub(super) struct SimRuntime(pub(super) Port);

pub(super) fn failed(why: String) -> RuntimeError {
    RuntimeError::Other(Failure::new(why))
}

#[async_trait]
impl Runtime for SimRuntime {
    async fn fingerprint(&self, spec: &RunSpec) -> Result<Option<String>, RuntimeError> {
        let digest = spec.title();
        self.0.call(Call::Fingerprint, &String::new, failed, |_| Ok(Some(digest.clone()))).await
    }

    async fn prepare(&self, order: &ReleaseOrder, _: &Progress) -> Result<(), RuntimeError> {
        let about = || format!("{} r{}", order.service, order.release);
        let copy = |inner: &mut Inner| {
            inner.check_prepare(order);
            inner.artifacts.insert((order.service.clone(), order.release));
            Ok(())
        };
        self.0.call(Call::Prepare, &about, failed, copy).await
    }

    async fn start(&self, order: &StartOrder) -> Result<SocketAddr, RuntimeError> {
        let about = || format!("{} attempt {}", order.instance, order.attempt);
        self.0.call(Call::Start, &about, failed, |inner| inner.start(order)).await
    }

    async fn stop(&self, instance: &InstanceId, stop: &StopSpec) -> Result<Stopped, RuntimeError> {
        let signal = |inner: &mut Inner| {
            inner.signal(instance, stop);
            Ok(())
        };
        self.0.call(Call::Stop, &|| instance.to_string(), failed, signal).await?;
        let exit = self.exited(instance).await;
        Ok(Stopped { killed: exit == Exit::Signal(9), exit })
    }

    async fn observe(&self) -> Result<Vec<Seen>, RuntimeError> {
        let inner = self.0.world.lock();
        let seen = inner.instances.iter().map(|(id, found)| Seen {
            instance: id.clone(),
            attempt: found.attempt,
            address: found.address,
            pid: found.runs().then_some(1),
            exit: found.ended.as_ref().map(|(exit, _)| exit.clone()),
        });
        Ok(seen.collect())
    }

    async fn exited(&self, instance: &InstanceId) -> Exit {
        let epoch = self.0.epoch;
        self.0
            .world
            .until(|inner| {
                // Only one life of the agent is told.
                let exit = match inner.instances.get(instance) {
                    None => Some(Exit::Unknown),
                    Some(found) => found.ended.as_ref().map(|(exit, _)| exit.clone()),
                };
                exit.filter(|_| inner.epoch == epoch && !inner.crashed)
            })
            .await
    }

    async fn logs(&self, instance: &InstanceId, _: usize) -> Vec<LogLine> {
        vec![LogLine { stream: LogStream::Stderr, text: format!("the last words of {instance}") }]
    }

    fn follow(&self, _: &InstanceId, _: usize) -> BoxStream<'static, LogLine> {
        stream::empty().boxed()
    }

    async fn connections(&self, _: &InstanceId) -> Option<BTreeSet<SocketAddr>> {
        None
    }

    async fn diagnose(&self, _: &InstanceId) -> Option<String> {
        None
    }

    async fn forget(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        let forget = |inner: &mut Inner| {
            inner.check_forget(instance);
            inner.instances.remove(instance);
            Ok(())
        };
        self.0.call(Call::Forget, &|| instance.to_string(), failed, forget).await
    }

    async fn adoptable(&self, spec: &RunSpec) -> Result<Vec<Adoptable>, RuntimeError> {
        let found = |number| Adoptable { container: format!("stranger-{number}"), fingerprint: spec.title() };
        self.0.call(Call::Adoptable, &String::new, failed, |_| Ok((1..=2).map(found).collect())).await
    }

    async fn let_go(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        let let_go = |inner: &mut Inner| {
            inner.check_let_go(instance);
            inner.instances.remove(instance);
            Ok(())
        };
        self.0.call(Call::LetGo, &|| instance.to_string(), failed, let_go).await
    }

    async fn hook(&self, order: &HookOrder) -> Result<HookRun, RuntimeError> {
        self.0.run_hook(order).await
    }

    async fn end_hooks(&self, of: &HookFilter<'_>) -> Result<(), RuntimeError> {
        self.0.end_hooks(of).await
    }

    async fn discard(&self, service: &ServiceName, release: ReleaseNo) -> Result<(), RuntimeError> {
        let discard = |inner: &mut Inner| {
            inner.check_removal(service, release);
            inner.artifacts.remove(&(service.clone(), release));
            Ok(())
        };
        self.0.call(Call::Discard, &|| format!("{service} r{release}"), failed, discard).await
    }
}

impl Inner {
    fn start(&mut self, order: &StartOrder) -> Result<SocketAddr, RuntimeError> {
        self.check_start(order);
        let id = &order.instance;
        let known = self.instances.get(id);
        if let Some(known) = known.filter(|known| known.attempt >= order.attempt) {
            return Ok(known.address);
        }
        // What is taken over runs since long ago, from what is there.
        let adopted = self.is_being_adopted(id);
        if adopted {
            self.artifacts.insert((id.service.clone(), id.release));
        }
        if !self.artifacts.contains(&(id.service.clone(), id.release)) {
            return Err(failed(format!("release {} of {} was never prepared", id.release, id.service)));
        }
        let process = order.spec.process().expect("simulated instances are processes");
        let life = Life::of(&process.command);
        if life.refuses {
            return Err(failed("no such program".to_owned()));
        }
        self.next_port += u16::from(known.is_none());
        let address = known.map_or(SocketAddr::from(([127, 0, 0, 1], self.next_port)), |known| known.address);
        let started = if adopted { Timestamp(self.now().0.saturating_sub(60_000)) } else { self.now() };
        let exits =
            life.exits.map(|after| (started + Duration::from_millis(after), Exit::Code(life.code), Cause::Itself));
        let (attempt, requests) = (order.attempt, Vec::new());
        let instance = SimInstance {
            attempt,
            address,
            life,
            started,
            dies: exits,
            ended: None,
            idle_since: None,
            requests,
            served: 0,
        };
        self.instances.insert(id.clone(), instance);
        Ok(address)
    }

    fn signal(&mut self, id: &InstanceId, stop: &StopSpec) {
        self.check_stop(id);
        let now = self.now();
        let Some(found) = self.instances.get_mut(id).filter(|found| found.runs()) else { return };
        let grace = now + stop.grace;
        let leaves = found.life.leaves.map(|after| now + Duration::from_millis(after));
        match leaves.filter(|at| *at < grace) {
            Some(at) => found.end_at(at, Exit::Signal(15), Cause::Ours),
            None => found.end_at(grace, Exit::Signal(9), Cause::Ours),
        }
    }

    /// The simulation kills one of those that run.
    pub(super) fn kill_one(&mut self, which: u64) {
        let now = self.now();
        let running: Vec<InstanceId> =
            self.instances.iter().filter(|(_, i)| i.runs()).map(|(id, _)| id.clone()).collect();
        let Some(at) = usize::try_from(which).ok().and_then(|which| which.checked_rem(running.len())) else { return };
        self.coverage.count("fault: instance killed");
        self.note(format!("{} is killed", running[at]));
        if let Some(found) = self.instances.get_mut(&running[at]) {
            found.dies = Some((now, Exit::Signal(9), Cause::Injected));
        }
        self.settle_instances(now);
    }

    pub(super) fn settle_instances(&mut self, now: Timestamp) {
        let mut lost = 0;
        let mut ends = Vec::new();
        for (id, found) in &mut self.instances {
            let Some((_, exit, cause)) = found.dies.clone().filter(|(at, ..)| *at <= now && found.ended.is_none())
            else {
                continue;
            };
            ends.push(format!("{id} ends: {exit} ({cause:?})"));
            if cause != Cause::Ours {
                lost += found.requests.iter().filter(|request| request.ends > now).count() as u64;
            }
            found.requests.clear();
            found.ended = Some((exit, cause));
        }
        self.coverage.excused += lost;
        for end in ends {
            self.note(end);
        }
    }
}
