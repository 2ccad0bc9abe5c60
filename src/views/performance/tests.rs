//! What the buckets promise, tried: their number, their edges, how exact their percentiles are, and that it makes no
//! difference where the past was put together.

use proptest::prelude::*;

use super::*;
use crate::domain::event::{JobAttemptLost, LossCause};
use crate::domain::id::{JobId, Ordinal};

const DAY_MS: i64 = 86_400_000;

/// An event that counts as `lost`.
fn lost() -> Event {
    let job = JobId::new(Timestamp::from_ms(1), Ordinal(1), 1);
    JobAttemptLost { job, attempt: 1, cause: LossCause::ProcessDied, counted: true }.into()
}

fn ran(ms: u64) -> Took {
    Took { wait: None, run: Some(Millis(ms)) }
}

/// One loss for each of these moments, numbered from `first`; the time that each run took follows from its moment.
fn performance(first: u64, moments_ms: &[i64]) -> Performance {
    let mut performance = Performance::default();
    for (seq, &at_ms) in (first..).zip(moments_ms) {
        let took = ran((at_ms % 977) as u64);
        performance.note(Seq(seq), Timestamp::from_ms(at_ms), &lost(), took);
    }
    performance
}

fn losses(performance: &Performance, span: Span, now_ms: i64) -> Vec<u64> {
    let buckets = performance.buckets(span, Timestamp::from_ms(now_ms));
    buckets.iter().map(|bucket| bucket.counts.lost).collect()
}

fn all(performance: &Performance, now_ms: i64) -> Vec<Vec<HistoryBucket>> {
    Span::ALL.map(|span| performance.buckets(span, Timestamp::from_ms(now_ms))).into()
}

#[test]
fn every_span_has_its_number_of_buckets_without_a_hole_also_when_nothing_happened() {
    let (performance, now_ms) = (Performance::default(), 20_000 * DAY_MS + 12_345_678);
    for (span, count, width_ms) in
        [(Span::FiveMinutes, 60, 5_000), (Span::Hour, 60, 60_000), (Span::Day, 144, 600_000), (Span::Month, 30, DAY_MS)]
    {
        let buckets = performance.buckets(span, Timestamp::from_ms(now_ms));
        assert_eq!((buckets.len(), span.width_ms()), (count, width_ms));
        assert!(buckets.windows(2).all(|two| two[1].from.as_ms() - two[0].from.as_ms() == width_ms));
        let last_ms = buckets[count - 1].from.as_ms();
        assert!(last_ms <= now_ms && now_ms < last_ms + width_ms, "the last is the one that is now");
        assert!(buckets.iter().all(|bucket| bucket.counts == Counts::default()));
        assert!(buckets.iter().all(|bucket| bucket.wait_s.is_none() && bucket.run_s.is_none()));
    }
}

#[test]
fn an_event_is_in_the_bucket_of_its_moment_and_days_begin_at_midnight_utc() {
    let midnight = Timestamp::parse("2026-11-22T00:00:00Z").expect("RFC 3339").as_ms();
    let performance = performance(1, &[midnight - 1, midnight, midnight + 4_999, midnight + 5_000]);
    let days = losses(&performance, Span::Month, midnight + 5_000);
    assert_eq!(days[28..], [1, 3]);
    assert_eq!(losses(&performance, Span::FiveMinutes, midnight + 5_000)[57..], [1, 2, 1]);
}

#[test]
fn a_bucket_leaves_when_its_span_is_over_and_its_place_is_used_again() {
    let width_ms = Span::FiveMinutes.width_ms();
    let mut performance = performance(1, &[0, 1]);
    assert_eq!(losses(&performance, Span::FiveMinutes, 59 * width_ms)[0], 2);
    assert_eq!(losses(&performance, Span::FiveMinutes, 60 * width_ms), [0; 60]);
    performance.note(Seq(3), Timestamp::from_ms(60 * width_ms), &lost(), Took::default());
    let buckets = performance.buckets(Span::FiveMinutes, Timestamp::from_ms(60 * width_ms));
    assert_eq!((buckets[59].counts.lost, buckets[59].run_s), (1, None), "nothing of the one before is left");
    assert_eq!(losses(&performance, Span::Hour, 60 * width_ms).iter().sum::<u64>(), 3);
}

