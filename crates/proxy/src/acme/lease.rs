//! Who of those that share a store orders a certificate now.
//!
//! A file names who does, and until when at most. Reading and writing it is one step, under the kernel's lock of the file where the
//! file system has such locks; where it has none, two may begin in the same instant, and both get a certificate. Whoever dies leaves a
//! lease that ends by itself, and is no hindrance to whoever comes after it with the same state directory.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use cutover_core::Timestamp;
use rustix::fs::{FlockOperation, flock};

/// How long a lease lasts if nobody gives it back. Longer than an attempt may take.
pub const LEASE: Duration = Duration::from_secs(240);

/// The right to order, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    file: File,
    owner: String,
}

/// What came of asking for it.
#[derive(Debug)]
pub enum Asked {
    /// It is ours.
    Ours(Lease),
    /// Somebody else has it, until then at most.
    Theirs(Timestamp),
}

impl Lease {
    /// Takes it, if nobody else has it.
    pub fn take(path: &Path, owner: &str, now: Timestamp) -> io::Result<Asked> {
        let open = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
        let lease = Self { file: open?, owner: owner.to_owned() };
        let held = lease.alone(|file| {
            if let Some((holder, until)) = read(file)? {
                // One that is further away than any lease lasts was written by a clock that is wrong.
                let is_on = until > now && until <= now + LEASE * 2;
                if holder != owner && is_on {
                    return Ok(Some(until));
                }
            }
            write(file, &format!("{owner} {}", (now + LEASE).0))?;
            Ok(None)
        })?;
        // Dropped, it gives back nothing that is another's.
        Ok(held.map_or(Asked::Ours(lease), Asked::Theirs))
    }

    /// Does something while nobody else looks at the file.
    fn alone<T>(&self, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let locked = flock(&self.file, FlockOperation::LockExclusive).is_ok();
        let done = act(&self.file);
        if locked {
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
        done
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.alone(|file| match read(file)? {
            Some((holder, _)) if holder == self.owner => write(file, ""),
            _ => Ok(()),
        });
    }
}

fn read(mut file: &File) -> io::Result<Option<(String, Timestamp)>> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    let parts = text.split_once(' ');
    Ok(parts.and_then(|(owner, until)| Some((owner.to_owned(), Timestamp(until.parse().ok()?)))))
}

fn write(mut file: &File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(asked: io::Result<Asked>) -> Option<Lease> {
        match asked.unwrap() {
            Asked::Ours(lease) => Some(lease),
            Asked::Theirs(_) => None,
        }
    }

    /// Seen to fail with a lease that is given back by whoever asked in vain, and with one that anybody may take.
    #[test]
    fn one_has_it_until_it_gives_it_back_or_its_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let (now, take) = (Timestamp(1_000_000), |who: &str, now| taken(Lease::take(&path, who, now)));
        let first = take("a", now).unwrap();
        assert!(take("b", now).is_none() && take("b", now).is_none());
        drop(first);
        let second = take("b", now).unwrap();
        assert!(take("a", now).is_none());
        // It dies.
        std::mem::forget(second);
        assert!(take("a", now + LEASE / 2).is_none());
        let again = take("b", now + LEASE / 2).expect("whoever comes after it has the same name");
        std::mem::forget(again);
        let third = take("a", now + LEASE * 2).expect("its time is over");
        std::mem::forget(third);
        assert!(take("c", Timestamp(1_000)).is_some(), "it was written by a clock that is far ahead");
        std::fs::write(&path, "nonsense").unwrap();
        assert!(take("c", now).is_some());
    }

    /// Seen to fail with the file not locked.
    #[test]
    fn of_many_that_ask_at_once_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        for round in 0..20 {
            let now = Timestamp(1_000_000_000 * (round + 1));
            let ask = |who: usize| taken(Lease::take(&path, &who.to_string(), now)).map(std::mem::forget).is_some();
            let ask = &ask;
            let count = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|who| scope.spawn(move || ask(who))).collect();
                all.into_iter().map(|one| one.join().unwrap()).filter(|ours| *ours).count()
            });
            assert_eq!(count, 1);
        }
    }
}
