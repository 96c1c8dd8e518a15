//! Listening on unix sockets.
//!
//! The file of one outlives the process that made it, and it cannot be bound while it lies there. So what lies there is looked at first: a
//! socket on which nobody answers is what a dead process has left, and is removed; one on which somebody answers is theirs; and what
//! is no socket was put there by somebody who may want to keep it.
//!
//! **Everybody may connect (mode 0666), as with nginx.** Who stands in front usually runs as a user of its own, and a listener on a loopback
//! address, in whose place this is, is open to all users as well. Who shall not come is kept out by the rights of the folder.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to, connect, listen, socket_with,
};

use super::{BACKLOG, BindError, holder, unix_address};

/// Who may connect.
const MODE: u32 = 0o666;

/// What lies at the path of a socket.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A socket on which nobody answers.
    Stale,
    /// A socket on which somebody does.
    Live,
    /// Something else.
    NoSocket,
}

/// Listens there, in place of what a dead process has left.
pub(super) fn bind(path: &Path) -> Result<UnixListener, BindError> {
    if is_to_be_removed(path)? {
        fs::remove_file(path).map_err(|source| refused(path, source))?;
    }
    begin(path).map_err(|source| refused(path, source))
}

/// Whether a listener can be had there, as far as can be seen without listening.
pub fn is_free(path: &Path) -> Result<(), BindError> {
    is_to_be_removed(path).map(drop)
}

/// Removes a file of ours on which nobody listens any more.
pub(super) fn clear(path: &Path) {
    if matches!(look(path), Ok(Found::Stale))
        && let Err(error) = fs::remove_file(path)
    {
        // The next one to listen there removes it.
        tracing::warn!(path = %path.display(), %error, "a socket that nobody listens on is left");
    }
}

/// Whether something lies there that is nobody's.
fn is_to_be_removed(path: &Path) -> Result<bool, BindError> {
    match look(path).map_err(|source| refused(path, source))? {
        Found::Nothing => match path.parent().filter(|folder| !folder.is_dir()) {
            Some(folder) => {
                Err(BindError::NoFolder { address: unix_address(path), folder: folder.display().to_string() })
            }
            None => Ok(false),
        },
        Found::Stale => Ok(true),
        Found::Live => Err(BindError::Taken { address: unix_address(path), holder: holder::of_path(path) }),
        Found::NoSocket => Err(BindError::NoSocket(unix_address(path))),
    }
}

fn look(path: &Path) -> io::Result<Found> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
        // Asked first, because connecting to a plain file is refused as well. A link is left to whoever made it.
        Ok(data) if !data.file_type().is_socket() => Ok(Found::NoSocket),
        Ok(_) => match connect(&stream()?, &SocketAddrUnix::new(path)?) {
            Err(Errno::CONNREFUSED) => Ok(Found::Stale),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            // Its queue is full, or it is no stream socket: somebody has it either way (connect(2)).
            Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(Found::Live),
            Err(error) => Err(error.into()),
        },
    }
}

/// Whoever connects before there is a queue is refused, so the rights are right from the first moment in which they count.
fn begin(path: &Path) -> io::Result<UnixListener> {
    let socket = stream()?;
    bind_to(&socket, &SocketAddrUnix::new(path)?)?;
    let listening = fs::set_permissions(path, Permissions::from_mode(MODE))
        .and_then(|()| Ok(listen(&socket, i32::try_from(BACKLOG).unwrap_or(i32::MAX))?));
    match listening {
        Ok(()) => Ok(socket.into()),
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

fn stream() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

fn refused(path: &Path, source: io::Error) -> BindError {
    let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
    let note = is_denied.then(|| "the user that runs the proxy must be able to write to the folder".to_owned());
    BindError::Refused { address: unix_address(path), note, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// Seen to fail with what is left not removed, and with the rights left to the mask.
    #[test]
    fn what_a_dead_process_has_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        drop(bind(&path).unwrap());
        assert_eq!(look(&path).unwrap(), Found::Stale);
        let again = bind(&path).unwrap();
        assert_eq!((look(&path).unwrap(), mode(&path)), (Found::Live, 0o666));
        let queued = std::os::unix::net::UnixStream::connect(&path);
        assert!(queued.is_ok() && again.accept().is_ok());
        clear(&path);
        assert_eq!(look(&path).unwrap(), Found::Live, "it is not ours to remove while somebody listens");
        drop(again);
        clear(&path);
        assert_eq!(look(&path).unwrap(), Found::Nothing);
    }

    /// Seen to fail with a socket that is in use taken for a stale one, and with the question left out whether it is a socket.
    #[test]
    fn what_is_somebody_else_s_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let said = |name: &str| bind(&at(name)).unwrap_err().to_string();
        let _theirs = UnixListener::bind(at("theirs")).unwrap();
        let own = format!("process {}, ", std::process::id());
        assert!(said("theirs").contains("another process does already") && said("theirs").contains(&own));
        let _packets = std::os::unix::net::UnixDatagram::bind(at("packets")).unwrap();
        assert!(said("packets").contains("another process does already"));
        fs::write(at("notes"), "keep me").unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
        for name in ["notes", "link", "."] {
            assert!(said(name).contains("what lies there is no socket"), "{}", said(name));
            clear(&at(name));
        }
        assert_eq!(fs::read_to_string(at("notes")).unwrap(), "keep me");
        assert!(fs::symlink_metadata(at("link")).is_ok());
        assert!(said("missing/web.sock").contains("there is no folder"), "{}", said("missing/web.sock"));
    }
}
