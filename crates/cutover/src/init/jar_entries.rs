//! The names of the files in a jar, from the directory at the end of the ZIP file (APPNOTE 4.3.12 and 4.3.16).
//!
//! Deliberately absent: unpacking, and ZIP64; a jar with more than 65535 files is not looked into.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The end record is 22 bytes, and a comment of up to 64 KiB may follow it.
const END_SEARCHED: u64 = 22 + 65_535;
/// A larger directory is not looked into.
const DIRECTORY_LIMIT: u64 = 32 << 20;

/// The names of the files in a jar; `None` if it is not one.
pub(super) fn names(jar: &Path) -> Option<Vec<String>> {
    let mut file = File::open(jar).ok()?;
    let length = file.metadata().ok()?.len();
    let searched = length.min(END_SEARCHED);
    let tail = read_at(&mut file, length - searched, searched)?;
    let end = tail.windows(4).rposition(|four| four == b"PK\x05\x06")?;
    let (size, offset) = (number(&tail, end + 12, 4)?, number(&tail, end + 16, 4)?);
    if size > DIRECTORY_LIMIT || offset.checked_add(size)? > length {
        return None;
    }
    let directory = read_at(&mut file, offset, size)?;
    Some(entries(&directory))
}

fn entries(directory: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = directory;
    while let Some((name, length)) = entry(rest) {
        names.push(name);
        rest = rest.get(length..).unwrap_or_default();
    }
    names
}

/// The first entry's name, and the length of the entry.
fn entry(bytes: &[u8]) -> Option<(String, usize)> {
    const HEADER: usize = 46;
    if !bytes.starts_with(b"PK\x01\x02") {
        return None;
    }
    let length = |at| number(bytes, at, 2).and_then(|length| usize::try_from(length).ok());
    let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
    let text = String::from_utf8_lossy(bytes.get(HEADER..HEADER + name)?).into_owned();
    Some((text, HEADER + name + extra + comment))
}

/// A little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + size)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn read_at(file: &mut File, offset: u64, size: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset)).ok()?;
    file.take(size).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
