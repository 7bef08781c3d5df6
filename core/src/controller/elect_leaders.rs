//! ElectLeaders: leaderships go back to preferred replicas (KIP-183), or to any replica that is left (KIP-460).

use super::{ApiError, Controller, Decision};
use crate::{
    error::ErrorCode,
    ids::NodeId,
    metadata::{LeaderChange, PartitionChangeRecord, PartitionImage, Precondition, Record, TopicImage},
};

/// Who shall lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first of the replicas, if it is in sync.
    Preferred,
    /// Whoever is left, be it at the price of acknowledged records, where no one leads.
    Unclean,
}

/// Partitions to elect leaders for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectLeadersRequest {
    /// Who shall lead.
    pub election: Election,
    /// By topic and number; `None` for all there are.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
}

/// The elections of a topic's partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectedTopic {
    /// As the request named it.
    pub name: String,
    /// By number. Where all partitions were asked for, those that need no election are left out, as in Kafka.
    pub partitions: Vec<(i32, Result<(), ApiError>)>,
}

/// What the elections of a request write.
#[derive(Default)]
struct Elections {
    preconditions: Vec<Precondition>,
    records: Vec<Record>,
}

impl Controller {
    /// Decides on elections.
    pub fn elect_leaders(&mut self, request: &ElectLeadersRequest) -> Decision<Vec<ElectedTopic>> {
        let mut elections = Elections::default();
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
        let Elections { preconditions, records } = elections;
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

    fn elect_all(&self, election: Election, elections: &mut Elections) -> Vec<ElectedTopic> {
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
        elections: &mut Elections,
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
        elections: &mut Elections,
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
        let active = |id: &NodeId| self.speculative.broker(*id).is_some_and(|broker| broker.is_active());
        let in_sync = |id: &NodeId| partition.isr.contains(id) && active(id);
        let leader = match election {
            Election::Preferred => preferred.filter(in_sync),
            Election::Unclean => {
                let replicas = || partition.replicas.iter().copied();
                replicas().find(in_sync).or_else(|| replicas().find(active))
            }
        };
        let Some(leader) = leader else {
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
        elections.records.push(Record::PartitionChange(PartitionChangeRecord {
            topic: topic.id,
            index,
            replicas: None,
            // Who leads without having been in sync is the only one who is: the others may have more than it has.
            isr: (!partition.isr.contains(&leader)).then(|| vec![leader]),
            removing: None,
            adding: None,
            leader: LeaderChange::Leader(leader),
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
