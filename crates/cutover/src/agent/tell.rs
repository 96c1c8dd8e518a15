//! Tells events and log lines as they come.

use std::sync::Arc;

use cutover_core::machine::Record;
use cutover_core::plan::Refusal;
use cutover_core::{DeploymentId, InstanceId, ServiceName};
use futures_util::stream::{BoxStream, StreamExt};
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
        if query.follow {
            return self.follow_logs(&service, &query, &to).await;
        }
        for instance in &instances {
            for line in self.engine.world().runtime.logs(instance, lines_of(&query)).await {
                if to.send(entry(instance, line)).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Follows whoever fits, also in the course of time: a new release, say.
    async fn follow_logs(&self, service: &ServiceName, query: &LogsQuery, to: &Sender<LogEntry>) {
        let (mut followers, mut told) = (JoinSet::new(), Vec::new());
        let mut seen = self.engine.ledger().view().last_seq;
        loop {
            for instance in self.logged_instances(service, query).unwrap_or_default() {
                if !told.contains(&instance) {
                    let lines = self.engine.world().runtime.follow(&instance, lines_of(query));
                    Self::follow_one(&mut followers, instance.clone(), lines, to);
                    told.push(instance);
                }
            }
            tokio::select! {
                () = to.closed() => return,
                newest = self.engine.ledger().changed_since(seen) => seen = newest,
            }
        }
    }

    fn follow_one(
        followers: &mut JoinSet<()>,
        instance: InstanceId,
        mut lines: BoxStream<'static, LogLine>,
        to: &Sender<LogEntry>,
    ) {
        let to = to.clone();
        followers.spawn(async move {
            while let Some(line) = lines.next().await {
                if to.send(entry(&instance, line)).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn lines_of(query: &LogsQuery) -> usize {
    query.lines.unwrap_or(100)
}

fn entry(instance: &InstanceId, line: LogLine) -> LogEntry {
    LogEntry { instance: instance.clone(), stream: line.stream.name().to_owned(), text: line.text }
}
