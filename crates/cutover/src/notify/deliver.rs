//! The task that sees what happened, writes down who is to be told, and tells them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::machine::Record;
use cutover_core::rule::try_again;
use cutover_core::spec::Occasion;
use cutover_core::{ServiceName, Timestamp};
use tokio::task::{Id, JoinSet};

use super::message::{self, Message};
use super::sink::{self, Answer};
use crate::engine::Ledger;
use crate::engine::port::{Clock, JournalError};
use crate::store::{Entry, Filter, SqliteJournal, State};

/// How many tries are under way at most, over all receivers.
const AT_ONCE: usize = 16;

/// The pause when the journal cannot be read or written.
const RETRY: Duration = Duration::from_secs(2);

/// The longest time without a look at what is due. It bounds what a clock that was set back can hold up.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Sees events and tells of them.
#[derive(Clone)]
pub struct Notifier {
    pub(super) journal: Arc<SqliteJournal>,
    ledger: Arc<Ledger>,
    pub(super) clock: Arc<dyn Clock>,
}

/// One receiver of one service: it gets one message at a time.
type Lane = (ServiceName, String);

/// The tries that are under way.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    lanes: HashMap<Id, Lane>,
}

impl Notifier {
    /// A notifier of the events of this ledger, which are kept in this journal.
    pub fn new(journal: Arc<SqliteJournal>, ledger: Arc<Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self { journal, ledger, clock }
    }

    /// Goes on for ever. What goes wrong with the journal is tried again, and never stops anything else.
    pub async fn run(self) {
        let mut under_way = UnderWay::default();
        let mut seen = None;
        loop {
            let due = match self.round(&mut seen, &mut under_way).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!("nobody is notified for the moment: {error}");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            let rest = due.map_or(LOOK_AGAIN, |due| due.since(self.clock.now()).min(LOOK_AGAIN));
            tokio::select! {
                _ = self.ledger.changed_since(seen.unwrap_or_default()) => {}
                () = under_way.one_ended() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Takes in what has happened since the last round, and begins what is due. Says when the next is due.
    async fn round(&self, seen: &mut Option<u64>, under_way: &mut UnderWay) -> Result<Option<Timestamp>, JournalError> {
        let (name, durable) = self.journal.notifier().await?;
        let after = seen.unwrap_or(durable);
        let records = self.journal.read(Filter { after, ..Filter::default() }).await?;
        for record in records {
            if message::may_tell(&record.event) {
                self.take_in(&record, &name).await?;
            }
            *seen = Some(record.seq);
        }
        seen.get_or_insert(after);
        self.begin(under_way).await
    }

    /// Writes down who is to be told of an event. That it was seen is made durable only if it is one that can be told of: to
    /// see any other again costs nothing.
    async fn take_in(&self, record: &Record, journal: &str) -> Result<(), JournalError> {
        let Some(deployment) = record.deployment else { return Ok(()) };
        let filter = Filter { deployment: Some(deployment), ..Filter::default() };
        let mut events = self.journal.read(filter).await?;
        events.retain(|event| event.seq <= record.seq);
        let notify = self.journal.notify_of(&record.service).await?;
        let Some(message) = message::about(&events, &notify.project, journal) else { return Ok(()) };
        let wanted = notify.sinks.iter().filter(|sink| sink.on.iter().any(|on| on.name() == message.event));
        let entries: Vec<Entry> = wanted.map(|sink| entry(record, deployment, &sink.name, &message)).collect();
        self.journal.enqueue(&entries, record.seq).await?;
        if entries.is_empty() && message.event == Occasion::Done.name() {
            self.forget_if_removed(&record.service).await?;
        }
        Ok(())
    }

    /// Begins what is due, one at a time for each receiver. Says when the next is due that was not begun.
    async fn begin(&self, under_way: &mut UnderWay) -> Result<Option<Timestamp>, JournalError> {
        for entry in self.journal.waiting().await? {
            let lane = (entry.service.clone(), entry.sink.clone());
            if under_way.lanes.values().any(|busy| *busy == lane) {
                continue;
            }
            if entry.due > self.clock.now() {
                return Ok(Some(entry.due));
            }
            if under_way.tasks.len() >= AT_ONCE {
                break;
            }
            let notifier = self.clone();
            let task = under_way.tasks.spawn(async move { notifier.deliver(entry).await });
            under_way.lanes.insert(task.id(), lane);
        }
        Ok(None)
    }

    /// Tries once, and writes down what came of it.
    async fn deliver(&self, mut entry: Entry) {
        let answer = self.attempt(&entry).await;
        entry.tries += 1;
        entry.said = Some(answer.said().to_owned());
        let next = match answer {
            Answer::Taken(_) => Next::Delivered,
            Answer::Never(_) => Next::GivenUp,
            Answer::NotNow(_, asked) => match try_again(entry.made, self.clock.now(), entry.tries, asked) {
                Some(due) => Next::Again(due),
                None => Next::GivenUp,
            },
        };
        match next {
            Next::Delivered => entry.state = State::Delivered,
            Next::GivenUp => entry.state = State::GivenUp,
            Next::Again(due) => entry.due = due,
        }
        tell_log(&entry);
        while let Err(error) = self.settle(&entry).await {
            tracing::warn!("what came of a notification could not be written down: {error}");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn attempt(&self, entry: &Entry) -> Answer {
        let notify = match self.journal.notify_of(&entry.service).await {
            Ok(notify) => notify,
            Err(error) => return Answer::NotNow(error.to_string(), None),
        };
        let Some(sink) = notify.sinks.iter().find(|sink| sink.name == entry.sink) else {
            return Answer::Never("it is not in the configuration any more".to_owned());
        };
        match serde_json::from_str::<Message>(&entry.message) {
            Ok(message) => sink::tell(sink, &message, self.clock.now()).await,
            Err(error) => Answer::Never(format!("what was to be said cannot be read: {error}")),
        }
    }

    async fn settle(&self, entry: &Entry) -> Result<(), JournalError> {
        self.journal.settle(entry).await?;
        self.forget_if_removed(&entry.service).await
    }

    /// The secrets of a service that is no more do not stay.
    async fn forget_if_removed(&self, service: &ServiceName) -> Result<(), JournalError> {
        if self.ledger.state(service).removed {
            self.journal.forget_notify(service).await?;
        }
        Ok(())
    }
}

impl UnderWay {
    /// Waits for the end of a try; for ever if none is under way.
    async fn one_ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        self.lanes.remove(&id);
    }
}

/// What follows from a try.
enum Next {
    Delivered,
    GivenUp,
    Again(Timestamp),
}

fn entry(record: &Record, deployment: cutover_core::DeploymentId, sink: &str, message: &Message) -> Entry {
    Entry {
        event: record.seq,
        sink: sink.to_owned(),
        service: record.service.clone(),
        deployment,
        message: serde_json::to_string(message).unwrap_or_default(),
        made: record.at,
        tries: 0,
        due: record.at,
        state: State::Waiting,
        said: None,
    }
}

/// A delivery is no news. One that failed is, each time.
fn tell_log(entry: &Entry) {
    let Entry { event, sink, service, deployment, tries, said, .. } = entry;
    let said = said.as_deref().unwrap_or_default();
    let what = format!("event {event} of {service} (deployment {deployment})");
    match entry.state {
        State::Delivered => {}
        State::Waiting => tracing::info!("{sink} was not told of {what}, try {tries}: {said}"),
        State::GivenUp => tracing::warn!("{sink} will not be told of {what}, given up after {tries} tries: {said}"),
    }
}
