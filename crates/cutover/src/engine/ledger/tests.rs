use std::sync::Mutex as StdMutex;
use std::time::Duration;

use async_trait::async_trait;
use cutover_core::Timestamp;
use cutover_core::spec::ServiceSpec;
use tokio::sync::Semaphore;

use super::*;

/// A journal whose appends become durable at once and return when they are let through.
#[derive(Default)]
struct SlowJournal {
    durable: StdMutex<Vec<Record>>,
    let_through: Option<Semaphore>,
}

#[async_trait]
impl Journal for SlowJournal {
    async fn load(&self) -> Result<Vec<Record>, JournalError> {
        Ok(self.durable.lock().unwrap().clone())
    }

    async fn append(&self, records: &[Record]) -> Result<(), JournalError> {
        {
            let mut durable = self.durable.lock().unwrap();
            for record in records {
                match durable.iter().find(|there| there.seq == record.seq) {
                    Some(there) if there == record => {}
                    Some(_) => return Err(JournalError(Failure::new("another event has this number"))),
                    None => durable.push(record.clone()),
                }
            }
        }
        if let Some(gate) = &self.let_through {
            gate.acquire().await.unwrap().forget();
        }
        Ok(())
    }

    async fn releases(&self) -> Result<Vec<(ServiceName, Release)>, JournalError> {
        Ok(Vec::new())
    }

    async fn save_release(&self, _: &ServiceName, _: &Release) -> Result<(), JournalError> {
        Ok(())
    }

    async fn drop_releases(&self, _: &ServiceName, _: &[ReleaseNo]) -> Result<(), JournalError> {
        Ok(())
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(7)
    }
}

async fn slow_ledger() -> (Arc<SlowJournal>, Arc<Ledger>) {
    let journal = Arc::new(SlowJournal { let_through: Some(Semaphore::new(0)), ..SlowJournal::default() });
    let ledger = Ledger::open(journal.clone(), Arc::new(Still)).await.unwrap();
    (journal, Arc::new(ledger))
}

fn locked(by: &str) -> Event {
    Event::Locked { by: by.into(), reason: String::new(), until: Timestamp(1000) }
}

fn web() -> ServiceName {
    ServiceName::new("web").unwrap()
}

/// A task that records is cut short after its event became durable. Seen to fail without `finish` at the beginning of `decide`:
/// the next event got the same number, and the journal refused it for ever.
#[tokio::test]
async fn who_is_cut_short_while_recording_is_finished_by_the_next() {
    let (journal, ledger) = slow_ledger().await;
    let web = web();
    let cut_short = tokio::time::timeout(Duration::from_millis(20), ledger.record(&web, locked("ann")));
    assert!(cut_short.await.is_err());
    assert_eq!(journal.durable.lock().unwrap().len(), 1);
    journal.let_through.as_ref().unwrap().add_permits(2);
    ledger.record(&web, Event::Unlocked { by: "bob".into() }).await.unwrap();
    assert_eq!(ledger.view().last_seq, 2);
    let replayed = Ledger::open(journal, Arc::new(Still)).await.unwrap();
    assert_eq!(replayed.state(&web), ledger.state(&web));
}

/// Seen to fail when the whole view was replaced after an append: a release that was saved meanwhile was forgotten.
#[tokio::test]
async fn a_release_that_is_saved_while_events_are_written_stays() {
    let (journal, ledger) = slow_ledger().await;
    let writing = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.record(&web(), locked("ann")).await }
    });
    while journal.durable.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    ledger.save_release(&web(), release()).await.unwrap();
    journal.let_through.as_ref().unwrap().add_permits(1);
    writing.await.unwrap().unwrap();
    assert!(ledger.view().release(&web(), ReleaseNo(1)).is_some());
    assert!(ledger.state(&web()).lock.is_some());
}

fn release() -> Release {
    let spec: ServiceSpec = serde_json::from_value(serde_json::json!({
        "name": "web", "project": "test", "replicas": 1, "route": null, "rollout": {},
        "run": { "process": { "command": ["true"], "artifact": null, "directory": null, "env": {}, "user": null,
            "ports": "automatic", "stop": {}, "limits": {}, "logs": {}, "restart": {} } },
        "ready": { "check": "tcp", "within": "1s", "stable_for": "0s", "passes": 1, "timeout": "1s", "warm_up": null },
    }))
    .unwrap();
    Release { number: ReleaseNo(1), made: Timestamp(1), fingerprint: None, spec }
}
