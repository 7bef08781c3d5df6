//! What is told of throttled replication (KIP-73).

use super::table;
use crate::ids::NodeId;
use std::collections::BTreeSet;

/// How much of its throttled replicas a broker may move, as their leader or as their follower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaSettings {
    /// Bytes per second; `None` without bound.
    pub rate: Option<u64>,
    /// `replication.quota.window.num`.
    pub samples: usize,
    /// `replication.quota.window.size.seconds`.
    pub sample_ms: u64,
}

/// `leader.replication.throttled.replicas` and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// `*`.
    All,
    /// Partitions, each with a broker.
    These(BTreeSet<(i32, NodeId)>),
    /// None.
    #[default]
    None,
}

impl ThrottledReplicas {
    /// What a text names that was checked before.
    pub(super) fn read(text: &str) -> ThrottledReplicas {
        let named = || table::list(text).filter_map(table::throttled_replica);
        match text {
            "" => ThrottledReplicas::None,
            "*" => ThrottledReplicas::All,
            _ => ThrottledReplicas::These(named().map(|(index, node)| (index, NodeId(node))).collect()),
        }
    }

    /// Whether a broker's replica of a partition is among them.
    pub fn has(&self, index: i32, node: NodeId) -> bool {
        match self {
            ThrottledReplicas::All => true,
            ThrottledReplicas::These(these) => these.contains(&(index, node)),
            ThrottledReplicas::None => false,
        }
    }
}
