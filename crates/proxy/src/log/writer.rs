//! The thread that writes.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use rtrb::Consumer;

use super::Logs;
use super::file::LogFile;
use crate::live::process::ProcessCounts;
use crate::ring;
use crate::worker::Shared;

/// How long it sleeps between two looks while there is something to write: what comes meanwhile is written at once.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it complains.
const COMPLAINT: Duration = Duration::from_secs(10);

/// Starts it. It ends when the logs are told to quit and everything is written.
pub fn start(shared: Arc<Shared>) -> io::Result<()> {
    let logs = shared.live.logs().clone();
    let rings = logs.rings.ends();
    let thread = std::thread::Builder::new().name("access-log".to_owned());
    thread.spawn(move || {
        let _ = logs.writer.set(std::thread::current());
        let files = HashMap::new();
        Writer { logs: logs.clone(), shared, files, complained: None, dropped: 0 }.run(rings);
        logs.finished.store(true, SeqCst);
    })?;
    Ok(())
}

struct Writer {
    logs: Arc<Logs>,
    shared: Arc<Shared>,
    files: HashMap<u32, LogFile>,
    complained: Option<Instant>,
    dropped: u64,
}

impl Writer {
    fn run(mut self, mut rings: Vec<Consumer<u8>>) {
        loop {
            let quit = self.logs.quit.load(SeqCst);
            if self.logs.reopen.swap(false, SeqCst) {
                self.files.values_mut().for_each(LogFile::close);
            }
            let written = self.drain(&mut rings);
            self.complain();
            if quit {
                return;
            }
            if written {
                std::thread::sleep(PAUSE);
                continue;
            }
            // A line that came before the flag fell is seen here; one that comes after it wakes this thread.
            self.logs.awake.store(false, SeqCst);
            let idle = rings.iter().all(Consumer::is_empty);
            if idle && !self.logs.quit.load(SeqCst) && !self.logs.reopen.load(SeqCst) {
                std::thread::park();
            }
        }
    }

    /// Writes what is in the rings; whether there was anything.
    fn drain(&mut self, rings: &mut [Consumer<u8>]) -> bool {
        let mut batches: HashMap<u32, Vec<u8>> = HashMap::new();
        ring::take(rings, |file, line| batches.entry(file).or_default().extend_from_slice(line));
        let any = !batches.is_empty();
        for (number, batch) in batches {
            let Some(target) = self.logs.target(number) else { continue };
            let file = self.files.entry(number).or_insert_with(|| LogFile::new(target.clone()));
            file.rotates(&target);
            if let Err(error) = file.write(&batch) {
                let lines = memchr::memchr_iter(b'\n', &batch).count();
                (0..lines).for_each(|_| self.shared.counts[0].unlogged());
                if self.may_complain() {
                    tracing::error!(path = %target.path.display(), %error, lines, "cannot write to an access log");
                }
            }
        }
        any
    }

    fn complain(&mut self) {
        let dropped = ProcessCounts::totals(&self.shared.counts).unlogged;
        if dropped > self.dropped && self.may_complain() {
            let lines = dropped - self.dropped;
            tracing::warn!(lines, "lines of access logs were dropped: they cannot be written as fast as they come");
            self.dropped = dropped;
        }
    }

    fn may_complain(&mut self) -> bool {
        let due = self.complained.is_none_or(|at| at.elapsed() >= COMPLAINT);
        if due {
            self.complained = Some(Instant::now());
        }
        due
    }
}
