//! ElectLeaders: leaderships go back to preferred replicas (KIP-183), or to any replica that is left (KIP-460).

use super::{
    ApiError, Controller, Decision,
    partition_change::{Choice, Electorate, Target, TopicRules},
};
use crate::{
    error::ErrorCode,
    metadata::{LeaderChange, PartitionChangeRecord, PartitionImage, Precondition, Record, TopicImage},
};
use serde::{Deserialize, Serialize};

/// Who shall lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Election {
    /// The first of the replicas, if it is in sync.
    Preferred,
    /// Whoever is left, be it at the price of acknowledged records, where no one leads.
    Unclean,
}

/// Partitions to elect leaders for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElectLeadersRequest {
    /// Who shall lead.
    pub election: Election,
    /// By topic and number; `None` for all there are.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
}

/// The elections of a topic's partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElectedTopic {
    /// As the request named it.
    pub name: String,
    /// By number. Where all partitions were asked for, those that need no election are left out, as in Kafka.
    pub partitions: Vec<(i32, Result<(), ApiError>)>,
}

/// What the elections of a request write.
struct Elections<'a> {
    rules: &'a dyn Fn(&TopicImage) -> TopicRules,
    preconditions: Vec<Precondition>,
    records: Vec<Record>,
}

impl Controller {
    /// Decides on elections.
    pub fn elect_leaders(&mut self, request: &ElectLeadersRequest) -> Decision<Vec<ElectedTopic>> {
        let rules = self.topic_rules();
        let mut elections = Elections { rules: &rules, preconditions: Vec::new(), records: Vec::new() };
        let elected = match &request.partitions {
            Some(named) => named
                .iter()
                .map(|(name, indexes)| ElectedTopic {
                    name: name.clone(),
                    partitions: indexes
                        .iter()
                        .map(|index| {
                            (*index, self.elect_named(name, *index, request.election, &mut elections))
                        })
                        .collect(),
                })
                .collect(),
            None => self.elect_all(request.election, &mut elections),
        };
        let Elections { rules: _, preconditions, records } = elections;
        let refused = |error: &ApiError| {
            let refuse = |topic: &ElectedTopic| ElectedTopic {
                name: topic.name.clone(),
                partitions: topic.partitions.iter().map(|(index, _)| (*index, Err(error.clone()))).collect(),
            };
            elected.iter().map(refuse).collect()
        };
        self.propose(preconditions, records, elected.clone())
            .unwrap_or_else(|error| self.unchanged(refused(&error)))
    }

    fn elect_all(&self, election: Election, elections: &mut Elections<'_>) -> Vec<ElectedTopic> {
        let mut elected = Vec::new();
        for topic in self.speculative.topics() {
            let results = topic.partitions.iter().map(|(index, partition)| {
                (*index, self.elect(topic, *index, partition, election, elections))
            });
            let unneeded = |result: &Result<(), ApiError>| {
                result.as_ref().is_err_and(|error| error.code == ErrorCode::ElectionNotNeeded)
            };
            let partitions: Vec<_> = results.filter(|(_, result)| !unneeded(result)).collect();
            if !partitions.is_empty() {
                elected.push(ElectedTopic { name: topic.name.to_string(), partitions });
            }
        }
        elected
    }

    fn elect_named(
        &self,
        name: &str,
        index: i32,
        election: Election,
        elections: &mut Elections<'_>,
    ) -> Result<(), ApiError> {
        let unknown = |what: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, what);
        let topic =
            self.speculative.topic(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
        let partition =
            topic.partition(index).ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
        self.elect(topic, index, partition, election, elections)
    }

    fn elect(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionImage,
        election: Election,
        elections: &mut Elections<'_>,
    ) -> Result<(), ApiError> {
        let refuse = |code, text: &str| Err(ApiError::new(code, text));
        let preferred = partition.replicas.first().copied();
        let needed = match election {
            Election::Preferred => partition.leader != preferred,
            Election::Unclean => partition.leader.is_none(),
        };
        if !needed {
            let text = "Leader election not needed for topic partition.";
            return refuse(ErrorCode::ElectionNotNeeded, text);
        }
        let choice = match election {
            Election::Preferred => Choice::Preferred,
            Election::Unclean => Choice::Unclean,
        };
        let electorate = Electorate::of(&self.speculative);
        let rules = (elections.rules)(topic);
        let change = electorate.change((topic.id, index), partition, rules, Target::of(partition), choice);
        // Kafka takes any change for a success; an election is one only if it elects.
        let elects = |change: &PartitionChangeRecord| match (election, change.leader) {
            (Election::Preferred, LeaderChange::Leader(leader)) => Some(leader) == preferred,
            (Election::Unclean, LeaderChange::Leader(_)) => true,
            (_, LeaderChange::Unchanged | LeaderChange::Offline) => false,
        };
        let Some(change) = change.filter(elects) else {
            return match election {
                Election::Preferred => {
                    refuse(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available.")
                }
                Election::Unclean => refuse(
                    ErrorCode::EligibleLeadersNotAvailable,
                    "Eligible topic partition leaders are not available.",
                ),
            };
        };
        elections.preconditions.push(Precondition::PartitionEpoch {
            topic: topic.id,
            index,
            epoch: partition.partition_epoch,
        });
        elections.records.push(Record::PartitionChange(change));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
