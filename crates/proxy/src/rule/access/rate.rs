//! How many requests a client may send: a token bucket for each, as the time at which it will be full again (the generic cell rate
//! algorithm of ITU-T I.371). A client that sent nothing for a while needs no memory, and memory is bounded.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, OnceLock, PoisonError};

use cutover_core::rules::Rate;

/// Locks are taken for one part of the clients.
const PARTS: usize = 16;

/// The most clients of one part that are remembered: 65,536 in all, of 32 bytes or so each.
const MOST: usize = 4096;

/// How often a full part is searched for clients that need no memory any more.
const SWEEP_US: u64 = 1_000_000;

/// All buckets of a service.
#[derive(Debug, Default)]
pub struct Rates {
    parts: OnceLock<Box<[Mutex<Part>; PARTS]>>,
    hasher: RandomState,
}

/// A part of them: by client, when its bucket is full again.
#[derive(Debug, Default)]
struct Part {
    full_at: HashMap<u128, u64>,
    swept: u64,
}

impl Rates {
    /// Takes one request out of a client's bucket, or says how many microseconds are missing.
    pub fn take(&self, rate: &Rate, client: u128, now_us: u64) -> Result<(), u64> {
        let parts = self.parts.get_or_init(Box::default);
        let index = usize::try_from(self.hasher.hash_one(client) % PARTS as u64).unwrap_or(0);
        parts[index].lock().unwrap_or_else(PoisonError::into_inner).take(rate, client, now_us)
    }
}

impl Part {
    fn take(&mut self, rate: &Rate, client: u128, now_us: u64) -> Result<(), u64> {
        let one = rate.micros();
        let known = self.full_at.get(&client).copied();
        let full_at = known.unwrap_or(0).max(now_us).saturating_add(one);
        let most = now_us.saturating_add(one.saturating_mul(rate.burst.into()));
        if full_at > most {
            return Err(full_at - most);
        }
        if known.is_none() && self.full_at.len() >= MOST {
            self.make_room(now_us);
        }
        self.full_at.insert(client, full_at);
        Ok(())
    }

    /// Forgets those whose buckets are full. If all clients are active, one of a few goes: whoever owes least.
    fn make_room(&mut self, now_us: u64) {
        if self.swept.saturating_add(SWEEP_US) <= now_us {
            self.swept = now_us;
            self.full_at.retain(|_, full_at| *full_at > now_us);
        }
        if self.full_at.len() >= MOST
            && let Some(least) =
                self.full_at.iter().take(8).min_by_key(|(_, full_at)| **full_at).map(|(client, _)| *client)
        {
            self.full_at.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { requests: 10, per: Duration::from_secs(1), burst: 3 };

    #[test]
    fn a_bucket_runs_empty_and_fills_again() {
        let rates = Rates::default();
        let take = |client, now| rates.take(&RATE, client, now);
        for _ in 0..3 {
            assert_eq!(take(1, 1_000_000), Ok(()));
        }
        assert_eq!(take(1, 1_000_000), Err(100_000));
        assert_eq!(take(1, 1_050_000), Err(50_000));
        assert_eq!(take(2, 1_050_000), Ok(()), "another client has its own");
        assert_eq!(take(1, 1_100_000), Ok(()));
        assert_eq!(take(1, 1_100_000), Err(100_000), "a refusal costs nothing");
        let steady = (0..1000).filter(|step| take(3, 2_000_000 + step * 10_000).is_ok()).count();
        assert!((100..=103).contains(&steady), "{steady} in ten seconds at ten a second");
    }

    // Seen failing with nothing forgotten.
    #[test]
    fn memory_is_bounded() {
        let mut part = Part::default();
        for client in 0..100_000u128 {
            assert_eq!(part.take(&RATE, client, 5_000_000), Ok(()));
        }
        assert!(part.full_at.len() <= MOST, "{} clients", part.full_at.len());
        assert_eq!(part.take(&RATE, 100_001, 500_000_000), Ok(()));
        assert_eq!(part.full_at.len(), 1, "those that need no memory are forgotten");
    }
}
