//! How clients were answered, from nginx's access log: nginx has no other memory of it.
//!
//! Not seen: connections that nginx refused, answers that were cut after their head, how long anything took, and whatever is
//! written to another log. Lines that are left in a log when it is set aside are missed.

mod line;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use cutover_core::{Failure, InstanceId};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::front::Front;
use super::place::Place;

/// A look sooner than this after the one before tells the same.
const PAUSE: Duration = Duration::from_millis(250);

/// How much is read at once, in bytes, and how many such parts in one look.
const PART: usize = 1 << 20;
const PARTS: usize = 8;

/// Tells the number and size of a file, and what stands in it from a position on: up to a part. A file with another number, or one
/// that has shrunk, is read from its beginning; the first time, its last part. It must work with a small shell.
const READ: &str = r#"
[ -f "$1" ] || { echo "it is not a file" >&2; exit 3; }
set -- "$1" "$2" "$3" "$4" $(stat -L -c '%i %s' "$1") || exit 4
from=$3
if [ "$2" = new ]; then from=$(($6 > $4 ? $6 - $4 : 0)); elif [ "$5" != "$2" ] || [ "$6" -lt "$3" ]; then from=0; fi
echo "$5 $from"
tail -c "+$((from + 1))" "$1" | head -c "$4"
"#;

/// An access log, and what was read in it.
#[derive(Default)]
pub(super) struct Log {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    looked: Option<Instant>,
    /// The file's number, and how far it was read.
    read: Option<(String, u64)>,
    /// Who served alone at the last look.
    alone: Option<InstanceId>,
    answered: BTreeMap<InstanceId, Answered>,
}

/// How many answers somebody gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) served: u64,
    pub(super) errors: u64,
}

/// Who may have given an answer.
pub(super) struct Who {
    /// By address, as nginx knows them.
    pub(super) addresses: BTreeMap<SocketAddr, InstanceId>,
    /// One of those that serve, if all of them are of one release: whoever is not named otherwise.
    pub(super) alone: Option<InstanceId>,
}

/// A part of the file.
struct Part<'a> {
    number: &'a str,
    from: u64,
    text: &'a [u8],
}

impl Front {
    /// Whether the access log can be read.
    pub(super) async fn check_log(&self) -> Result<(), Failure> {
        match &self.route.access_log {
            Some(file) => read(self.place.as_ref(), file, None).await.map(drop),
            None => Ok(()),
        }
    }

    /// What is known of each so far. A log that cannot be read at the moment adds nothing.
    pub(super) async fn answered(&self, who: &Who) -> BTreeMap<InstanceId, Answered> {
        let Some(file) = &self.route.access_log else { return BTreeMap::new() };
        let mut inner = self.log.inner.lock().await;
        if inner.looked.is_none_or(|looked| looked.elapsed() >= PAUSE) {
            if let Err(failure) = inner.follow(self.place.as_ref(), file, who).await {
                tracing::warn!("{}", failure.summary);
            }
            inner.looked = Some(Instant::now());
            inner.alone.clone_from(&who.alone);
        }
        inner.answered.clone()
    }
}

impl Inner {
    async fn follow(&mut self, place: &dyn Place, file: &Path, who: &Who) -> Result<(), Failure> {
        for _ in 0..PARTS {
            let said = read(place, file, self.read.as_ref()).await?;
            let part =
                part(&said).ok_or_else(|| Failure::new(format!("cannot read {} {}", file.display(), place.name())))?;
            let first = self.read.is_none();
            let whole = part.text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            self.take(&part.text[..whole], who, first && part.from > 0);
            self.read = Some((part.number.to_owned(), part.from + whole as u64));
            if part.text.len() < PART || whole == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Counts the lines. The first of a part that begins in the middle is none.
    fn take(&mut self, lines: &[u8], who: &Who, cut: bool) {
        let text = String::from_utf8_lossy(lines);
        for answer in text.lines().skip(usize::from(cut)).filter_map(line::read) {
            // Who serves now may not have served when the line was written.
            let by = match answer.by {
                Some(address) => who.addresses.get(&address),
                None => self.alone.as_ref(),
            };
            if let Some(by) = by {
                let answered = self.answered.entry(by.clone()).or_default();
                answered.served += 1;
                answered.errors += u64::from(answer.status >= 500);
            }
        }
    }
}

async fn read(place: &dyn Place, file: &Path, known: Option<&(String, u64)>) -> Result<Vec<u8>, Failure> {
    let (number, from) = known.map_or(("new".to_owned(), 0), Clone::clone);
    let words =
        ["sh", "-c", READ, "cutover", &file.display().to_string(), &number, &from.to_string(), &PART.to_string()];
    let output = place.run(&words.map(str::to_owned)).await.map_err(Failure::from)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let failure =
        Failure::new(format!("cannot read nginx's access log {} {}: {}", file.display(), place.name(), output.said()));
    Err(failure.hint("it must be a file that may be read there; without `access_log` nothing is compared"))
}

fn part(said: &[u8]) -> Option<Part<'_>> {
    let end = said.iter().position(|byte| *byte == b'\n')?;
    let (number, from) = std::str::from_utf8(&said[..end]).ok()?.split_once(' ')?;
    Some(Part { number, from: from.parse().ok()?, text: &said[end + 1..] })
}

#[cfg(test)]
mod tests;
