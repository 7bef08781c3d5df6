//! The levels at which features are finalized (KIP-584), and how a cluster begins.

use super::{ApiError, Controller, Decision, KRAFT_VERSION};
use crate::{
    error::ErrorCode,
    metadata::{Image, Precondition, Record},
    transactions::TRANSACTION_VERSION,
};

/// A feature and its levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Kafka's name.
    pub name: &'static str,
    /// The least level that is supported.
    pub min: i16,
    /// The greatest level that is supported.
    pub max: i16,
    /// What a new cluster is finalized at; 0: not at all.
    pub initial: i16,
}

/// The features that this broker serves, at Kafka 4.3's levels. Clients act on what is finalized (Java's use
/// transactions v2 from `transaction.version` 2 on), so a feature has a row here only once it is served.
pub const FEATURES: &[Feature] = &[
    // 1 serves the new group protocol (KIP-848); a cluster that was formed without a level has 0.
    Feature { name: GROUP_VERSION, min: 0, max: 1, initial: 1 },
    // 0 is a quorum whose voters are configured (`controller.quorum.voters`), 1 one whose voters change (KIP-853).
    Feature { name: KRAFT_VERSION, min: 0, max: 1, initial: 0 },
    // 7 is 3.3-IV3, the oldest that Kafka 4 knows; 30 is 4.3-IV0.
    Feature { name: "metadata.version", min: 7, max: 30, initial: 30 },
    // 1 has records of transactions with tagged fields, 2 an epoch for each transaction (KIP-890).
    Feature { name: TRANSACTION_VERSION, min: 0, max: 2, initial: 2 },
];

/// Kafka's feature of the group protocols (`GroupVersion`).
const GROUP_VERSION: &str = "group.version";

/// Whether the cluster serves the new group protocol (`GroupVersion.isConsumerRebalanceProtocolSupported`).
pub fn consumer_groups_are_finalized(image: &Image) -> bool {
    image.feature(GROUP_VERSION) >= 1
}

impl Controller {
    /// Forms the cluster: writes its id and the initial level of every feature. Asked again with the same id, changes
    /// nothing. The reply is the cluster's id.
    pub fn form_cluster(&mut self, cluster_id: &str) -> Decision<Result<String, ApiError>> {
        match self.speculative.cluster_id() {
            Some(known) if **known == *cluster_id => {
                return self.unchanged(Ok(cluster_id.to_owned()));
            }
            Some(known) => {
                let text = format!("Expected cluster ID {known}, but got cluster ID {cluster_id}");
                return self.unchanged(Err(ApiError::new(ErrorCode::InconsistentClusterId, text)));
            }
            None => {}
        }
        let mut records = vec![Record::ClusterId { id: cluster_id.to_owned() }];
        let level = |feature: &Feature| {
            let name = feature.name.to_owned();
            let level = self.settings.initial_levels.get(&name).copied().unwrap_or(feature.initial);
            (level > 0).then_some(Record::FeatureLevel { name, level })
        };
        records.extend(self.settings.features.iter().filter_map(level));
        self.propose(vec![Precondition::ClusterIdUnset], records, Ok(cluster_id.to_owned()))
            .unwrap_or_else(|error| self.unchanged(Err(error)))
    }
}

#[cfg(test)]
mod tests;
