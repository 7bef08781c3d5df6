//! What clients do, one file per operation, and what happens to the broker meanwhile, likewise.
//!
//! An [`Operation`] belongs to one client and lasts until nothing of it is under way. It decides what to ask and what
//! to ask again; it judges only whether an answer may be given at all. What the answers mean together is for the
//! invariants.

mod alter_config;
mod api_versions;
pub mod audit;
mod change_voters;
pub mod clock_jump;
pub mod consumer_session;
pub mod crash;
mod create_partitions;
mod create_topic;
mod delete_records;
mod delete_topic;
pub mod disk_faults;
mod disturbance;
mod elect_leaders;
mod fetch;
pub mod group_session;
pub mod link_faults;
mod list_offsets;
mod metadata;
pub mod probe;
mod produce;
mod produce_idempotent;
mod reassign;
pub mod restart;
mod throttle;
pub mod transaction_session;
mod transform_source;

pub use disturbance::{Disturbance, ToTheDisk, draw as draw_disturbance};

use crate::{
    client::{
        catalog::Catalog,
        history::{History, RecordId},
        model::Ended,
        request::Request,
    },
    rng::Rng,
};
use corelane_core::{
    error::ErrorCode,
    ids::{Offset, PartitionId, ProducerEpoch, ProducerId},
};
use std::{collections::BTreeMap, rc::Rc};

/// Something a client does.
pub trait Operation {
    /// What it is called in the trace.
    fn name(&self) -> &'static str;
    /// Asks the first requests. Without any it is over.
    fn begin(&mut self, desk: &mut Desk<'_>);
    /// One of its requests is over.
    fn ended(&mut self, ended: Ended, desk: &mut Desk<'_>);
}

/// An idempotent producer as its client remembers it.
#[derive(Clone, Debug)]
pub struct Producer {
    /// Given by the broker.
    pub id: ProducerId,
    /// Given by the broker.
    pub epoch: ProducerEpoch,
    /// The sequence that the next record of each partition gets.
    pub next_sequence: BTreeMap<PartitionId, i32>,
    /// The first record of the earliest batch that was acknowledged, of each partition: what comes behind it comes to
    /// a broker that knows the producer.
    pub acknowledged: BTreeMap<PartitionId, RecordId>,
}

/// What a client remembers from one operation to the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// If it has an idempotent producer of which it knows everything.
    pub producer: Option<Producer>,
    /// Where it reads on.
    pub positions: BTreeMap<PartitionId, Offset>,
}

/// What an operation may look at and use.
pub struct Desk<'a> {
    /// The client's own chance.
    pub rng: &'a mut Rng,
    /// Wall clock in Unix ms.
    pub unix_ms: i64,
    /// For audits; answers are noted by the client.
    pub history: &'a mut History,
    /// What all clients know.
    pub catalog: &'a mut Catalog,
    /// What this one remembers.
    pub memory: &'a mut Memory,
    /// What was asked, each with its delay in ns; sent in this order.
    pub asks: Vec<(u64, Request)>,
    /// What no broker may answer.
    pub violation: Option<String>,
}

impl Desk<'_> {
    /// Asks now.
    pub fn ask(&mut self, request: Request) {
        self.asks.push((0, request));
    }

    /// Asks after a pause of up to a second: for what the broker could not do.
    pub fn ask_again(&mut self, request: Request) {
        let delay_ns = self.pause_ns();
        self.asks.push((delay_ns, request));
    }

    /// How long to wait before the broker is asked for the same again, in ns.
    pub fn pause_ns(&mut self) -> u64 {
        self.rng.between(20_000_000, 1_000_000_000)
    }

    /// Holds an error against those that a fault, a restart or a deletion explains, and `also`.
    pub fn expect(&mut self, error: ErrorCode, also: &[ErrorCode], what: &str) {
        if !error.is_none() && !is_passing(error) && !also.contains(&error) {
            self.violated(format!("{what} was answered {error}"));
        }
    }

    /// The first violation counts.
    pub fn violated(&mut self, text: String) {
        self.violation.get_or_insert(text);
    }

    /// Up to `max` different partitions that one request may name.
    pub fn some_partitions(&mut self, max: usize) -> Vec<(PartitionId, Rc<str>)> {
        let mut all = self.catalog.partitions();
        let count = (1 + self.rng.index(max)).min(all.len());
        let mut some: Vec<(PartitionId, Rc<str>)> =
            (0..count).map(|_| all.swap_remove(self.rng.index(all.len()))).collect();
        if let Some((first, _)) = some.first().cloned() {
            some.retain(|(partition, _)| self.catalog.routes.is_one_request(first, *partition));
        }
        some
    }
}

/// Errors that go away, or that the deletion of a topic explains.
pub fn is_passing(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::RequestTimedOut
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::KafkaStorageError
            | ErrorCode::NotController
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
    )
}

type Make = fn(&mut Desk<'_>) -> Box<dyn Operation>;

/// Every operation with its weight.
const OPERATIONS: &[(u64, Make)] = &[
    (30, produce::make),
    (30, produce_idempotent::make),
    (30, fetch::make),
    (20, group_session::make),
    (20, consumer_session::make),
    (20, transaction_session::make),
    (15, transaction_session::make_transforming),
    (6, list_offsets::make),
    (6, create_topic::make),
    (2, delete_topic::make),
    (3, create_partitions::make),
    (4, delete_records::make),
    (2, alter_config::make),
    (4, metadata::make),
    (1, api_versions::make),
];

/// What is done to a cluster only.
const OF_CLUSTERS: &[(u64, Make)] = &[(6, elect_leaders::make), (8, reassign::make), (4, throttle::make)];

/// What is done to a quorum whose voters change.
const OF_CHANGING_VOTERS: &[(u64, Make)] = &[(40, change_voters::make)];

/// Produce by a client's idempotent producer.
#[cfg(test)]
pub fn idempotent() -> Box<dyn Operation> {
    produce_idempotent::new()
}

/// The next operation of a client. Without topics it makes one.
pub fn draw(desk: &mut Desk<'_>) -> Box<dyn Operation> {
    if desk.catalog.topics().len() == 0 {
        return create_topic::make(desk);
    }
    let of_clusters = if desk.catalog.routes.are_many() { OF_CLUSTERS } else { &[] };
    let may_change = !desk.catalog.quorum.controllers.is_empty();
    let of_voters = if may_change { OF_CHANGING_VOTERS } else { &[] };
    let all = || OPERATIONS.iter().chain(of_clusters).chain(of_voters);
    let total = all().map(|(weight, _)| weight).sum();
    let mut drawn = desk.rng.below(total);
    for (weight, make) in all() {
        if drawn < *weight {
            return make(desk);
        }
        drawn -= weight;
    }
    metadata::make(desk)
}
