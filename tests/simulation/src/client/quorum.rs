//! The metadata quorum on the wire (KIP-595, KIP-853): who votes is asked for and changed.

use super::answer::Answer;
use bytes::Bytes;
use corelane_core::{
    error::ErrorCode,
    wire::{WireError, decode_response, encode_request},
};
use kafka_protocol::{
    messages::{
        AddRaftVoterRequest, AddRaftVoterResponse, DescribeQuorumRequest, DescribeQuorumResponse,
        RemoveRaftVoterRequest, RemoveRaftVoterResponse, TopicName, add_raft_voter_request,
        describe_quorum_request,
    },
    protocol::StrBytes,
};
use std::{collections::BTreeSet, rc::Rc};
use uuid::Uuid;

/// Kafka's name of the metadata log.
const METADATA: &str = "__cluster_metadata";

/// How long a broker may wait for the controller, in ms: less than clients wait for the answer.
const BROKER_TIMEOUT_MS: i32 = 10_000;

/// Voters that an administrator leaves at least: one of them may be lost.
const VOTERS_MIN: usize = 3;

/// A voter: a node with its directory. With another one it is another voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voter {
    /// Its id.
    pub node: i32,
    /// The id of its directory.
    pub directory: u128,
}

/// A controller that may be a voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// As a voter.
    pub voter: Voter,
    /// The name of its controller listener.
    pub listener: &'static str,
    /// Where that is.
    pub host: Rc<str>,
    /// Where that is.
    pub port: u16,
}

/// What an administrator asks of the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum QuorumRequest {
    Describe,
    Add(Controller),
    Remove(Voter),
}

/// An answer to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumAnswer {
    /// Who votes.
    Voters(Result<BTreeSet<Voter>, ErrorCode>),
    /// What became of a change.
    Changed(ErrorCode),
}

/// What clients know of a quorum whose voters change; of another one, nothing.
#[derive(Debug, Default)]
pub struct KnownQuorum {
    /// All that may vote.
    pub controllers: Vec<Controller>,
    /// Changes that were asked for and are not over.
    under_way: usize,
    /// Who may be no voter any more though an answer says so: such an answer can be older than it looks.
    doubtful: BTreeSet<i32>,
}

impl KnownQuorum {
    /// Whether a voter may be removed, given who votes: enough must remain for certain.
    pub fn may_remove(&self, voter: Voter, told: &BTreeSet<Voter>) -> bool {
        let is_certain = |other: &&Voter| **other != voter && !self.doubtful.contains(&other.node);
        self.under_way == 0 && told.iter().filter(is_certain).count() >= VOTERS_MIN
    }

    /// Takes note of what is asked for.
    pub fn asked(&mut self, request: &QuorumRequest) {
        self.under_way += usize::from(request.change().is_some());
        if let QuorumRequest::Remove(voter) = request {
            self.doubtful.insert(voter.node);
        }
    }

    /// Takes note that nobody waits for it any more.
    pub fn ended(&mut self, request: &QuorumRequest) {
        self.under_way -= usize::from(request.change().is_some());
    }

    /// All that was asked for is over, and whoever is asked knows it.
    pub fn settled(&mut self) {
        self.doubtful.clear();
    }
}

fn code(number: i16) -> Result<ErrorCode, String> {
    ErrorCode::from_code(number).ok_or_else(|| format!("error code {number} is unknown"))
}

fn unreadable(error: WireError) -> String {
    error.to_string()
}

impl QuorumRequest {
    /// Which voter votes afterwards or does not.
    pub fn change(&self) -> Option<(Voter, bool)> {
        match self {
            QuorumRequest::Describe => None,
            QuorumRequest::Add(controller) => Some((controller.voter, true)),
            QuorumRequest::Remove(voter) => Some((*voter, false)),
        }
    }

