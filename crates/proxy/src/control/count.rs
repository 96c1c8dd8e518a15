//! The counters as they are told: those of this process, of those that leave, and of those that have left, as one proxy's.

use std::time::Duration;

use cutover_core::stats::{ServiceStats, Stats};
use cutover_core::{InstanceId, ServiceName};

use super::publish::Control;
use super::{Farewell, Kind, Problem};
use crate::succession::leaving::{self, Answer};
use crate::succession::past::{Listing, Past, Together};
use crate::worker::order::{Order, streams_of};

impl Control {
    /// What this process counted.
    pub fn own_stats(&self) -> Stats {
        Stats { certificates: self.certificates.stats(), ..self.counters.own() }
    }

    /// The same with all that is told to scrapes.
    pub fn own_in_full(&self) -> Stats {
        Stats { certificates: self.certificates.stats(), ..self.counters.own_in_full() }
    }

    /// What was counted in all. Refused if one that leaves does not tell what it has in hand: a number that is too small would let an
    /// instance be stopped that still works.
    pub async fn stats(&self) -> Result<Stats, Problem> {
        let heard = leaving::ask(self.state(), |client| async move { client.stats().await }).await;
        // Read after theirs: one of them may have ended, and its client come to us.
        let mut stats = self.own_stats();
        let mut past = self.past();
        past.bury_all_but(&heard.iter().map(|(pid, _)| *pid).collect::<Vec<_>>());
        for (pid, answer) in heard {
            match answer {
                Answer::Said(theirs) => {
                    if past.hear(pid, &theirs) {
                        stats.add(theirs, Listing::All);
                    }
                }
                Answer::Gone => past.bury(pid),
                Answer::Silent(why) => return Err(self.problem(Kind::Leaving, leaving::silent(pid, &why))),
            }
        }
        past.forget_targets(&stats);
        past.add_to(&mut stats);
        drop(past);
        if self.has_left() { Err(self.moved()) } else { Ok(stats) }
    }

    /// The counters of a service, whose longest gap begins anew.
    pub async fn mark(&self, name: &ServiceName) -> Result<ServiceStats, Problem> {
        let unknown = || self.problem(Kind::NotFound, format!("service {name} is not in the table"));
        let service = self.shared.live.table().service(name).cloned().ok_or_else(unknown)?;
        let before = self.stats().await?.service(name).cloned().ok_or_else(unknown)?;
        self.mark_own(&service.spec.name);
        self.past().mark(name);
        let name = name.clone();
        // A gap that one of them does not forget makes a deployment look worse, not better.
        leaving::ask(self.state(), move |client| {
            let name = name.clone();
            async move { client.mark(&name).await }
        })
        .await;
        Ok(before)
    }

    /// The same for this process alone.
    pub fn mark_own(&self, name: &ServiceName) -> Option<ServiceStats> {
        let service = self.shared.live.table().service(name).cloned()?;
        let before = service.counts.stats(name, self.shared.now_us());
        service.counts.gap.mark();
        Some(before)
    }

    /// Ends the streams of an instance, also those that stayed with processes that leave.
    pub async fn close_streams(&self, instance: &InstanceId, over: Duration) -> Result<(), Problem> {
        self.close_own_streams(instance, over);
        let instance = instance.clone();
        let told = leaving::ask(self.state(), move |client| {
            let instance = instance.clone();
            async move { client.close_streams(&instance, over).await }
        });
        self.none_silent(told.await)
    }

    /// The same for this process alone.
    pub fn close_own_streams(&self, instance: &InstanceId, over: Duration) {
        let targets = streams_of(&self.shared.live.targets(), instance);
        self.order(|| Order::CloseStreams { targets: targets.clone(), over });
    }

    /// One that left has told all that it counted.
    pub fn farewell(&self, farewell: Farewell) -> Result<(), Problem> {
        let mut past = self.past();
        // Looked at under the lock: what is taken after the past was handed on would be lost.
        if self.has_left() {
            return Err(self.moved());
        }
        past.take(farewell.pid, farewell.stats);
        Ok(())
    }

    /// All of them obeyed, or are gone.
    pub(super) fn none_silent<T>(&self, answers: Vec<(u32, Answer<T>)>) -> Result<(), Problem> {
        let silent = answers.into_iter().find_map(|(pid, answer)| match answer {
            Answer::Silent(why) => Some(leaving::silent(pid, &why)),
            Answer::Said(_) | Answer::Gone => None,
        });
        silent.map_or(Ok(()), |message| Err(self.problem(Kind::Leaving, message)))
    }

    /// What those counted that have left.
    pub fn past(&self) -> std::sync::MutexGuard<'_, Past> {
        self.counters.past()
    }
}
