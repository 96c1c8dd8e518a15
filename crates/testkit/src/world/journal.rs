//! The simulated journal. Each append is checked against what the events so far add up to.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cutover::engine::port::{Journal, JournalError};
use cutover_core::machine::Record;
use cutover_core::{Failure, Release, ReleaseNo, ServiceName};

use super::{Call, Port};

/// What a journal holds.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// The events.
    pub records: Vec<Record>,
    /// The releases.
    pub releases: BTreeMap<(ServiceName, ReleaseNo), Release>,
}

pub(super) struct SimJournal(pub(super) Port);

fn failed(why: String) -> JournalError {
    JournalError(Failure::new(why))
}

fn nothing() -> String {
    String::new()
}

#[async_trait]
impl Journal for SimJournal {
    async fn load(&self) -> Result<Vec<Record>, JournalError> {
        self.0.call(Call::Load, &nothing, failed, |inner| Ok(inner.disk.records.clone())).await
    }

    async fn append(&self, records: &[Record]) -> Result<(), JournalError> {
        let about = || records.iter().map(brief).collect::<Vec<_>>().join(" + ");
        self.0.call(Call::Append, &about, failed, |inner| inner.append(records).map_err(failed)).await
    }

    async fn releases(&self) -> Result<Vec<(ServiceName, Release)>, JournalError> {
        let all =
            |disk: &Disk| disk.releases.iter().map(|((name, _), release)| (name.clone(), release.clone())).collect();
        self.0.call(Call::Releases, &nothing, failed, |inner| Ok(all(&inner.disk))).await
    }

    async fn save_release(&self, service: &ServiceName, release: &Release) -> Result<(), JournalError> {
        let about = || format!("{service} r{}", release.number);
        let save = |inner: &mut super::Inner| {
            inner.check_save(service, release.number);
            inner.disk.releases.insert((service.clone(), release.number), release.clone());
            Ok(())
        };
        self.0.call(Call::SaveRelease, &about, failed, save).await
    }

    async fn drop_releases(&self, service: &ServiceName, releases: &[ReleaseNo]) -> Result<(), JournalError> {
        let about = || format!("{service} {releases:?}");
        let drop = |inner: &mut super::Inner| {
            for release in releases {
                inner.check_removal(service, *release);
                inner.disk.releases.remove(&(service.clone(), *release));
            }
            Ok(())
        };
        self.0.call(Call::DropReleases, &about, failed, drop).await
    }
}

impl super::Inner {
    /// Adds events; those that are there already may come again, others may not take their number.
    fn append(&mut self, records: &[Record]) -> Result<(), String> {
        let mut fresh = Vec::new();
        for record in records {
            let at = usize::try_from(record.seq - 1).expect("a journal fits into memory");
            match self.disk.records.get(at) {
                Some(known) if known == record => continue,
                Some(_) => {
                    let text = format!("two events want to be number {}", record.seq);
                    self.broke(crate::invariants::Invariant::OneWriter, text.clone());
                    return Err(text);
                }
                None => fresh.push(record),
            }
        }
        self.check_agreed(&fresh);
        for record in fresh {
            self.check_event(record);
            self.disk.records.push(record.clone());
        }
        Ok(())
    }
}

/// An event in a few words, for traces.
pub(super) fn brief(record: &Record) -> String {
    let mut text = format!("{:?}", record.event);
    let end = text.char_indices().nth(140).map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    format!("#{} {} {text}", record.seq, record.service)
}
