//! A conversation in which open files can be handed over (`SCM_RIGHTS`, see unix(7)).
//!
//! Each message is its length in four bytes and then JSON; the files travel with its first byte.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// How many files go with one message. The kernel takes up to 253.
pub const FILES: usize = 64;

/// The largest message. A thousand services have counters of less than a tenth of it.
const LARGEST: usize = 64 << 20;

/// One end of it.
#[derive(Debug)]
pub struct Channel(UnixStream);

impl Channel {
    /// Two ends. The second is for another process, where it may be waited for as one likes.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = StdStream::pair()?;
        Ok((Self::of(ours)?, theirs.into()))
    }

    /// An end that was handed to us.
    pub fn of(stream: StdStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream).map(Self)
    }

    /// Says something, and hands over up to [`FILES`] files.
    pub async fn send(&self, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let json = serde_json::to_vec(message)?;
        let length = u32::try_from(json.len()).map_err(|_| io::Error::other("a message is too long"))?;
        let bytes = [length.to_be_bytes().as_slice(), &json].concat();
        let mut sent = 0;
        while sent < bytes.len() {
            let files = if sent == 0 { files } else { &[] };
            sent += self.0.async_io(Interest::WRITABLE, || send_some(&self.0, &bytes[sent..], files)).await?;
        }
        Ok(())
    }

    /// What the other says next, with the files that come with it; `None` if it has hung up.
    pub async fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut files = Vec::new();
        let mut length = [0; 4];
        if !self.fill(&mut length, &mut files).await? {
            return Ok(None);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > LARGEST {
            return Err(io::Error::other("a message is too long"));
        }
        let mut json = vec![0; length];
        if !self.fill(&mut json, &mut files).await? {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&json)?, files)))
    }

    /// Fills the buffer; false if the other hangs up before.
    async fn fill(&self, buffer: &mut [u8], files: &mut Vec<OwnedFd>) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            let some = || receive_some(&self.0, &mut buffer[filled..], files);
            match self.0.async_io(Interest::READABLE, some).await {
                Ok(0) => return Ok(false),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn send_some(stream: &UnixStream, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::other("too many files for one message"));
    }
    Ok(sendmsg(stream.as_fd(), &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

fn receive_some(stream: &UnixStream, buffer: &mut [u8], files: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // Not to be inherited by anything that is started later.
    let received = recvmsg(stream.as_fd(), &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    Ok(received.bytes)
}
