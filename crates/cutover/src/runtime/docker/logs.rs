//! What containers wrote, as far as their log driver lets it be read.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use cutover_core::InstanceId;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::DockerRuntime;
use super::record::Record;
use super::start::is_running;
use crate::engine::port::{LogLine, LogStream};

/// How many of the last lines are compared, to see whether a follower was told all.
const COMPARED: usize = 50;

/// The pause before a follower looks again whether its instance is in another container.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl DockerRuntime {
    /// The last lines of an instance, in the order in which the engine saw them; before them, if they are few, those of the attempt
    /// before.
    pub(super) async fn last_lines(&self, instance: &InstanceId, lines: usize) -> Vec<LogLine> {
        let Ok(Some(record)) = self.records.read(instance) else { return Vec::new() };
        let last = self.tail(&record.container, lines).await;
        let mut all = self.earlier(&record, lines.saturating_sub(last.len())).await;
        all.extend(last);
        all
    }

    /// The last lines of the attempt before.
    async fn earlier(&self, record: &Record, lines: usize) -> Vec<LogLine> {
        match &record.previous {
            Some(previous) if lines > 0 => self.tail(previous, lines).await,
            _ => Vec::new(),
        }
    }

    async fn tail(&self, container: &str, lines: usize) -> Vec<LogLine> {
        let Ok(docker) = self.docker().await else { return Vec::new() };
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let parts = docker.logs(container, Some(options));
        let mut split = Split::default();
        let mut told: Vec<LogLine> = Vec::new();
        let mut parts = std::pin::pin!(parts);
        while let Some(Ok(part)) = parts.next().await {
            told.extend(split.take(part));
        }
        told.extend(split.rest());
        told.split_off(told.len().saturating_sub(lines))
    }

    /// The last lines of an instance and those that come, in whichever container it is started, until it is forgotten.
    pub(super) fn follow_all(&self, instance: &InstanceId, lines: usize) -> BoxStream<'static, LogLine> {
        let told =
            stream::unfold((self.clone(), instance.clone(), None), move |(runtime, instance, last)| async move {
                let (record, tail) = runtime.next_to_follow(&instance, last.as_deref(), lines).await?;
                let mut earlier = Vec::new();
                if last.is_none() {
                    // Those of this one are told with what follows.
                    let own = runtime.tail(&record.container, lines).await.len();
                    earlier = runtime.earlier(&record, lines.saturating_sub(own)).await;
                }
                let lines = stream::iter(earlier).chain(runtime.follow_one(&record.container, &tail).await);
                Some((lines, (runtime, instance, Some(record.container))))
            });
        told.flatten().boxed()
    }

    /// Which container to follow after `last`, and how many of the lines it has written already are to be told: of one that is new, all.
    /// `None` when the instance is forgotten.
    async fn next_to_follow(
        &self,
        instance: &InstanceId,
        last: Option<&str>,
        lines: usize,
    ) -> Option<(Record, String)> {
        loop {
            let record = self.records.read(instance).ok()??;
            let is_new = last.is_some_and(|last| last != record.container);
            let seen = if record.stopped && last.is_some() && !is_new {
                None
            } else {
                self.look(&record).await.ok().flatten()
            };
            match seen {
                Some(_) if last.is_none() => return Some((record, lines.to_string())),
                Some(_) if is_new => return Some((record, "all".to_owned())),
                // The same one again: the engine was away meanwhile.
                Some(seen) if is_running(&seen) => return Some((record, "0".to_owned())),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    async fn follow_one(&self, container: &str, tail: &str) -> BoxStream<'static, LogLine> {
        let Ok(docker) = self.docker().await else { return stream::empty().boxed() };
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true).tail(tail).build();
        let parts = docker.logs(container, Some(options)).boxed();
        let whose = (self.clone(), container.to_owned());
        let begun = Some((parts, Split::default(), Vec::new()));
        let lines = stream::unfold((whose, begun), |(whose, state)| async move {
            let (mut parts, mut split, mut told) = state?;
            if let Some(Ok(part)) = parts.next().await {
                let lines = split.take(part);
                told.extend_from_slice(&lines);
                told.drain(..told.len().saturating_sub(COMPARED));
                return Some((stream::iter(lines), (whose, Some((parts, split, told)))));
            }
            // It ended. What it began to write is told once, and what some engines keep from a follower (moby issue 43860).
            let mut lines = split.rest();
            told.extend_from_slice(&lines);
            let (runtime, container) = &whose;
            lines.extend(missed(&told, runtime.tail(container, COMPARED).await));
            Some((stream::iter(lines), (whose, None)))
        });
        lines.flatten().boxed()
    }
}

