//! Sending a file, or saying why not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cutover_core::rules::Missing;
use httpdate::fmt_http_date;
use tokio::io::AsyncWriteExt;

use super::condition::Sent;
use super::{Found, Miss, Wanted, open};
use crate::live::service::LiveService;
use crate::rule::act::{Manners, answer, finish, refuse};
use crate::serve::connection::{Client, Next, guarded};
use crate::serve::refuse::{Refusal, reason};

/// How much is read at once.
const PIECE: usize = 128 << 10;

/// How long a client may take nothing.
const STALL: Duration = Duration::from_secs(60);

/// Sends what is wanted; none if the service is to be asked instead.
pub async fn send(client: &mut Client, service: &LiveService, wanted: Wanted, manners: Manners) -> Option<Next> {
    if !wanted.asked.reads {
        return Some(refuse(client, service, Refusal::not_a_reading_method(), manners).await);
    }
    let wanted = Arc::new(wanted);
    match look(wanted.clone()).await {
        Ok(found) => Some(send_found(client, service, &wanted, found, manners).await),
        Err(Miss::Folder) => Some(to_folder(client, service, &wanted, manners).await),
        Err(Miss::Absent) if wanted.files.missing == Missing::Pass => None,
        Err(miss) => {
            let refusal = match miss {
                Miss::Forbidden => Refusal::file_unreadable(),
                Miss::Broken(error) => {
                    let directory = wanted.files.directory.display();
                    tracing::error!(%directory, %error, "a file cannot be sent");
                    Refusal::file_broken()
                }
                Miss::Absent | Miss::Folder => Refusal::no_such_file(),
            };
            Some(refuse(client, service, refusal, manners).await)
        }
    }
}

/// Opens it, off the event loop.
async fn look(wanted: Arc<Wanted>) -> Result<Found, Miss> {
    let opening = tokio::task::spawn_blocking(move || {
        let Wanted { files, file, folder, encodings, .. } = &*wanted;
        let found = match file {
            Some(file) => open(&files.directory, file, *folder, *encodings),
            None => Err(Miss::Absent),
        };
        match found {
            Err(Miss::Absent) if files.missing == Missing::Index => open(&files.directory, b"", true, *encodings),
            found => found,
        }
    });
    opening.await.unwrap_or_else(|error| Err(Miss::Broken(io::Error::other(error))))
}

async fn send_found(
    client: &mut Client,
    service: &LiveService,
    wanted: &Wanted,
    found: Found,
    manners: Manners,
) -> Next {
    let tag = tag(&found);
    let sent = wanted.asked.answer(&tag, found.modified, found.size);
    let (status, start, length) = match sent {
        Sent::Whole => (200, 0, found.size),
        Sent::Part { start, length } => (206, start, length),
        Sent::NotModified => (304, 0, 0),
        Sent::Failed => (412, 0, 0),
        Sent::NoSuchPart => (416, 0, 0),
    };
    service.counts.shard(client.worker.index).served();
    let mut head = head(wanted, &found, &tag, sent, status, length);
    let keep = finish(client, service, &mut head, manners);
    if length == 0 || manners.bodiless {
        return client.answer(&head, keep).await;
    }
    client.record.says(&head);
    match body(client, head, found.file, start, length).await {
        Some(()) if keep => Next::Keep,
        Some(()) => Next::Close,
        None => Next::Drop,
    }
}

/// Changes with every change of the file, and from one encoding to the next.
fn tag(found: &Found) -> String {
    let since = found.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let coding = found.coding.map(|coding| format!("-{coding}")).unwrap_or_default();
    format!("\"{:x}-{:x}{coding}\"", since.as_nanos(), found.size)
}

fn head(wanted: &Wanted, found: &Found, tag: &str, sent: Sent, status: u16, length: u64) -> Vec<u8> {
    let Found { size, kind, .. } = found;
    let mut head = format!("HTTP/1.1 {status} {}\r\nDate: {}\r\n", reason(status), fmt_http_date(SystemTime::now()));
    if matches!(sent, Sent::Whole | Sent::Part { .. }) {
        head += &format!("Content-Type: {kind}\r\n");
        if let Some(coding) = found.coding {
            head += &format!("Content-Encoding: {coding}\r\n");
        }
    }
    match sent {
        // There is no body to say the length of (RFC 9110, 15.4.5).
        Sent::NotModified => {}
        _ => head += &format!("Content-Length: {length}\r\n"),
    }
    match sent {
        Sent::Part { start, length } => {
            head += &format!("Content-Range: bytes {start}-{}/{size}\r\n", start + length - 1)
        }
        Sent::NoSuchPart => head += &format!("Content-Range: bytes */{size}\r\n"),
        _ => {}
    }
    head += &format!("Accept-Ranges: bytes\r\nETag: {tag}\r\nLast-Modified: {}\r\n", fmt_http_date(found.modified));
    if let Some(cache) = wanted.files.cache_control.as_ref().filter(|_| status < 400) {
        head += &format!("Cache-Control: {cache}\r\n");
    }
    if found.varies {
        head += "Vary: Accept-Encoding\r\n";
    }
    (head + "\r\n").into_bytes()
}

/// Sends the head and a part of the file. None if not all of it was: the client must not take it for whole.
async fn body(client: &mut Client, head: Vec<u8>, file: File, start: u64, length: u64) -> Option<()> {
    let (mut file, mut piece, mut at, end) = (file, head, start, start + length);
    loop {
        // The first piece goes out with the head.
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE);
        let reading = tokio::task::spawn_blocking(move || {
            let from = piece.len();
            piece.resize(from + wanted, 0);
            let read = file.read_at(&mut piece[from..], at);
            if let Ok(count) = &read {
                piece.truncate(from + count);
            }
            (file, piece, read)
        });
        let (same, mut read_piece, read) = reading.await.ok()?;
        let Some(count) = read.ok().filter(|count| *count > 0) else {
            client.record.reason.set(Some("cut"));
            return None;
        };
        write(client, &read_piece).await?;
        at += count as u64;
        if at == end {
            return Some(());
        }
        read_piece.clear();
        (file, piece) = (same, read_piece);
    }
}

/// Writes as the client takes it; it may be slow, but must not stop.
async fn write(client: &mut Client, mut bytes: &[u8]) -> Option<()> {
    while !bytes.is_empty() {
        client.slot.within(client.worker.shared.now_ms(), STALL);
        match guarded(&client.slot, client.stream.write(bytes)).await {
            Ok(Ok(count)) if count > 0 => {
                client.record.wrote(count);
                bytes = &bytes[count..];
            }
            _ => return None,
        }
    }
    Some(())
}

/// A folder is asked for with a slash, so that what its page names relatively lies below it.
async fn to_folder(client: &mut Client, service: &LiveService, wanted: &Wanted, manners: Manners) -> Next {
    let at = memchr::memchr(b'?', &wanted.target).unwrap_or(wanted.target.len());
    let (path, query) = wanted.target.split_at(at);
    // Two slashes at the beginning would make a host of the first name.
    let slashes = path.iter().take_while(|&&b| b == b'/').count();
    let head = [
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: /",
        &path[slashes..],
        b"/",
        query,
        b"\r\nContent-Length: 0\r\n\r\n",
    ];
    service.counts.shard(client.worker.index).served();
    answer(client, service, head.concat(), manners).await
}
