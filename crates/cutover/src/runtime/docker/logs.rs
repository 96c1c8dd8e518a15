//! What containers wrote, as far as their log driver lets it be read.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use cutover_core::InstanceId;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::DockerRuntime;
use super::start::is_running;
use crate::engine::port::{LogLine, LogStream};

/// The pause before a follower looks again whether its instance is in another container.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl DockerRuntime {
    /// The last lines of an instance, in the order in which the engine saw them; before them, if they are few, those of the attempt
    /// before.
    pub(super) async fn last_lines(&self, instance: &InstanceId, lines: usize) -> Vec<LogLine> {
        let Ok(Some(record)) = self.records.read(instance) else { return Vec::new() };
        let mut last = self.tail(&record.container, lines).await;
        if let Some(previous) = record.previous.filter(|_| last.len() < lines) {
            let mut earlier = self.tail(&previous, lines - last.len()).await;
            earlier.append(&mut last);
            last = earlier;
        }
        last
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

    /// The lines that it writes from now on, in whichever container it is started, until it is forgotten.
    pub(super) fn lines_from_now(&self, instance: &InstanceId) -> BoxStream<'static, LogLine> {
        let told = stream::unfold((self.clone(), instance.clone(), None), |(runtime, instance, last)| async move {
            let (container, tail) = runtime.next_to_follow(&instance, last.as_deref()).await?;
            let lines = runtime.follow_one(&container, tail).await;
            Some((lines, (runtime, instance, Some(container))))
        });
        told.flatten().boxed()
    }

    /// Which container to follow after `last`, and how many of the lines it has written already are to be told. Whoever begins wants
    /// none of them; of a container that is new, all are. `None` when the instance is forgotten.
    async fn next_to_follow(&self, instance: &InstanceId, last: Option<&str>) -> Option<(String, &'static str)> {
        loop {
            let record = self.records.read(instance).ok()??;
            let is_new = last.is_some_and(|last| last != record.container);
            let seen = if record.stopped && last.is_some() && !is_new {
                None
            } else {
                self.look(&record).await.ok().flatten()
            };
            match seen {
                Some(_) if is_new => return Some((record.container, "all")),
                // The same one again: the engine was away meanwhile.
                Some(seen) if last.is_none() || is_running(&seen) => return Some((record.container, "0")),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    async fn follow_one(&self, container: &str, tail: &str) -> BoxStream<'static, LogLine> {
        let Ok(docker) = self.docker().await else { return stream::empty().boxed() };
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true).tail(tail).build();
        let parts = docker.logs(container, Some(options)).boxed();
        let lines = stream::unfold((parts, Split::default()), |(mut parts, mut split)| async move {
            let lines = match parts.next().await {
                Some(Ok(part)) => split.take(part),
                // It ended; what it began to write is told once.
                _ => Some(split.rest()).filter(|rest| !rest.is_empty())?,
            };
            Some((stream::iter(lines), (parts, split)))
        });
        lines.flatten().boxed()
    }
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
}
