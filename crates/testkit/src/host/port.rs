//! Ports for tests that run side by side.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which the kernel takes the ports of outgoing connections and those that nobody chose
/// (`ip_local_port_range`, from 32768 by default), and below the automatic ports of instances, of which other tests start many: none
/// of those can take it between the choice and its use, which may be minutes for the second of two fixed ports.
const FIRST: u32 = 15_000;
const COUNT: u32 = 5_000;

/// A port that nobody listens on. Two tests of one process never get the same one; tests of two processes begin at
/// different places.
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (std::process::id().wrapping_mul(211).wrapping_add(step)) % COUNT;
        let port = u16::try_from(port).expect("the range ends below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free from {FIRST} on");
}
