//! CreateTopics with few partitions and settings that make segments roll soon; some topics are compacted, and then
//! often.

use super::{Desk, Operation};
use crate::client::{
    answer::Answer,
    model::{Ended, Outcome},
    request::Request,
};
use corelane_core::error::ErrorCode;

struct CreateTopic {
    configs: Vec<(&'static str, String)>,
    partitions: i32,
    /// Retention may take what was acknowledged.
    retention: bool,
    compacted: Option<Compaction>,
}

/// How a topic is compacted.
struct Compaction {
    /// No replica is away for as long as its tombstones are kept.
    buries_for_good: bool,
}

/// Longer than any run, in milliseconds.
const FOR_GOOD_MS: u64 = 86_400_000;

pub(super) fn make(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    let partitions = i32::try_from(desk.rng.between(1, 4)).unwrap_or(1);
    let mut configs = Vec::new();
    match desk.rng.below(3) {
        0 => configs.push(("segment.bytes", "1048576".to_owned())),
        1 => configs.push(("segment.ms", desk.rng.between(50, 5_000).to_string())),
        _ => {}
    }
    if desk.rng.below(4) == 0 {
        configs.push(("index.interval.bytes", desk.rng.below(1_000).to_string()));
    }
    let retention = desk.rng.below(8) == 0;
    if retention {
        configs.push(("retention.bytes", desk.rng.between(1, 200_000).to_string()));
    }
    let compacted = (desk.rng.below(3) == 0).then(|| {
        configs.retain(|(key, _)| !key.starts_with("segment."));
        compaction(desk, retention, &mut configs)
    });
    Box::new(CreateTopic { configs, partitions, retention, compacted })
}

/// Adds the settings of a compacted topic. Where there are replicas, every other topic keeps its tombstones.
fn compaction(desk: &mut Desk<'_>, retention: bool, configs: &mut Vec<(&'static str, String)>) -> Compaction {
    let is_replicated = desk.catalog.routes.are_many();
    let keeps = is_replicated && desk.rng.below(2) == 0;
    let tombstones_ms = if keeps { FOR_GOOD_MS } else { desk.rng.below(3) * desk.rng.below(3_000) };
    let policy = if retention { "compact,delete" } else { "compact" };
    let ratio = ["0.0", "0.1", "0.5"][desk.rng.index(3)];
    configs.extend([
        ("cleanup.policy", policy.to_owned()),
        ("segment.ms", desk.rng.between(5, 300).to_string()),
        ("min.cleanable.dirty.ratio", ratio.to_owned()),
        ("delete.retention.ms", tombstones_ms.to_string()),
    ]);
    if desk.rng.below(4) == 0 {
        configs.push(("min.compaction.lag.ms", desk.rng.below(500).to_string()));
    }
    if desk.rng.below(4) == 0 {
        configs.push(("max.compaction.lag.ms", desk.rng.between(500, 2_000).to_string()));
    }
    Compaction { buries_for_good: keeps || !is_replicated }
}

impl Operation for CreateTopic {
    fn name(&self) -> &'static str {
        "CreateTopics"
    }

    fn begin(&mut self, desk: &mut Desk<'_>) {
        let name = desk.catalog.new_name();
        if self.retention {
            desk.catalog.expect_retention(&name);
        }
        if let Some(compaction) = &self.compacted {
            desk.catalog.expect_compaction(&name, compaction.buries_for_good);
        }
        desk.ask(Request::CreateTopic { name, partitions: self.partitions, configs: self.configs.clone() });
    }

    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>) {
        if let Outcome::Answered(Answer::CreateTopic(Err(error))) = ended.outcome {
            // Until the others have registered for the first time there are too few. A broker whose connection to the
            // controller ends before the answer asks the next controller, as Kafka's does
            // (`NodeToControllerRequestThread`), and the first may have made the topic.
            let of_a_cluster = [ErrorCode::InvalidReplicationFactor, ErrorCode::TopicAlreadyExists];
            let also = if desk.catalog.routes.are_many() { &of_a_cluster[..] } else { &[] };
            desk.expect(error, also, "CreateTopics of a new name");
        }
    }
}
