//! Takes spans from the workers and hands them, some at a time, to whoever sends them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtrb::Consumer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::batch::Batch;
use super::{Lost, Spans, post};
use crate::ring;

/// How often it looks. A ring holds what a busy worker records in that time.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a span waits for others at most.
const DELAY: Duration = Duration::from_secs(1);

/// How many batches wait for a receiver. With the one that is gathered and the one that is sent, that is all the memory that a receiver can take.
const WAITING: usize = 8;

/// The way to one receiver.
struct Way {
    spans: Arc<Spans>,
    batch: Batch,
    begun: Instant,
    queue: mpsc::Sender<Batch>,
    sending: JoinHandle<()>,
}

/// Gathers until it is told to quit, and sends what is there then. Sleeps while no table names a receiver.
pub async fn run(spans: Arc<Spans>) {
    let mut rings = spans.rings.ends();
    let (mut ways, mut quit) = (HashMap::new(), spans.quit.subscribe());
    loop {
        let quits = *quit.borrow_and_update();
        sort(&spans, &mut rings, &mut ways);
        let due = |way: &&mut Way| way.batch.count > 0 && (quits || way.begun.elapsed() >= DELAY);
        ways.values_mut().filter(due).for_each(Way::send);
        if quits {
            break;
        }
        let pause = if spans.has_receivers() { PAUSE } else { Duration::MAX };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = spans.changed.notified() => {}
            _ = quit.changed() => {}
        }
    }
    for Way { queue, sending, .. } in ways.into_values() {
        drop(queue);
        let _ = sending.await;
    }
    spans.finished.send_replace(true);
}

/// Sorts what is in the rings by receiver.
fn sort(spans: &Arc<Spans>, rings: &mut [Consumer<u8>], ways: &mut HashMap<u32, Way>) {
    ring::take(rings, |receiver, span| {
        let way = match ways.entry(receiver) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => match Way::to(spans, receiver) {
                Some(way) => place.insert(way),
                None => return,
            },
        };
        way.add(span);
    });
}

impl Way {
    fn to(spans: &Arc<Spans>, number: u32) -> Option<Self> {
        let receiver = spans.receiver(number)?;
        let (queue, batches) = mpsc::channel(WAITING);
        let sending = tokio::spawn(post::deliver(spans.clone(), receiver, batches));
        Some(Self { spans: spans.clone(), batch: Batch::default(), begun: Instant::now(), queue, sending })
    }

    fn add(&mut self, span: &[u8]) {
        if self.batch.count == 0 {
            self.begun = Instant::now();
        }
        self.batch.add(span);
        if self.batch.is_full() {
            self.send();
        }
    }

    fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let count = batch.count;
        if self.queue.try_send(batch).is_err() {
            self.spans.counts.lost(Lost::QueueFull, count);
        }
    }
}
