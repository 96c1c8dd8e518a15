//! What the tests are made of.

pub mod backend;
pub mod client;
pub mod h2c;
pub mod pebble;
pub mod plug;
pub mod proxy;
pub mod sheath;
pub mod table;
pub mod tls;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub const LIMIT: Duration = Duration::from_secs(15);

/// Waits until a condition holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a value is the expected one. What is counted when a request is over may be counted a moment after its client
/// has the answer.
pub fn comes_to<T: PartialEq + std::fmt::Debug>(expected: T, mut value: impl FnMut() -> T) {
    let began = Instant::now();
    loop {
        let now = value();
        if now == expected {
            return;
        }
        assert!(began.elapsed() < LIMIT, "stayed at {now:?}, expected {expected:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An address of the loopback that nobody listens on. Not one of those that the kernel gives to outgoing connections: another
/// test's client could have it by the time it is used; nor of those that other tests begin their instances on.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 101 + NEXT.fetch_add(1, Relaxed);
        let port = u16::try_from(10_000 + number % 5_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// How much memory a process has in use, in bytes.
pub fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
