//! A file that grows, is set aside when it is large, and is found again when somebody else has moved it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::Target;

/// How often it is looked whether the file is still the one with that name.
const LOOK: Duration = Duration::from_secs(1);

/// How long a file that could not be opened is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// One access log on disk.
#[derive(Debug)]
pub struct LogFile {
    target: Target,
    open: Option<Open>,
    failed: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// Whether it can be set aside: pipes and terminals cannot.
    regular: bool,
    looked: Instant,
}

/// Opens a log for appending; not for others to read. A pipe that nobody reads is refused instead of waited for.
pub fn open(path: &Path) -> io::Result<File> {
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(nonblock);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            options.open(path)?
        }
        opened => opened?,
    };
    if file.metadata()?.file_type().is_fifo() {
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    }
    Ok(file)
}

impl LogFile {
    /// Not opened yet.
    pub fn new(target: Target) -> Self {
        Self { target, open: None, failed: None }
    }

    /// From now on it is set aside as this says.
    pub fn rotates(&mut self, target: &Target) {
        if self.target != *target {
            self.target = target.clone();
        }
    }

    /// It is opened anew for the next line.
    pub fn close(&mut self) {
        self.open = None;
        self.failed = None;
    }

    /// Appends whole lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.open.as_mut().is_some_and(|open| open.was_moved(&self.target.path)) {
            self.open = None;
        }
        let limit = self.target.max_size.0;
        let is_full =
            |open: &Open| open.regular && limit > 0 && open.size > 0 && open.size + lines.len() as u64 > limit;
        if self.opened()?.is_some_and(|open| is_full(open)) {
            self.set_aside();
        }
        let Some(open) = self.opened()? else { return Err(io::Error::other("it could not be opened a moment ago")) };
        // What was written before a failure counts too: a full disk takes some.
        let written = open.file.write_all(lines);
        open.size += lines.len() as u64;
        if written.is_err() {
            self.open = None;
        }
        written
    }

    /// The file, opened if need be; none while that failed a moment ago.
    fn opened(&mut self) -> io::Result<Option<&mut Open>> {
        if self.open.is_none() {
            if self.failed.is_some_and(|at| at.elapsed() < TRY_AGAIN) {
                return Ok(None);
            }
            self.failed = Some(Instant::now());
            let file = open(&self.target.path)?;
            let about = file.metadata()?;
            let (size, regular) = (about.len(), about.is_file());
            self.open = Some(Open { file, size, regular, looked: Instant::now() });
            self.failed = None;
        }
        Ok(self.open.as_mut())
    }

    /// The file becomes `.1`, that one `.2`, and so on; the last is deleted.
    fn set_aside(&mut self) {
        let numbered = |number: u32| {
            let mut name = self.target.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let moved = if self.target.keep == 0 {
            fs::remove_file(&self.target.path)
        } else {
            for number in (1..self.target.keep).rev() {
                // Most are not there yet.
                let _ = fs::rename(numbered(number), numbered(number + 1));
            }
            fs::rename(&self.target.path, numbered(1))
        };
        match (moved, &mut self.open) {
            (Ok(()), _) => self.close(),
            (Err(error), Some(open)) => {
                let path = self.target.path.display();
                tracing::error!(%path, %error, "an access log could not be set aside; it goes on growing");
                // Tried again when it has grown by as much again.
                open.size = 0;
            }
            (Err(_), None) => {}
        }
    }
}

impl Open {
    /// Whether the name leads elsewhere by now: logrotate, or somebody with `mv` or `rm`.
    fn was_moved(&mut self, path: &Path) -> bool {
        if !self.regular || self.looked.elapsed() < LOOK {
            return false;
        }
        self.looked = Instant::now();
        let Ok(ours) = self.file.metadata() else { return false };
        let Ok(named) = fs::metadata(path) else { return true };
        // Truncated in place, it begins anew.
        self.size = self.size.min(named.len());
        (named.dev(), named.ino()) != (ours.dev(), ours.ino())
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::ByteSize;

    use super::*;

    fn contents(folder: &Path) -> Vec<(String, String)> {
        let entry =
            |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(entry).collect();
        files.sort();
        files
    }

    /// Seen to fail with the files renamed from the first on, and with the size not counted.
    #[test]
    fn it_is_set_aside_at_its_size_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/access.log");
        let mut log = LogFile::new(Target { path, max_size: ByteSize(8), keep: 3 });
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "much longer than it may be\n", "six\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        let own = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let found = contents(&dir.path().join("a"));
        let long = "much longer than it may be\n";
        let expected = [("", "six\n"), (".1", long), (".2", "five\n"), (".3", "four\n")];
        assert_eq!(found, expected.map(|(end, text)| own(&format!("access.log{end}"), text)));
    }

    /// Seen to fail with `close` doing nothing.
    #[test]
    fn it_is_opened_anew_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let mut log = LogFile::new(Target { path: path.clone(), max_size: ByteSize(0), keep: 0 });
        log.write(b"one\n").unwrap();
        fs::rename(&path, dir.path().join("old")).unwrap();
        log.close();
        log.write(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        fs::remove_file(&path).unwrap();
        log.open.as_mut().unwrap().looked = Instant::now().checked_sub(LOOK).unwrap();
        log.write(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n", "it was found to be gone");
    }
}
