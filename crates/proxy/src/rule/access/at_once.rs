//! How many requests of one client are served at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::live::count::ServiceCounts;

/// By client, how many it has. Those that have none are not in it.
#[derive(Debug, Default)]
pub struct AtOnce(Mutex<HashMap<u128, u32>>);

/// One of the requests that a client may have at once. It counts while this lives.
#[derive(Debug)]
pub struct Permit {
    counts: Arc<ServiceCounts>,
    client: u128,
}

impl Permit {
    /// One more request of a client, if it has not too many.
    pub fn take(counts: &Arc<ServiceCounts>, client: u128, most: u32) -> Option<Self> {
        let mut all = counts.memory.at_once.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = all.entry(client).or_insert(0);
        if *has >= most {
            return None;
        }
        *has += 1;
        Some(Self { counts: counts.clone(), client })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut all = self.counts.memory.at_once.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut has) = all.entry(self.client) {
            *has.get_mut() -= 1;
            if *has.get() == 0 {
                has.remove();
            }
        }
    }
}
