//! The supervisor: one small process for each instance, so that instances outlive the agent.
//!
//! ```text
//! agent ──order──▶ cutover supervise web.r7.i12            leads a session; holds the lock; waits; turns over the logs
//!       ◀─report──   └─ cutover supervise program … ──exec──▶ the program     leads a process group; inherits the lock
//! ```
//!
//! The program's process begins as our own binary, the *entry*, which waits for its [`Launch`] on a socket and then
//! becomes the program. Between the two the supervisor writes the record. So:
//!
//! - supervisor dies before the record: the entry reads an end of file and leaves. Nothing ran; a new start begins anew.
//! - supervisor dies after the record, before the launch is sent: likewise nothing ran, but the record says otherwise; the
//!   instance counts as ended, nobody saw how.
//! - supervisor dies later: the program does not notice. Its output goes straight to files, not through us. The agent
//!   finds it by the record and can stop it. What is lost is how it ends, and the turning over of its logs: from then on
//!   they grow.
//!
//! **Invariant.** A program that runs has a record; and while anything of an instance lives its lock is held.
//!
//! Deliberately absent: tokio (the supervisor sleeps in one poll(2)), restarts and signals. When to start again and whom
//! to kill is the agent's decision; a supervisor only tells how its program ended. It leads a session of its own, so that
//! neither a terminal nor the agent takes it along; a systemd unit of the agent needs `KillMode=process` for the same.
//!
//! [`Launch`]: crate::runtime::process::order::Launch

mod entry;
mod environment;
mod port;
mod rotate;
mod supervisor;
mod watch;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

pub use environment::inherited;
pub use rotate::old as old_log;

/// The hidden verb `cutover supervise`. It ends when the program does.
pub fn main() -> ExitCode {
    match std::env::args().nth(2).as_deref() {
        Some("program") => entry::main(),
        Some(_) => supervisor::main(),
        None => {
            complain("cutover supervise is started by the agent, not by hand");
            ExitCode::from(2)
        }
    }
}

/// Writes to the standard error, which is `supervisor.log` here.
fn complain(what: &str) {
    // If even that cannot be written there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Takes over the socket that was handed to us as a standard stream.
fn channel(stream: impl AsFd) -> std::io::Result<UnixStream> {
    Ok(UnixStream::from(stream.as_fd().try_clone_to_owned()?))
}

fn null() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}
