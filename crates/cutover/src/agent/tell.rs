//! Tells events and log lines as they come.

use std::sync::Arc;

use cutover_core::machine::Record;
use cutover_core::plan::Refusal;
use cutover_core::{DeploymentId, InstanceId, ServiceName};
use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::Agent;
use super::api::LogEntry;
use super::server::{EventsQuery, LogsQuery};
use crate::engine::CommandError;
use crate::engine::port::LogLine;
use crate::store::Filter;

impl Agent {
    /// Tells the events that are wanted: those that were, and if asked those that come, until the other side hangs up.
    pub(super) async fn tell_events(self: Arc<Self>, query: EventsQuery, to: Sender<Record>) {
        // Subscribed before reading, so that nothing falls between the two.
        let mut feed = self.engine.ledger().subscribe();
        let (service, deployment) = (query.service, query.deployment.map(DeploymentId));
        let mut after = query.after;
        loop {
            let filter = Filter { service: service.clone(), deployment, after };
            let Ok(records) = self.journal.read(filter).await else { return };
            for record in records {
                after = record.seq;
                if to.send(record).await.is_err() {
                    return;
                }
            }
            if !query.follow {
                return;
            }
            // Whatever comes is read from the journal, so that a slow reader misses nothing either.
            tokio::select! {
                received = feed.recv() => if matches!(received, Err(RecvError::Closed)) { return },
                () = to.closed() => return,
            }
        }
    }

    /// The instances whose logs are wanted: those named, else those of the live release, else the newest.
    pub(super) fn logged_instances(
        &self,
        service: &ServiceName,
        query: &LogsQuery,
    ) -> Result<Vec<InstanceId>, CommandError> {
        let view = self.engine.ledger().view();
        let unknown = || Refusal::UnknownService { service: service.clone() };
        let state = view.services.get(service).ok_or_else(unknown)?;
        let wanted = |id: &&InstanceId| match (query.instance, query.release) {
            (Some(number), _) => id.number == number,
            (None, Some(release)) => id.release.0 == release,
            (None, None) => state.live.is_none_or(|live| id.release == live),
        };
        Ok(state.instances.keys().filter(wanted).cloned().collect())
    }

    /// Tells the lines that are wanted.
    pub(super) async fn tell_logs(
        self: Arc<Self>,
        service: ServiceName,
        instances: Vec<InstanceId>,
        query: LogsQuery,
        to: Sender<LogEntry>,
    ) {
        for instance in &instances {
            for line in self.engine.world().runtime.logs(instance, query.lines.unwrap_or(100)).await {
                if to.send(entry(instance, line)).await.is_err() {
                    return;
                }
            }
        }
        if query.follow {
            self.follow_logs(&service, instances, &query, &to).await;
        }
    }

    /// Follows those, and whoever else fits in the course of time: a new release, say.
    async fn follow_logs(
        &self,
        service: &ServiceName,
        mut told: Vec<InstanceId>,
        query: &LogsQuery,
        to: &Sender<LogEntry>,
    ) {
        let mut followers = JoinSet::new();
        let mut seen = self.engine.ledger().view().last_seq;
        told.iter().for_each(|instance| self.follow_one(&mut followers, instance, to));
        loop {
            tokio::select! {
                () = to.closed() => return,
                newest = self.engine.ledger().changed_since(seen) => seen = newest,
            }
            for instance in self.logged_instances(service, query).unwrap_or_default() {
                if !told.contains(&instance) {
                    self.follow_one(&mut followers, &instance, to);
                    told.push(instance);
                }
            }
        }
    }

    fn follow_one(&self, followers: &mut JoinSet<()>, instance: &InstanceId, to: &Sender<LogEntry>) {
        let mut lines = self.engine.world().runtime.follow(instance);
        let (instance, to) = (instance.clone(), to.clone());
        followers.spawn(async move {
            while let Some(line) = lines.next().await {
                if to.send(entry(&instance, line)).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn entry(instance: &InstanceId, line: LogLine) -> LogEntry {
    LogEntry { instance: instance.clone(), stream: line.stream.name().to_owned(), text: line.text }
}
