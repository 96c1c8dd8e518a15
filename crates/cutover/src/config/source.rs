//! The text of a file, and the way from an offset in it to a line and a column.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Place};

/// A configuration larger than this is taken for something else.
const MAX_SIZE: u64 = 1 << 20;

/// A text file.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How it is shown.
    shown: String,
    /// What it says, without a byte order mark.
    pub(super) text: String,
}

impl Source {
    /// Reads a text file of at most 1 MiB. The error names what was tried, and `shown`.
    pub(super) fn read(path: &Path, shown: String) -> Result<Self, Finding> {
        let failed = |reason: String| Finding::new(format!("could not read {shown}: {reason}"));
        let bytes = read_regular(path).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count();
            failed(format!("line {line} is not UTF-8")).hint("save the file as UTF-8")
        })?;
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(Self { path: path.to_owned(), shown, text })
    }

    /// The folder that relative paths in the file start from.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// The place at a byte offset; the end of the text if it lies beyond.
    pub(super) fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
        Place {
            file: self.shown.clone(),
            line: count(before.matches('\n').count()),
            column: count(before[line_start..].chars().count()),
        }
    }
}

/// Only a regular file is read: opening a pipe would wait for its other end.
fn read_regular(path: &Path) -> Result<Vec<u8>, String> {
    let reason = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    let kind = std::fs::metadata(path).map_err(reason)?;
    if kind.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if !kind.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(reason)?;
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(reason)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(bytes)
}
