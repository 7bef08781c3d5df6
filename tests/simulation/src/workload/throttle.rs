//! IncrementalAlterConfigs of throttles (KIP-73): which replicas of a topic are throttled, and how much brokers may move of
//! them. They stay until somebody sets others, also when the run must come to its end.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};
use std::rc::Rc;

/// Bytes per second. What a run stores goes through the least of them within the time that a cluster has to heal.
const RATE_MIN: u64 = 100_000;
const RATE_MAX: u64 = 2_000_000;

/// More brokers, and partitions of a topic, than there are.
const NODES: u64 = 6;
const PARTITIONS: u64 = 8;

struct Throttle;

pub(super) fn make(_: &mut Desk<'_>) -> Box<dyn Operation> {
    Box::new(Throttle)
}

impl Operation for Throttle {
    fn name(&self) -> &'static str {
        "throttles of replication"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        let is_leader = desk.rng.below(2) == 0;
        let rate = match desk.rng.below(4) {
            0 => i64::MAX.unsigned_abs(),
            _ => desk.rng.between(RATE_MIN, RATE_MAX),
        };
        let key = match is_leader {
            true => "leader.replication.throttled.rate",
            false => "follower.replication.throttled.rate",
        };
        desk.ask(Request::AlterConfig { name: None, key, value: rate.to_string() });
        let chosen = desk.rng.index(desk.catalog.topics().len());
        let Some(name) = desk.catalog.topics().nth(chosen).map(|(_, known)| Rc::clone(&known.name)) else {
            return;
        };
        let value = match desk.rng.below(4) {
            0 => String::new(),
            1 => {
                let mut some = || format!("{}:{}", desk.rng.below(PARTITIONS), desk.rng.between(1, NODES));
                [some(), some(), some()].join(",")
            }
            _ => "*".to_owned(),
        };
        let key = match is_leader {
            true => "leader.replication.throttled.replicas",
            false => "follower.replication.throttled.replicas",
        };
        desk.ask(Request::AlterConfig { name: Some(name), key, value });
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::AlterConfig(error)) = ended.outcome {
            desk.expect(error, &[], "IncrementalAlterConfigs");
        }
    }
}
