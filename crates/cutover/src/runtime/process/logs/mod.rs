//! What instances wrote. They write to the files themselves, so that a line has no time and no place among the lines of
//! the other stream.

mod follow;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub use self::follow::Follower;
use super::layout::InstanceDir;
use crate::engine::port::{LogLine, LogStream};
use crate::supervise::old_log;

/// At most this much is read back of each stream.
const READ_BACK: u64 = 1 << 20;

/// A longer line is told in parts.
const LONGEST_LINE: usize = 16 << 10;

fn file(stream: LogStream, dir: &InstanceDir) -> PathBuf {
    match stream {
        LogStream::Stdout => dir.stdout(),
        LogStream::Stderr => dir.stderr(),
    }
}

/// The last lines of both streams together: a half of each, and more of one where the other has less. The standard error
/// comes last, for that is where a program says why it ends.
pub fn last(dir: &InstanceDir, lines: usize) -> Vec<LogLine> {
    last_before(dir, lines, [u64::MAX; 2])
}

/// The same of what lies before these ends of the files that are written to.
fn last_before(dir: &InstanceDir, lines: usize, [out, err]: [u64; 2]) -> Vec<LogLine> {
    let out = last_of(dir, LogStream::Stdout, lines, out);
    let err = last_of(dir, LogStream::Stderr, lines, err);
    let of_err = err.len().min(lines.div_ceil(2).max(lines.saturating_sub(out.len())));
    let of_out = out.len().min(lines - of_err);
    [&out[out.len() - of_out..], &err[err.len() - of_err..]].concat()
}

fn last_of(dir: &InstanceDir, stream: LogStream, lines: usize, end: u64) -> Vec<LogLine> {
    let log = file(stream, dir);
    let mut text = Vec::new();
    // Newest first, each in front of what is there already.
    for (path, end) in std::iter::once((log.clone(), end)).chain((1..).map(|age| (old_log(&log, age), u64::MAX))) {
        let room = READ_BACK.saturating_sub(text.len() as u64);
        let Some(part) = end_of(&path, end, room) else { break };
        text.splice(0..0, part);
        if room == 0 || text.iter().filter(|byte| **byte == b'\n').count() > lines {
            break;
        }
    }
    let all: Vec<LogLine> = split(&text).map(|text| LogLine { stream, text }).collect();
    all[all.len().saturating_sub(lines)..].to_vec()
}

fn end_of(path: &Path, end: u64, most: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len().min(end);
    let begin = size.saturating_sub(most);
    file.seek(SeekFrom::Start(begin)).ok()?;
    let mut part = Vec::new();
    file.take(size - begin).read_to_end(&mut part).ok()?;
    Some(part)
}

fn split(text: &[u8]) -> impl Iterator<Item = String> {
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n');
    let lines = lines.filter(|_| !text.is_empty());
    lines.flat_map(|line| if line.is_empty() { vec![line] } else { line.chunks(LONGEST_LINE).collect() }).map(readable)
}

fn readable(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::process::layout::Layout;

    fn written(out: &str, err: &str) -> (tempfile::TempDir, InstanceDir) {
        let state = tempfile::tempdir().unwrap();
        let dir = Layout::new(state.path()).instance(&"web.r1.i1".parse().unwrap());
        dir.create().unwrap();
        std::fs::write(dir.stdout(), out).unwrap();
        std::fs::write(dir.stderr(), err).unwrap();
        (state, dir)
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn each_stream_has_a_half_and_more_where_the_other_has_less() {
        let (_state, dir) = written("a\nb\nc\nd\n", "x\ny\nz");
        assert_eq!(texts(&last(&dir, 4)), ["c", "d", "y", "z"]);
        assert_eq!(texts(&last(&dir, 6)), ["b", "c", "d", "x", "y", "z"]);
        assert_eq!(texts(&last(&dir, 1)), ["z"]);
        assert_eq!(last(&dir, 100).len(), 7);
        let (_state, dir) = written("a\nb\n", "");
        assert_eq!(texts(&last(&dir, 2)), ["a", "b"]);
        assert!(last(&dir, 0).is_empty());
        let (_state, dir) = written("a\nb\nc\n", "x\ny\n");
        assert_eq!(texts(&last_before(&dir, 9, [4, 0])), ["a", "b"], "what comes after is told by others");
    }

    #[test]
    fn lines_are_found_also_in_what_was_set_aside() {
        let (_state, dir) = written("3\n", "");
        std::fs::write(old_log(&dir.stdout(), 1), "2\n").unwrap();
        std::fs::write(old_log(&dir.stdout(), 2), "0\n1\n").unwrap();
        assert_eq!(texts(&last(&dir, 3)), ["1", "2", "3"]);
    }

    #[test]
    fn a_line_without_end_is_told_in_parts() {
        let (_state, dir) = written(&"x".repeat(LONGEST_LINE + 1), "\u{fffd}\r\n");
        assert_eq!(last(&dir, 9).iter().map(|line| line.text.len()).collect::<Vec<_>>(), [LONGEST_LINE, 1, 3]);
    }
}
