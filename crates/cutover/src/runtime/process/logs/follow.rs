//! Follows what an instance writes, also while its logs are turned over.
//!
//! The file is looked at a few times a second. That it was turned over shows in the copy that appears beside it: another
//! file bears the name `.1`. Then what was not read yet is read from there. Of a log that keeps no copies, what was written
//! since the last look is lost at that moment.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LONGEST_LINE, file, last_before, readable};
use crate::engine::port::{LogLine, LogStream};
use crate::runtime::process::layout::InstanceDir;
use crate::runtime::process::record::Record;
use crate::supervise::old_log;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// At most this much is read of a stream in one go.
const AT_ONCE: u64 = 1 << 20;

/// Tells the lines of an instance as they come.
#[derive(Debug)]
pub struct Follower {
    dir: InstanceDir,
    streams: [Tail; 2],
    lines: VecDeque<LogLine>,
}

#[derive(Debug)]
struct Tail {
    stream: LogStream,
    log: PathBuf,
    offset: u64,
    /// Which file was the last copy.
    copy: Option<CopyId>,
    /// The part of a copy that was not read yet.
    rest_of_copy: Option<File>,
    /// The log was found shorter than what was read of it, and no new copy beside it.
    cut: bool,
    /// A line that is not complete.
    begun: Vec<u8>,
}

/// The number of a file is used again; with the time of its last change it tells copies apart.
type CopyId = (u64, i64, i64);

impl Follower {
    /// Begins with the last lines.
    pub(crate) fn new(dir: InstanceDir, lines: usize) -> Self {
        let streams = LogStream::ALL.map(|stream| Tail::new(stream, file(stream, &dir)));
        let lines = last_before(&dir, lines, streams.each_ref().map(|tail| tail.offset));
        Self { dir, streams, lines: lines.into() }
    }

    /// The next line; `None` once the instance does not run and all it wrote was told.
    pub async fn next(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            // In this order: what it wrote before it ended is there when we look.
            let runs = Record::read(&self.dir).ok().flatten().is_some_and(|record| record.main_lives());
            let Self { streams, lines, .. } = self;
            streams.iter_mut().for_each(|tail| tail.read(lines));
            if self.lines.is_empty() && !self.streams.iter().any(Tail::has_more) {
                if !runs {
                    return self.streams.iter_mut().find_map(Tail::rest);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

impl Tail {
    fn new(stream: LogStream, log: PathBuf) -> Self {
        let offset = std::fs::metadata(&log).map_or(0, |log| log.len());
        Self { stream, copy: copy_of(&log), log, offset, rest_of_copy: None, cut: false, begun: Vec::new() }
    }

    fn has_more(&self) -> bool {
        self.rest_of_copy.is_some()
    }

    /// A log that cannot be read now is looked at again.
    fn read(&mut self, lines: &mut VecDeque<LogLine>) {
        self.notice_turn_over();
        if let Some(copy) = &mut self.rest_of_copy {
            match copy.take(AT_ONCE).read_to_end(&mut self.begun) {
                Ok(0) | Err(_) => self.rest_of_copy = None,
                Ok(_) => {}
            }
        } else if !self.cut {
            let _ = self.read_log();
        }
        self.take_lines(lines);
    }

    fn notice_turn_over(&mut self) {
        // For a moment there is none: the last one has been renamed already.
        if let Some(copy) = copy_of(&self.log).filter(|copy| Some(*copy) != self.copy) {
            // It holds all that the log held, from its beginning.
            self.rest_of_copy = open_at(&old_log(&self.log, 1), self.offset).ok();
            self.copy = Some(copy);
            self.offset = 0;
            self.cut = false;
        } else if std::fs::metadata(&self.log).is_ok_and(|log| log.len() < self.offset) {
            // The copy gets its name in the next moment. If there is none at the next look, none is kept.
            if self.cut {
                self.offset = 0;
            }
            self.cut = !self.cut;
        }
    }

    fn read_log(&mut self) -> io::Result<()> {
        let read = open_at(&self.log, self.offset)?.take(AT_ONCE).read_to_end(&mut self.begun)?;
        self.offset += read as u64;
        Ok(())
    }

    fn take_lines(&mut self, lines: &mut VecDeque<LogLine>) {
        let mut taken = 0;
        while let Some(length) = complete(&self.begun[taken..]) {
            lines.push_back(self.line(&self.begun[taken..taken + length]));
            taken += length;
        }
        self.begun.drain(..taken);
    }

    /// What it wrote last, without an end.
    fn rest(&mut self) -> Option<LogLine> {
        let rest = std::mem::take(&mut self.begun);
        (!rest.is_empty()).then(|| self.line(&rest))
    }

    fn line(&self, line: &[u8]) -> LogLine {
        LogLine { stream: self.stream, text: readable(line.strip_suffix(b"\n").unwrap_or(line)) }
    }
}

/// The length of the first line that is complete, or too long to wait for its end.
fn complete(text: &[u8]) -> Option<usize> {
    let end = text.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n').map(|at| at + 1);
    end.or_else(|| (text.len() >= LONGEST_LINE).then_some(LONGEST_LINE))
}

fn open_at(path: &Path, offset: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

fn copy_of(log: &Path) -> Option<CopyId> {
    let copy = std::fs::metadata(old_log(log, 1)).ok()?;
    Some((copy.ino(), copy.mtime(), copy.mtime_nsec()))
}
