//! Runs one check after the other, says how long each took, and stops at the first that fails.

use std::time::{Duration, Instant};

/// What has been run so far.
#[derive(Default)]
pub struct Stages {
    done: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// Runs one.
    pub fn run<T>(&mut self, name: &'static str, check: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        println!("== {name}");
        let begun = Instant::now();
        let outcome = check().map_err(|error| format!("{name}: {error}"))?;
        self.done.push((name, begun.elapsed()));
        Ok(outcome)
    }

    /// All have passed.
    pub fn summary(&self) {
        println!("== all checks passed");
        for (name, took) in &self.done {
            println!("{name:>14}  {:>7.1} s", took.as_secs_f64());
        }
    }
}
