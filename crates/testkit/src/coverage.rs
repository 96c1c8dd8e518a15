//! What has occurred in a run, so that one sees that the simulation reaches everything.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    counts: BTreeMap<String, u64>,
    /// Requests that were answered.
    pub served: u64,
    /// Requests that waited because all instances were down.
    pub held: u64,
    /// Requests that were lost because the simulation killed their instance or the router.
    pub excused: u64,
    /// Requests and streams that were cut after their limit had passed.
    pub cut: u64,
}

impl Coverage {
    /// Counts one occurrence.
    pub fn count(&mut self, what: &str) {
        if let Some(count) = self.counts.get_mut(what) {
            *count += 1;
        } else {
            self.counts.insert(what.to_owned(), 1);
        }
    }

    /// How often it occurred.
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
        self.served += other.served;
        self.held += other.held;
        self.excused += other.excused;
        self.cut += other.cut;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  requests served", self.served)?;
        writeln!(f, "{:>10}  requests held", self.held)?;
        writeln!(f, "{:>10}  requests lost to injected deaths", self.excused)?;
        writeln!(f, "{:>10}  requests and streams cut at their limit", self.cut)?;
        self.counts.iter().try_for_each(|(what, count)| writeln!(f, "{count:>10}  {what}"))
    }
}