#[test]
fn a_clock_that_was_set_back_hides_nothing() {
    let performance = performance(1, &[10 * DAY_MS]);
    for span in Span::ALL {
        assert_eq!(losses(&performance, span, DAY_MS).last(), Some(&1));
    }
}

#[test]
fn what_is_no_longer_in_the_log_is_forgotten() {
    let mut performance = performance(1, &[0, 5_000, 5_001, 10_000]);
    performance.forget_before(Seq(3));
    assert_eq!(losses(&performance, Span::FiveMinutes, 10_000)[57..], [0, 2, 1]);
    performance.forget_before(Seq(5));
    assert_eq!(losses(&performance, Span::Month, 10_000), [0; 30]);
}

#[test]
fn no_time_makes_a_sketch_larger_than_it_may_be_or_joins_its_bins() {
    let mut performance = Performance::default();
    let longest = Timestamp::LAST.as_ms() as u64;
    let times = std::iter::successors(Some(1_u64), |ms| Some(ms + ms / 64 + 1)).take_while(|ms| *ms < longest);
    let times: Vec<u64> = times.chain([longest, 0]).collect();
    times.iter().for_each(|&ms| performance.note(Seq(1), Timestamp::from_ms(1), &lost(), ran(ms)));
    let cell = performance.rings[0].cell(Timestamp::from_ms(1));
    assert!(cell.run.length() < BINS_MAX as usize, "{} bins", cell.run.length());
    assert_eq!(cell.run.quantile(0.0).ok().flatten(), Some(0.0));
    let second = cell.run.quantile(1.5 / times.len() as f64).ok().flatten().expect("there are times");
    assert!((second - 1.0).abs() < 0.021, "the shortest is still known, not joined with others: {second}");
}

#[test]
fn spans_are_named_alike_everywhere() {
    for (span, name) in Span::ALL.into_iter().zip(Span::NAMES) {
        assert_eq!(name.parse(), Ok(span));
        assert_eq!(serde_json::to_value(span).expect("writes"), name);
        assert_eq!(Span::ALL[span as usize], span);
    }
    assert!("7d".parse::<Span>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn percentiles_are_within_two_percent_or_half_a_millisecond(
        mut times in proptest::collection::vec(prop_oneof![0..20_u64, 0..10_000_u64, 0..100_000_000_u64], 1..200),
    ) {
        let mut performance = Performance::default();
        times.iter().for_each(|&ms| performance.note(Seq(1), Timestamp::from_ms(1), &lost(), ran(ms)));
        let buckets = performance.buckets(Span::Hour, Timestamp::from_ms(1));
        let told = buckets[59].run_s.expect("there are times");
        times.sort_unstable();
        for (part, told) in [(0.5, told.p50), (0.95, told.p95), (0.99, told.p99)] {
            let exact = times[(part * (times.len() - 1) as f64) as usize] as f64;
            let off = (told * 1000.0 - exact).abs();
            prop_assert!(off <= exact * PERCENTILE_ERROR + 0.501, "{part}: {told} s for {exact} ms");
        }
    }

    #[test]
    fn the_past_may_be_put_together_anywhere(
        gaps in proptest::collection::vec(prop_oneof![0..10_000_i64, 0..600_000_i64, 0..40 * DAY_MS], 0..60),
        cut in 0..60_usize,
        later in prop_oneof![0..10_000_i64, 0..DAY_MS],
    ) {
        let moments: Vec<i64> = gaps.iter().scan(1, |at, gap| { *at += gap; Some(*at) }).collect();
        let cut = cut.min(moments.len());
        let mut joined = performance(1 + cut as u64, &moments[cut..]);
        joined.put_before(performance(1, &moments[..cut]));
        let now_ms = moments.last().unwrap_or(&1) + later;
        prop_assert_eq!(all(&joined, now_ms), all(&performance(1, &moments), now_ms));
    }
}
