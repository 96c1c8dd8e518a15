//! Turns over a log that has become large, by copying it and then cutting the original to nothing.
//!
//! The program keeps the file open, and writes to its end whatever its length (`O_APPEND`), so that it need not be told. The
//! price: lines that it writes between the end of the copy and the cut, some microseconds, are lost. A pipe through the
//! supervisor would lose nothing while the supervisor lives, and the program with it when it dies; this is the better bargain.
//!
//! A log is looked at once a second, so that it can exceed its limit by what is written in a second.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cutover_core::spec::LogSpec;

use crate::runtime::process::durable::remove;

/// A log that cannot be copied is cut without a copy at this multiple of its limit: bounded beats complete.
const HOPELESS: u64 = 4;

const PASSES: u32 = 3;

pub fn if_large(log: &Path, spec: &LogSpec) -> io::Result<()> {
    let size = std::fs::metadata(log)?.len();
    if size <= spec.max_size.0 {
        return Ok(());
    }
    turn_over(log, spec.keep).or_else(|error| {
        if size > spec.max_size.0.saturating_mul(HOPELESS) {
            OpenOptions::new().write(true).open(log)?.set_len(0)?;
        }
        Err(error)
    })
}

/// The copy that is `age` turns old; the first is 1.
pub fn old(log: &Path, age: u32) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{age}"));
    name.into()
}

fn turn_over(log: &Path, keep: u32) -> io::Result<()> {
    let mut current = OpenOptions::new().read(true).write(true).open(log)?;
    if keep < 2 {
        return current.set_len(0);
    }
    // First, for it may be what makes room for the copy.
    remove(&old(log, keep - 1))?;
    let copy = log.with_extension("copying");
    copy_whole(&mut current, &copy).inspect_err(|_| drop(remove(&copy)))?;
    for age in (1..keep - 1).rev() {
        rename_if_there(&old(log, age), &old(log, age + 1))?;
    }
    // Cut before the copy gets its name: who follows the log takes the name for the sign that both are done.
    current.set_len(0)?;
    std::fs::rename(&copy, old(log, 1))
}

/// Copies what is there, and then what came meanwhile, so that the cut comes right after the end of the copy. Not until
/// nothing more comes, for a program may write as fast as we copy.
fn copy_whole(from: &mut File, to: &Path) -> io::Result<()> {
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    for _ in 0..PASSES {
        let rest = from.metadata()?.len().saturating_sub(from.stream_position()?);
        io::copy(&mut from.by_ref().take(rest), &mut to)?;
    }
    Ok(())
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
