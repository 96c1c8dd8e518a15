//! Families of metrics, written by `prometheus-client` from counters that live elsewhere.

use std::fmt::Error;

use cutover_core::histogram::{BUCKETS, upper_edge};
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The labels of one series.
pub type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// A counter for each set of labels; only one if there are none. `name` stands without its `_total`.
pub fn counter<'a, const N: usize, V: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (Labels<'a, N>, V)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    let mut series = series.into_iter();
    if N == 0 {
        return series.next().map_or(Ok(()), |(_, value)| ConstCounter::new(value).encode(family));
    }
    series.try_for_each(|(labels, value)| ConstCounter::new(value).encode(family.encode_family(&labels.as_slice())?))
}

/// A gauge for each set of labels; only one if there are none.
pub fn gauge<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    let mut series = series.into_iter();
    if N == 0 {
        return series.next().map_or(Ok(()), |(_, value)| ConstGauge::new(value).encode(family));
    }
    series.try_for_each(|(labels, value)| ConstGauge::new(value).encode(family.encode_family(&labels.as_slice())?))
}

/// A histogram for each set of labels: counts by bucket as the proxy keeps them, and the sum in microseconds. An edge is `step` times a
/// factor of two above the one before.
pub fn histogram<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, step): (&str, &str, usize),
    series: impl IntoIterator<Item = (Labels<'a, N>, Vec<u64>, u64)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    series.into_iter().try_for_each(|(labels, counts, sum_us)| {
        let buckets = coarse(&counts, step);
        let total = counts.iter().sum();
        family.encode_family(&labels.as_slice())?.encode_histogram::<NoLabelSet>(
            sum_us as f64 / 1e6,
            total,
            &buckets,
            None,
        )
    })
}

/// The edges that are told lie between 128 µs and 67 s.
const FIRST: usize = 27;
const LAST: usize = 103;

/// Fewer buckets than are kept, each with its upper edge in seconds: those of the proxy are finer than a database of series needs.
fn coarse(counts: &[u64], step: usize) -> Vec<(f64, u64)> {
    let mut buckets = Vec::new();
    let mut below = 0;
    let mut edge = FIRST;
    for (index, count) in counts.iter().enumerate().take(BUCKETS) {
        below += count;
        if index == edge && edge <= LAST {
            buckets.push((upper_edge(index).as_secs_f64(), std::mem::take(&mut below)));
            edge += 4 * step;
        }
    }
    buckets.push((f64::INFINITY, below));
    buckets
}

#[cfg(test)]
mod tests {
    use cutover_core::histogram::Histogram;
    use std::time::Duration;

    use super::*;

    /// Seen to fail with `index < edge`.
    #[test]
    fn nothing_is_lost_and_nothing_counted_below_its_edge() {
        let mut histogram = Histogram::default();
        for micros in [1, 100, 129, 1000, 1024, 5_000_000, 80_000_000, 4_000_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        for step in [1, 2] {
            let buckets = coarse(histogram.counts(), step);
            assert_eq!(buckets.len(), 20 / step + 1);
            assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 8);
            assert_eq!((buckets[0].0, buckets[0].1), (0.000_128, 2));
            assert_eq!(buckets.last().unwrap().1, 2);
            assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
