//! With a clock of its own.

use super::*;
use crate::{
    clock::{SECOND_NS, Timeline},
    schedule::Rate,
};
use std::num::NonZeroU64;

const MS: u64 = 1_000_000;

fn limits() -> FlowLimits {
    FlowLimits {
        partitions: 3,
        batch_records: 10,
        request_records: 100,
        linger_ns: 5 * MS,
        requests_in_flight: 2,
        spread: Spread::Sticky,
    }
}

fn flow(rate: u64, limits: FlowLimits) -> Flow {
    let timeline = Timeline::new(0, 0.0, 1.0, 1.0);
    let rate = Rate::PerSecond(NonZeroU64::new(rate).unwrap());
    Flow::new(Schedule::new(rate, 0, 1, timeline), limits, 0)
}

fn request(flow: &mut Flow, now_ns: u64) -> Vec<(usize, u64, u64)> {
    let mut runs = Vec::new();
    flow.next_request(now_ns, &mut runs);
    runs.iter().map(|run| (run.partition, run.first, run.count)).collect()
}

#[test]
fn a_stalled_acknowledgement_is_charged_to_every_record_scheduled_meanwhile() {
    // 1000 records/s, one request at a time; the first is answered after 500 ms, all others at once.
    let mut flow = flow(1000, FlowLimits { linger_ns: 0, requests_in_flight: 1, ..limits() });
    let mut latencies = Latencies::new();
    let mut runs = Vec::new();
    flow.next_request(0, &mut runs);
    assert_eq!(runs.len(), 1);
    flow.next_request(499 * MS, &mut Vec::new());
    flow.charge(&runs[0], 500 * MS, &mut latencies);
    flow.answered();
    while flow.available(500 * MS) > 0 {
        flow.next_request(500 * MS, &mut runs);
        for run in &runs {
            flow.charge(run, 500 * MS, &mut latencies);
        }
        flow.answered();
    }
    // Records 0 to 500 have arrived by then and waited 500, 499, … 0 ms: half of them over 250 ms. A closed loop
    // would have seen one slow request.
    assert_eq!(latencies.count(), 501);
    let median = latencies.percentile_ms(50.0).unwrap();
    assert!((249.0..=251.0).contains(&median), "{median}");
    assert!((499.0..=501.0).contains(&latencies.max_ms().unwrap()));
}

#[test]
fn a_batch_goes_when_it_is_full_or_its_oldest_record_has_lingered() {
    let mut flow = flow(1000, limits());
    assert_eq!(flow.wake_at(0), Some(5 * MS));
    assert_eq!(request(&mut flow, 5 * MS - 1), []);
    assert_eq!(request(&mut flow, 5 * MS), [(0, 0, 6)]);
    assert_eq!(flow.wake_at(5 * MS), Some(11 * MS));

    let mut fast = self::flow(10_000, limits());
    assert_eq!(fast.wake_at(0), Some(9 * MS / 10), "the tenth record fills the batch");
    assert_eq!(request(&mut fast, MS), [(0, 0, 10)], "the eleventh begins another batch and lingers");
    assert_eq!(request(&mut fast, MS), []);
}

#[test]
fn a_backlog_leaves_with_one_batch_for_each_partition() {
    let mut flow = flow(1000, limits());
    assert_eq!(request(&mut flow, 100 * MS), [(0, 0, 10), (1, 10, 10), (2, 20, 10)]);
    assert_eq!(request(&mut flow, 100 * MS), [(0, 30, 10), (1, 40, 10), (2, 50, 10)]);
    assert_eq!(request(&mut flow, 100 * MS), [], "two requests are in flight");
    assert_eq!(flow.wake_at(100 * MS), None);
    flow.answered();
    assert_eq!(flow.wake_at(100 * MS), Some(69 * MS - 4 * MS), "overdue");
}

#[test]
fn round_robin_gives_each_partition_every_third_record() {
    let mut flow = flow(1000, FlowLimits { spread: Spread::RoundRobin, ..limits() });
    assert_eq!(request(&mut flow, 6 * MS), [(0, 0, 3), (1, 1, 2), (2, 2, 2)]);
    assert_eq!(request(&mut flow, 12 * MS), [(1, 7, 2), (2, 8, 2), (0, 9, 2)]);
}

#[test]
fn a_request_is_bounded() {
    for spread in [Spread::Sticky, Spread::RoundRobin] {
        let mut flow = flow(1000, FlowLimits { request_records: 7, spread, ..limits() });
        let taken: u64 = request(&mut flow, 900 * MS).iter().map(|(_, _, count)| count).sum();
        assert_eq!(taken, 7, "{spread:?}");
    }
}

#[test]
fn every_scheduled_record_is_sent_exactly_once() {
    for spread in [Spread::Sticky, Spread::RoundRobin] {
        let mut flow = flow(777, FlowLimits { spread, ..limits() });
        let mut seen = vec![0; 777];
        let mut runs = Vec::new();
        let mut now = 0;
        while !flow.is_done(now) {
            now += 3 * MS;
            flow.next_request(now, &mut runs);
            for run in &runs {
                for place in 0..run.count {
                    seen[usize::try_from(run.first + place * run.step).unwrap()] += 1;
                }
            }
            if !runs.is_empty() {
                flow.answered();
            }
        }
        assert!(seen.iter().all(|times| *times == 1), "{spread:?}");
        assert!(now < 2 * SECOND_NS);
    }
}

#[test]
fn the_warm_up_does_not_count() {
    let timeline = Timeline::new(0, 0.5, 0.5, 1.0);
    let rate = Rate::PerSecond(NonZeroU64::new(1000).unwrap());
    let mut flow =
        Flow::new(Schedule::new(rate, 0, 1, timeline), FlowLimits { batch_records: 100, ..limits() }, 0);
    let mut latencies = Latencies::new();
    let mut runs = Vec::new();
    flow.next_request(549 * MS, &mut runs);
    let run = Run { partition: 0, first: 450, step: 1, count: 100, sent_ns: 549 * MS };
    assert_eq!(flow.charge(&run, 549 * MS, &mut latencies), 50);
    assert_eq!(latencies.count(), 50);
}

#[test]
fn what_was_never_sent_is_charged_when_the_run_gives_up() {
    let mut flow = flow(1000, FlowLimits { requests_in_flight: 1, ..limits() });
    let mut latencies = Latencies::new();
    assert_eq!(request(&mut flow, 10 * MS).len(), 1);
    assert_eq!(flow.charge_unsent(2000 * MS, &mut latencies), 990);
    assert!(latencies.percentile_ms(1.0).unwrap() >= 1000.0);
}

#[test]
fn a_closed_loop_is_always_ready_until_its_end() {
    let timeline = Timeline::new(0, 0.0, 1.0, 1.0);
    let mut flow = Flow::new(Schedule::new(Rate::Max, 0, 1, timeline), limits(), 0);
    assert_eq!(request(&mut flow, 0), [(0, 0, 10), (1, 10, 10), (2, 20, 10)]);
    flow.answered();
    assert!(!flow.is_done(SECOND_NS - 1));
    assert_eq!(request(&mut flow, SECOND_NS), []);
    assert!(flow.is_done(SECOND_NS));
}