    /// Versions in which it can be asked.
    pub fn versions(&self) -> &'static [i16] {
        match self {
            // Directories come with version 2.
            QuorumRequest::Describe => &[2],
            QuorumRequest::Add(_) | QuorumRequest::Remove(_) => &[0],
        }
    }

    /// The frame.
    ///
    /// # Errors
    /// When the protocol crate refuses what is built here.
    pub fn encode(&self, correlation: i32, version: i16) -> Result<Bytes, WireError> {
        let id = Some("sim");
        let text = |value: &str| StrBytes::from_string(value.to_owned());
        match self {
            QuorumRequest::Describe => {
                let partition = describe_quorum_request::PartitionData::default().with_partition_index(0);
                let topic = describe_quorum_request::TopicData::default()
                    .with_topic_name(TopicName(text(METADATA)))
                    .with_partitions(vec![partition]);
                let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
                encode_request(correlation, id, version, &request)
            }
            QuorumRequest::Add(Controller { voter, listener, host, port }) => {
                let listener = add_raft_voter_request::Listener::default()
                    .with_name(text(listener))
                    .with_host(text(host))
                    .with_port(*port);
                let request = AddRaftVoterRequest::default()
                    .with_cluster_id(None)
                    .with_timeout_ms(BROKER_TIMEOUT_MS)
                    .with_voter_id(voter.node)
                    .with_voter_directory_id(Uuid::from_u128(voter.directory))
                    .with_listeners(vec![listener]);
                encode_request(correlation, id, version, &request)
            }
            QuorumRequest::Remove(voter) => {
                let request = RemoveRaftVoterRequest::default()
                    .with_cluster_id(None)
                    .with_voter_id(voter.node)
                    .with_voter_directory_id(Uuid::from_u128(voter.directory));
                encode_request(correlation, id, version, &request)
            }
        }
    }

    /// Reads the answer, with the correlation id that it names.
    ///
    /// # Errors
    /// Whatever a client could not make sense of.
    pub fn decode(&self, version: i16, frame: &Bytes) -> Result<(i32, Answer), String> {
        let (id, answer) = match self {
            QuorumRequest::Describe => {
                let (id, response) =
                    decode_response::<DescribeQuorumResponse>(version, frame).map_err(unreadable)?;
                (id, QuorumAnswer::Voters(voters(&response)?))
            }
            QuorumRequest::Add(_) => {
                let (id, response) =
                    decode_response::<AddRaftVoterResponse>(version, frame).map_err(unreadable)?;
                (id, QuorumAnswer::Changed(code(response.error_code)?))
            }
            QuorumRequest::Remove(_) => {
                let (id, response) =
                    decode_response::<RemoveRaftVoterResponse>(version, frame).map_err(unreadable)?;
                (id, QuorumAnswer::Changed(code(response.error_code)?))
            }
        };
        Ok((id, Answer::Quorum(answer)))
    }
}

fn voters(response: &DescribeQuorumResponse) -> Result<Result<BTreeSet<Voter>, ErrorCode>, String> {
    let error = code(response.error_code)?;
    if !error.is_none() {
        return Ok(Err(error));
    }
    let [topic] = &response.topics[..] else { return Err("not one topic of a quorum".to_owned()) };
    let [partition] = &topic.partitions[..] else { return Err("not one partition of a quorum".to_owned()) };
    let error = code(partition.error_code)?;
    if !error.is_none() {
        return Ok(Err(error));
    }
    let voters = partition.current_voters.iter();
    let voters =
        voters.map(|it| Voter { node: it.replica_id.0, directory: it.replica_directory_id.as_u128() });
    Ok(Ok(voters.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_is_removed_only_when_three_others_remain_for_certain() {
        let voter = |node| Voter { node, directory: 7 };
        let told = |nodes: &[i32]| nodes.iter().map(|node| voter(*node)).collect::<BTreeSet<_>>();
        let mut known = KnownQuorum::default();
        assert!(!known.may_remove(voter(1), &told(&[1, 2, 3])));
        assert!(known.may_remove(voter(1), &told(&[1, 2, 3, 4])));
        known.asked(&QuorumRequest::Remove(voter(2)));
        assert!(!known.may_remove(voter(1), &told(&[1, 2, 3, 4, 5])), "another change is under way");
        known.ended(&QuorumRequest::Remove(voter(2)));
        assert!(!known.may_remove(voter(1), &told(&[1, 2, 3, 4])), "one of them may be gone");
        assert!(known.may_remove(voter(1), &told(&[1, 2, 3, 4, 5])));
        known.settled();
        assert!(known.may_remove(voter(1), &told(&[1, 2, 3, 4])));
    }
}
