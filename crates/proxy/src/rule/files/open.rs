//! Opening a file beneath its folder. Blocks.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::kind;
use crate::rule::compress::taken;

/// How a file may be encoded beside the file itself: the ending, and the name of the coding.
const CODINGS: [(&str, &str); 3] = [("br", "br"), ("zst", "zstd"), ("gz", "gzip")];

/// The codings that a client accepts, as bits of [`CODINGS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encodings(u8);

/// A file that can be sent.
#[derive(Debug)]
pub struct Found {
    /// It, open.
    pub file: File,
    /// How many bytes it has.
    pub size: u64,
    /// When it was changed.
    pub modified: SystemTime,
    /// Its content type.
    pub kind: &'static str,
    /// How it is encoded.
    pub coding: Option<&'static str>,
    /// Whether another client might get another encoding.
    pub varies: bool,
}

/// Why there is none.
#[derive(Debug)]
pub enum Miss {
    /// There is no such file, or none that may be sent.
    Absent,
    /// It is a folder, and was asked for without a slash.
    Folder,
    /// We may not read it.
    Forbidden,
    /// Something else is wrong.
    Broken(io::Error),
}

impl Encodings {
    /// From the members of `Accept-Encoding`. What is refused with a weight of zero is not accepted.
    pub fn of<'a>(members: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut accepted = 0;
        for name in members.filter_map(taken) {
            if let Some(known) = CODINGS.iter().position(|(_, coding)| name.eq_ignore_ascii_case(coding.as_bytes())) {
                accepted |= 1 << known;
            }
        }
        Self(accepted)
    }

    fn accepts(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }
}

/// Opens a file, or the best of its encodings that is there.
pub fn open(directory: &Path, file: &[u8], folder: bool, encodings: Encodings) -> Result<Found, Miss> {
    // Opened for each request: a folder that is replaced (a symbolic link that moves to the next version) is the new one at once.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty()).map_err(miss)?;
    let index = [file, if file.is_empty() { b"index.html" } else { b"/index.html" }].concat();
    let file = if folder { &index } else { file };
    let found = beneath(&root, file)?;
    let data = found.metadata().map_err(Miss::Broken)?;
    if data.is_dir() {
        return Err(if folder { Miss::Absent } else { Miss::Folder });
    }
    let (kind, varies) = kind::of(file);
    let plain = regular(found, kind, varies, None)?;
    if !varies {
        return Ok(plain);
    }
    let mut codings = CODINGS.iter().enumerate().filter(|(index, _)| encodings.accepts(*index));
    let encoded = codings.find_map(|(_, (ending, coding))| {
        let sibling = beneath(&root, &[file, b".", ending.as_bytes()].concat()).ok()?;
        regular(sibling, kind, varies, Some(coding)).ok()
    });
    Ok(encoded.unwrap_or(plain))
}

fn regular(file: File, kind: &'static str, varies: bool, coding: Option<&'static str>) -> Result<Found, Miss> {
    let data = file.metadata().map_err(Miss::Broken)?;
    if !data.is_file() {
        return Err(Miss::Absent);
    }
    let modified = data.modified().map_err(Miss::Broken)?;
    Ok(Found { size: data.len(), modified, kind, coding, varies, file })
}

/// Opens what lies beneath a folder, by the kernel's own guard: no `..`, no absolute link, no mount trick leads out of it
/// (openat2(2), RESOLVE_BENEATH).
fn beneath(root: &impl std::os::fd::AsFd, file: &[u8]) -> Result<File, Miss> {
    // Without waiting: opening a pipe would.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: something was renamed meanwhile, and the kernel cannot be sure.
    for _ in 0..8 {
        match rustix::fs::openat2(root, file, flags, Mode::empty(), resolve) {
            Ok(file) => return Ok(File::from(file)),
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(miss(error)),
        }
    }
    Err(miss(Errno::AGAIN))
}

fn miss(error: Errno) -> Miss {
    match error {
        // XDEV: it would have led out of the folder.
        Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL | Errno::NXIO => {
            Miss::Absent
        }
        Errno::ACCESS => Miss::Forbidden,
        error => Miss::Broken(error.into()),
    }
}
