//! Whether there is memory for two releases at once.
//!
//! An estimate: a new instance is taken to need what the largest of those that run holds now, in its main process. What it will
//! need only the program knows, so whoever knows better may say so (`rollout.check_memory`).

use cutover_core::ByteSize;

use crate::engine::port::Cramped;

/// What speaks against `more` programs like those with these process numbers: the largest of them, times how many, against what
/// the kernel says can be had without swapping (`MemAvailable`, see proc_meminfo(5)), and with it.
pub fn cramped(running: &[i32], more: usize) -> Option<Cramped> {
    let largest = running.iter().filter_map(|pid| resident(*pid)).max()?;
    judge(largest, more, kib("/proc/meminfo", "MemAvailable:")?, kib("/proc/meminfo", "SwapFree:").unwrap_or(0))
}

/// All in KiB.
fn judge(largest: u64, more: usize, available: u64, swap: u64) -> Option<Cramped> {
    let needed = largest.saturating_mul(u64::try_from(more).ok()?);
    (needed > available).then(|| {
        let swaps = if swap > 0 { format!(" (and {} of swap)", mib(swap)) } else { String::new() };
        let (needs, each, free) = (mib(needed), mib(largest), mib(available));
        Cramped {
            arithmetic: format!(
                "{more} more × {each}, as the largest running one holds, is {needs}; {free} is free{swaps}"
            ),
            hopeless: needed > available.saturating_add(swap),
        }
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

    /// Seen to fail with swap left out, and with it counted as free.
    #[test]
    fn what_would_swap_is_told_and_what_would_not_fit_at_all_is_hopeless() {
        let mib = |mib: u64| mib << 10;
        assert_eq!(judge(mib(100), 3, mib(300), 0), None);
        let swaps = judge(mib(100), 3, mib(250), mib(100)).unwrap();
        assert_eq!(
            (swaps.arithmetic.as_str(), swaps.hopeless),
            (
                "3 more × 100MiB, as the largest running one holds, is 300MiB; 250MiB is free (and 100MiB of swap)",
                false
            )
        );
        let hopeless = judge(mib(100), 3, mib(250), 0).unwrap();
        assert!(hopeless.hopeless && hopeless.arithmetic.ends_with("; 250MiB is free"), "{hopeless:?}");
    }
}
