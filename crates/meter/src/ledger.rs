//! Every order's id, and whether the server has counted it as often as it should.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// At most this many ids are named for each kind of finding.
const NAMED: usize = 10;

/// The ids that one run of the meter has used. An order costs one bit's worth of knowledge, kept in a byte.
#[derive(Debug)]
pub(crate) struct Book {
    /// Sets this run's ids apart from those of any other in the same ledger.
    run: String,
    /// By number: whether the order was answered well.
    orders: Mutex<Vec<bool>>,
    others: AtomicU64,
}

/// What the ledger says about the orders of one run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LedgerCheck {
    /// Orders sent.
    pub sent: u64,
    /// Different orders of this run that the ledger has.
    pub counted: u64,
    /// Orders that were answered well, but are not in the ledger: lost.
    pub lost: u64,
    /// Orders that are in the ledger more than once: duplicated.
    pub duplicated: u64,
    /// Orders without a good answer that are in the ledger once. Whoever sent these cannot know; that is not wrong.
    pub counted_unanswered: u64,
    /// Ids of this run in the ledger that were never sent.
    pub unknown: u64,
    /// Some of the ids that were lost, duplicated or unknown.
    pub examples: Vec<String>,
}

impl LedgerCheck {
    /// Whether every answered order was counted exactly once and every other at most once.
    pub fn clean(&self) -> bool {
        self.lost + self.duplicated + self.unknown == 0
    }

    fn name(&mut self, what: &str, id: &str) {
        if self.examples.len() < 3 * NAMED {
            self.examples.push(format!("{what} {id}"));
        }
    }
}

impl Book {
    pub(crate) fn new(run: String) -> Self {
        Self { run, orders: Mutex::default(), others: AtomicU64::new(0) }
    }

    /// Begins an order and gives its number.
    pub(crate) fn order(&self) -> usize {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.push(false);
        orders.len() - 1
    }

    /// Notes that an order was answered well.
    pub(crate) fn answered(&self, order: usize) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)[order] = true;
    }

    /// The id of an order, as the ledger will have it.
    pub(crate) fn order_id(&self, order: usize) -> String {
        format!("{}-o{order}", self.run)
    }

    /// An id for what is not an order.
    pub(crate) fn other_id(&self) -> String {
        format!("{}-r{}", self.run, self.others.fetch_add(1, Ordering::Relaxed))
    }

    /// Compares with a ledger: a file of lines that begin with an id and a blank.
    pub(crate) fn check(&self, ledger: &Path) -> io::Result<LedgerCheck> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut check = LedgerCheck { sent: orders.len() as u64, ..LedgerCheck::default() };
        let mut counted = vec![0u8; orders.len()];
        let prefix = format!("{}-o", self.run);
        for line in BufReader::new(File::open(ledger)?).lines() {
            let line = line?;
            let id = line.split(' ').next().unwrap_or_default();
            let Some(number) = id.strip_prefix(&prefix) else {
                continue;
            };
            match number.parse().ok().and_then(|number: usize| counted.get_mut(number)) {
                Some(count) => *count = count.saturating_add(1),
                None => {
                    check.unknown += 1;
                    check.name("unknown", id);
                }
            }
        }
        for (order, (answered, count)) in orders.into_iter().zip(counted).enumerate() {
            self.compare(&mut check, order, answered, count);
        }
        Ok(check)
    }

    fn compare(&self, check: &mut LedgerCheck, order: usize, answered: bool, count: u8) {
        check.counted += u64::from(count > 0);
        match (answered, count) {
            (true, 1) | (false, 0) => {}
            (false, 1) => check.counted_unanswered += 1,
            (true, 0) => {
                check.lost += 1;
                check.name("lost", &self.order_id(order));
            }
            (_, _) => {
                check.duplicated += 1;
                check.name("duplicated", &self.order_id(order));
            }
        }
    }
}
