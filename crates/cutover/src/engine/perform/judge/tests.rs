//! What is counted on which side, before and after the new release has settled.

use super::*;

/// So many answers, all of them after so many milliseconds.
fn counts(requests: u64, millis: u64) -> Counts {
    let mut latency = Histogram::default();
    (0..requests).for_each(|_| latency.record(Duration::from_millis(millis)));
    Counts { requests, errors: 0, latency: Some(latency) }
}

fn both(one: &Counts, other: &Counts) -> Counts {
    let latency = together(one.latency.clone(), other.latency.as_ref());
    Counts { requests: one.requests + other.requests, errors: one.errors + other.errors, latency }
}

fn totals(sample: &Sample) -> [Option<u64>; 2] {
    let total = |counts: &Counts| counts.latency.as_ref().map(Histogram::total);
    [total(&sample.candidate), sample.baseline.counts().and_then(total)]
}

/// Errors count from the first request on, latencies only from there. Seen to fail with the latencies of the beginning kept.
#[test]
fn the_first_answers_of_a_release_tell_nothing_of_its_speed() {
    let (cold, warm, old) = (counts(20, 900), counts(50, 10), counts(1000, 10));
    for concurrent in [true, false] {
        let start = (counts(3, 900), old.clone());
        let begun = if concurrent { begin(start, Baseline::Concurrent) } else { begin(start, Baseline::Earlier) };
        let begun = with_latency(begun, old.latency.clone());
        let cold = (both(&counts(3, 900), &cold), both(&old, &counts(7, 10)));
        assert_eq!(totals(&sample(&begun, &cold)), [None, None]);
        assert_eq!(sample(&begun, &cold).candidate.requests, 20);
        let settled = settled(&begun, &cold).unwrap();
        let now = (both(&cold.0, &warm), both(&cold.1, &counts(9, 10)));
        let then = sample(&settled, &now);
        assert_eq!(totals(&then), [Some(50), Some(if concurrent { 9 } else { 1000 })]);
        assert_eq!(then.candidate.requests, 70);
        assert!(then.candidate.latency.unwrap().quantile(1.0).unwrap() < Duration::from_millis(13));
    }
}

/// Seen to fail with an absent histogram taken for an empty one.
#[test]
fn a_router_that_measures_no_latency_has_none() {
    let plain = |requests| Counts { requests, errors: 0, latency: None };
    let begun = begin((plain(1), plain(9)), Baseline::Concurrent);
    assert_eq!(settled(&begun, &(plain(5), plain(20))), None);
    assert_eq!(totals(&sample(&begun, &(plain(5), plain(20)))), [None, None]);
    // Of one side only: it is measured, and there is nothing yet.
    let settled = settled(&begun, &(plain(5), counts(20, 1))).unwrap();
    assert_eq!(totals(&sample(&settled, &(counts(2, 1), counts(30, 1)))), [Some(2), Some(10)]);
}
