//! How much of its share an instance gets that has just begun to serve.

/// The least, in thousandths: who gets nothing never warms up.
const LEAST: u64 = 100;

/// The part of its share, in thousandths, after so many milliseconds of serving, when it is spared for so many.
pub fn ramp(serving: u64, slow_start: u64) -> u64 {
    if serving >= slow_start { 1000 } else { (serving * 1000 / slow_start).max(LEAST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_with_time() {
        for (serving, slow_start, part) in
            [(0, 0, 1000), (0, 10_000, 100), (500, 10_000, 100), (2500, 10_000, 250), (10_000, 10_000, 1000)]
        {
            assert_eq!(ramp(serving, slow_start), part, "{serving} of {slow_start} ms");
        }
    }
}
