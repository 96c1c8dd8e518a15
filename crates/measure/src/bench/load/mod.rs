//! The load. Every answer is checked: a proxy that is fast and wrong is not fast.

mod echo;
mod http;
mod http2;
mod idle;
mod slow;
mod tls;

use std::io::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

pub use http::open;
pub use idle::Idle;
pub use slow::{SLOW_HOST, Slow};
pub use tls::trusting;

use super::backend::MESSAGE;
use super::site::{Doors, HOST, Site};
use super::work::Work;

/// What one client saw: how long each of its requests took, in microseconds.
type Latencies = Vec<u32>;

/// What a round of load saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// The time it took.
    pub time: Duration,
    /// The time of each request, in microseconds, shortest first.
    latencies: Latencies,
}

impl Seen {
    /// How many requests were answered as they should be.
    pub fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// The time that this share of all requests did not exceed, in microseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        let index = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).map_or(f64::NAN, |&us| f64::from(us))
    }
}

/// Puts load on a proxy for `time`.
pub fn run(work: Work, doors: Doors, site: &Site, connections: usize, time: Duration) -> Result<Seen, Error> {
    let tls = trusting(site)?;
    clients(connections, time, |_, stop| match work {
        Work::Small | Work::Alone => http::get(doors.http, HOST, MESSAGE, stop),
        Work::Kib10 => http::get(doors.http, HOST, 10 << 10, stop),
        Work::Mib1 => http::get(doors.http, HOST, 1 << 20, stop),
        Work::Upload => http::upload(doors.http, 1 << 20, stop),
        Work::Connect => http::connect(doors.http, stop),
        Work::Tls => tls::kept(doors.https, &tls, stop),
        Work::Handshake => tls::full(doors.https, &tls, stop),
        Work::Resume => tls::resumed(doors.https, &tls, stop),
        Work::Http2 => http2::streams(doors.https, &tls, stop),
        Work::Websocket => echo::websocket(doors.http, stop),
        Work::Tcp => echo::tcp(doors.tcp, stop),
        Work::Idle => unreachable!("idle connections are held, not run"),
    })
}

/// Small requests to a proxy, each client with a host of its own.
pub fn small(
    address: SocketAddr,
    host: &(dyn Fn(usize) -> String + Sync),
    connections: usize,
    time: Duration,
) -> Result<Seen, Error> {
    clients(connections, time, |client, stop| http::get(address, &host(client), MESSAGE, stop))
}

/// Small requests at a fixed rate, each timed from when it was due.
pub fn paced(address: SocketAddr, host: &str, rate: u32, connections: usize, time: Duration) -> Result<Seen, Error> {
    let began = Instant::now();
    let gap = Duration::from_secs(connections as u64) / rate;
    let first =
        |client: usize| began + gap * u32::try_from(client).unwrap_or(0) / u32::try_from(connections).unwrap_or(1);
    clients(connections, time, |client, stop| http::paced(address, host, first(client), gap, stop))
}

fn clients<F>(connections: usize, time: Duration, client: F) -> Result<Seen, Error>
where
    F: Fn(usize, &AtomicBool) -> Result<Latencies, Error> + Sync,
{
    let (stop, began) = (&AtomicBool::new(false), Instant::now());
    let client = &client;
    let mut latencies = thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|index| scope.spawn(move || client(index, stop))).collect();
        thread::sleep(time);
        stop.store(true, Relaxed);
        let mut all = Vec::new();
        for client in clients {
            all.append(&mut client.join().expect("a client does not panic")?);
        }
        Ok::<_, Error>(all)
    })?;
    latencies.sort_unstable();
    Ok(Seen { time: began.elapsed(), latencies })
}

/// Does something again and again until it is enough, and takes the time of each.
fn again(stop: &AtomicBool, mut once: impl FnMut() -> Result<(), Error>) -> Result<Latencies, Error> {
    let mut latencies = Vec::new();
    while !stop.load(Relaxed) {
        let began = Instant::now();
        once()?;
        latencies.push(micros(began));
    }
    Ok(latencies)
}

/// The time since then, in microseconds.
fn micros(began: Instant) -> u32 {
    u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX)
}
