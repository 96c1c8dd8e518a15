//! A day of mixed load in minutes. Each of its hours has every kind of work for a moment, deployments, and clients that behave badly;
//! then everything is let go. What the proxy still holds after that may not grow from hour to hour.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use cutover_core::table::{Mode, Table, Target};

use crate::bench::load::{self, open};
use crate::bench::peer::{Ours, table};
use crate::bench::site::{HOST, Site};
use crate::bench::work::Work;
use crate::bench::{backend, raise_limit};

/// Hours of the day.
const HOURS: usize = 24;

/// Until then caches and buffers are filled for the first time.
const SETTLED: usize = 4;

/// Growth that is noise: the kernel counts pages, and an allocator keeps some.
const NOISE: u64 = 2 << 20;

/// Deployments in each hour.
const DEPLOYMENTS: u32 = 10;

/// Badly behaved clients of each kind in each hour.
const RUDE: usize = 50;

type Failure = Box<dyn std::error::Error>;

/// What the proxy holds when nobody uses it.
#[derive(Debug, Clone, Copy)]
struct Rest {
    memory: u64,
    files: usize,
}

/// Runs a day, each kind of work for so many seconds an hour.
pub fn run(seconds: f64) -> Result<(), Failure> {
    raise_limit()?;
    let (program, dir) = (crate::binary()?, tempfile::tempdir()?);
    let site = Site::new(dir.path(), backend::start()?, 2, 64, true)?;
    let mut day = Day::begin(&site, &program, Duration::from_secs_f64(seconds))?;
    println!("| hour | requests so far | memory at rest | files at rest |\n|---|---|---|---|");
    let mut hours = Vec::new();
    for hour in 1..=HOURS {
        day.hour()?;
        let rest = day.rest()?;
        println!("| {hour} | {} | {:.1} MiB | {} |", day.requests, mebibytes(rest.memory), rest.files);
        // The connection over which it is published to, and whatever else the first work opens for good.
        day.files = hours.first().map_or(rest.files, |first: &Rest| first.files);
        hours.push(rest);
    }
    judge(&hours)
}

/// The second half of the day against the hours after everything was seen once.
fn judge(hours: &[Rest]) -> Result<(), Failure> {
    let (early, late) = (&hours[SETTLED..HOURS / 2], &hours[HOURS / 2..]);
    let most = |hours: &[Rest]| hours.iter().map(|rest| rest.memory).max().unwrap_or(0);
    let (was, is) = (most(early), most(late));
    let files = |hours: &[Rest]| hours.iter().map(|rest| rest.files).max().unwrap_or(0);
    println!("\nAt most {:.1} MiB by noon, and {:.1} after it.", mebibytes(was), mebibytes(is));
    if is > was + was / 20 + NOISE {
        return Err(format!("memory grows: {was} bytes by noon, {is} after it").into());
    }
    if files(late) > files(&hours[..1]) {
        return Err(
            format!("files stay open: {} after the first hour, {} later", files(&hours[..1]), files(late)).into()
        );
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The day so far.
struct Day<'a> {
    site: &'a Site,
    ours: Ours,
    table: Table,
    files: usize,
    each: Duration,
    requests: usize,
}

impl<'a> Day<'a> {
    fn begin(site: &'a Site, program: &std::path::Path, each: Duration) -> Result<Self, Failure> {
        let ours = Ours::bare(site, program, "day")?;
        let table = table(site, ours.peer.doors)?;
        ours.publish(&table)?;
        let files = ours.peer.files();
        Ok(Self { site, ours, table, files, each, requests: 0 })
    }

    fn hour(&mut self) -> Result<(), Failure> {
        let doors = self.ours.peer.doors;
        for work in Work::ALL.into_iter().filter(|work| *work != Work::Idle) {
            self.requests += load::run(work, doors, self.site, work.connections(), self.each)?.requests();
        }
        for _ in 0..DEPLOYMENTS {
            self.deploy()?;
        }
        for _ in 0..RUDE {
            rude(doors.http)?;
        }
        Ok(())
    }

    /// A new instance in place of the old one of the first service: registered, serving and draining, alone.
    fn deploy(&mut self) -> Result<(), Failure> {
        let old = self.table.services[0].targets[0].clone();
        let instance = cutover_core::InstanceId { number: old.instance.number + 1, ..old.instance.clone() };
        let new = |mode| Target { instance: instance.clone(), mode, ..old.clone() };
        let serving = Mode::Serving { weight: 1 };
        let draining = Target { mode: Mode::Draining, ..old.clone() };
        let steps = [vec![old.clone(), new(Mode::Registered)], vec![draining, new(serving)], vec![new(serving)]];
        for targets in steps {
            self.table.services[0].targets = targets;
            self.table.generation.0 += 1;
            self.ours.publish(&self.table)?;
        }
        Ok(())
    }

    /// Waits until it has let go of every connection, and says what is left. Idle connections to instances are kept for some seconds.
    fn rest(&self) -> Result<Rest, Failure> {
        let began = Instant::now();
        while self.ours.peer.files() > self.files && began.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Rest { memory: self.ours.peer.usage().memory, files: self.ours.peer.files() })
    }
}

/// Clients that leave too early, send what is no request, or do not read what they asked for.
fn rude(address: SocketAddr) -> Result<(), Failure> {
    let get = format!("GET /bytes/1048576 HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let post = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\nhalf of it");
    let garbage = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for sent in [&get[..20], &post, garbage, "\u{16}\u{3}\u{1}no handshake"] {
        open(address)?.write_all(sent.as_bytes())?;
    }
    // The first bytes of a large answer.
    let mut stream = open(address)?;
    stream.write_all(get.as_bytes())?;
    stream.read_exact(&mut [0; 100])?;
    stream.shutdown(Shutdown::Both)?;
    Ok(())
}
