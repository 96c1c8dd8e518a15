//! What a request costs the meter: `cargo run --release --example cost -- URL RATE SECONDS`, with the sample at URL.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::time::Duration;

use cutover_meter::{Load, Meter};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, rate, seconds] = &arguments[..] else {
        return Err("usage: cost URL RATE SECONDS".into());
    };
    let load = Load { rate: rate.parse()?, reused: 32, peek: 16, fresh: 2, ..Load::sample(url.parse()?) };
    let running = Meter::start_on_thread(load)?;
    std::thread::sleep(Duration::from_secs(seconds.parse()?));
    let report = running.stop_blocking();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = Duration::new(u64::try_from(cpu.tv_sec)?, u32::try_from(cpu.tv_nsec)?);
    let each = cpu.as_secs_f64() * 1e6 / report.requests.sent as f64;
    println!("{report}cost         {each:.1} µs of processor time per request");
    Ok(())
}