/// What was written after the lines that were told, if these are found among the last that were written.
fn missed(told: &[LogLine], mut written: Vec<LogLine>) -> Vec<LogLine> {
    let ends_as_told = |known: &[LogLine]| {
        let mut pairs = known.iter().rev().zip(told.iter().rev()).peekable();
        pairs.peek().is_some() && pairs.all(|(one, other)| one == other)
    };
    let known = (1..=written.len()).rev().find(|known| ends_as_told(&written[..*known]));
    written.split_off(known.unwrap_or(written.len()))
}

/// Cuts what comes into lines, one beginning for each stream.
#[derive(Default)]
struct Split {
    begun: [Vec<u8>; 2],
}

impl Split {
    fn take(&mut self, part: LogOutput) -> Vec<LogLine> {
        let (stream, bytes) = match part {
            LogOutput::StdErr { message } => (LogStream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                (LogStream::Stdout, message)
            }
        };
        let begun = &mut self.begun[usize::from(stream == LogStream::Stderr)];
        begun.extend_from_slice(&bytes);
        let mut lines = Vec::new();
        while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = begun.drain(..=end).collect();
            lines.push(line_of(stream, &line));
        }
        lines
    }

    fn rest(&mut self) -> Vec<LogLine> {
        let of = |(stream, begun): (LogStream, &mut Vec<u8>)| {
            let rest = std::mem::take(begun);
            (!rest.is_empty()).then(|| line_of(stream, &rest))
        };
        LogStream::ALL.into_iter().zip(&mut self.begun).filter_map(of).collect()
    }
}

fn line_of(stream: LogStream, line: &[u8]) -> LogLine {
    let text = String::from_utf8_lossy(line);
    LogLine { stream, text: text.trim_end_matches(['\n', '\r']).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_lines() {
        let mut split = Split::default();
        let out = |text: &'static str| LogOutput::StdOut { message: text.into() };
        let err = |text: &'static str| LogOutput::StdErr { message: text.into() };
        let texts = |lines: Vec<LogLine>| lines.into_iter().map(|line| line.text).collect::<Vec<_>>();
        assert_eq!(texts(split.take(out("one\r\ntw"))), ["one"]);
        assert_eq!(texts(split.take(err("three\n"))), ["three"]);
        assert_eq!(texts(split.take(out("o\nfour"))), ["two"]);
        assert_eq!(texts(split.rest()), ["four"]);
    }

    /// Seen to fail with nothing looked up.
    #[test]
    fn what_a_follower_missed_is_told_once() {
        let lines = |texts: &str| {
            texts.chars().map(|text| LogLine { stream: LogStream::Stdout, text: text.to_string() }).collect::<Vec<_>>()
        };
        for (told, written, missed_ones) in [
            ("b", "abc", "c"),
            ("ab", "abcd", "cd"),
            ("xyzab", "ab", ""),
            ("xyzab", "abc", "c"),
            ("aa", "aaa", ""),
            ("", "abc", ""),
            ("ab", "xy", ""),
            ("ab", "", ""),
        ] {
            assert_eq!(missed(&lines(told), lines(written)), lines(missed_ones), "{told} of {written}");
        }
    }
}
