//! The proxies that are measured: one file for each, with the same features on and the same keep-alive settings.
//!
//! On for all: forwarded headers, an access log to a file, HTTP/2 by TLS, counters. Each gets what makes it fast:
//! connections to the instance that are kept, bodies that are passed on and not spooled to a disk.

mod caddy;
mod copy;
mod cutover;
mod haproxy;
mod nginx;

use std::error::Error;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::site::{Doors, Site};
use super::usage::{self, Usage};

pub use copy::copy;
pub use cutover::{Ours, listener, route, service, table};

/// A proxy that runs.
#[derive(Debug)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// Where it listens.
    pub doors: Doors,
    process: Child,
}

type Started = Result<Peer, Box<dyn Error>>;

impl Peer {
    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        usage::of(self.process.id())
    }

    /// How many files and sockets it has open.
    pub fn files(&self) -> usize {
        usage::files(self.process.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // All of them finish on SIGTERM; what does not is killed.
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts one; none if it is not installed.
pub fn start(name: &str, site: &Site, ours: &Path) -> Result<Option<Peer>, Box<dyn Error>> {
    let start: fn(&Site, &Path) -> Started = match name {
        "cutover" => return Ours::start(site, ours).map(|ours| Some(ours.peer)),
        "copy" => return copy::start(site).map(Some),
        "nginx" => nginx::start,
        "haproxy" => haproxy::start,
        _ => caddy::start,
    };
    find(name).map(|program| start(site, &program)).transpose()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
    dirs.map(|dir| Path::new(dir).join(program)).find(|path| path.is_file())
}

/// Starts a process whose output goes to `out` in its directory.
fn spawn(name: &'static str, doors: Doors, out: &Path, command: &mut Command) -> Started {
    let file = File::create(out)?;
    let process = command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file).spawn()?;
    Ok(Peer { name, doors, process })
}

/// Waits until it listens.
fn up(peer: Peer, address: SocketAddr, out: &Path) -> Started {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            let said = std::fs::read_to_string(out).unwrap_or_default();
            return Err(format!("{} does not listen on {address}: {said}", peer.name).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(peer)
}
