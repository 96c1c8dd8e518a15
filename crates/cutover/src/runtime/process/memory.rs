//! Whether there is memory for two releases at once.

use cutover_core::ByteSize;

use super::record::Record;

/// What speaks against `more` programs like these: the largest of them, times how many, against what the kernel says can be
/// had without swapping (`MemAvailable`, see proc_meminfo(5)).
pub fn cramped(running: &[Record], more: usize) -> Option<String> {
    let largest = running.iter().filter_map(|record| resident(record.main.pid)).max()?;
    let available = kib("/proc/meminfo", "MemAvailable:")?;
    let needed = largest.saturating_mul(u64::try_from(more).ok()?);
    (needed > available).then(|| {
        let (needed, largest, available) = (mib(needed), mib(largest), mib(available));
        format!("memory may not do: {more} × {largest}, as the running one takes, is {needed}, and {available} is free")
    })
}

fn resident(pid: i32) -> Option<u64> {
    kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn kib(path: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn mib(kib: u64) -> ByteSize {
    ByteSize((kib >> 10).max(1) << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kib() {
        assert!(kib("/proc/meminfo", "MemAvailable:").unwrap() > 1024);
        assert!(resident(i32::try_from(std::process::id()).unwrap()).unwrap() > 100);
        assert_eq!(mib(2048).to_string(), "2MiB");
    }
}
