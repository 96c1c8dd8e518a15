//! Keeps the end of what a command writes, while it writes.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

const LINES: usize = 20;
const BYTES: usize = 16 << 10;

/// After a command has ended its output is waited for this long. Something that left its group could hold the pipe open for ever.
const REST_WITHIN: Duration = Duration::from_millis(200);

/// What a command writes.
pub struct Output {
    end: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Output {
    /// Begins to read.
    pub fn read(from: PipeReader) -> io::Result<Self> {
        let mut pipe = Receiver::from_owned_fd(OwnedFd::from(from))?;
        let end = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&end);
        let reading = tokio::spawn(async move {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut part).await {
                let mut end = shared.lock().unwrap_or_else(PoisonError::into_inner);
                end.extend_from_slice(&part[..length]);
                let surplus = end.len().saturating_sub(BYTES);
                end.drain(..surplus);
            }
        });
        Ok(Self { end, reading })
    }

    /// The last lines, once the command has ended.
    pub async fn last_lines(mut self) -> Vec<String> {
        // Late is fine: what is there counts.
        let _ = tokio::time::timeout(REST_WITHIN, &mut self.reading).await;
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&end);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].iter().map(ToString::to_string).collect()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
