//! Waits for the program to end, and looks at its logs about once a second meanwhile.

use std::io;
use std::os::fd::OwnedFd;

use cutover_core::spec::LogSpec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, wait};

use super::{complain, rotate};
use crate::engine::port::Exit;
use crate::runtime::process::layout::InstanceDir;
use crate::runtime::process::record::Record;

const LOOK_AT_LOGS_EVERY: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

pub struct Watch<'a> {
    main: Pid,
    /// Readable when the program has ended.
    ended: OwnedFd,
    dir: &'a InstanceDir,
    logs: LogSpec,
}

impl<'a> Watch<'a> {
    /// The program must be our child, and not waited for yet.
    pub fn new(record: &Record, dir: &'a InstanceDir, logs: LogSpec) -> io::Result<Self> {
        let main = Pid::from_raw(record.main.pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { main, ended: pidfd_open(main, PidfdFlags::empty())?, dir, logs })
    }

    pub fn until_exit(&self) -> io::Result<Exit> {
        loop {
            match poll(&mut [PollFd::new(&self.ended, PollFlags::IN)], Some(&LOOK_AT_LOGS_EVERY)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(exit) = self.reap()? {
                return Ok(exit);
            }
            self.rotate();
        }
    }

    /// Collects what has ended: the program, or orphans of it that came to us.
    fn reap(&self) -> io::Result<Option<Exit>> {
        while let Some((pid, status)) = wait(WaitOptions::NOHANG)? {
            if pid == self.main {
                return Ok(Some(exit(status)));
            }
        }
        Ok(None)
    }

    fn rotate(&self) {
        for log in [self.dir.stdout(), self.dir.stderr()] {
            if let Err(error) = rotate::if_large(&log, &self.logs) {
                complain(&format!("could not turn over {}: {error}", log.display()));
            }
        }
    }
}

fn exit(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}
