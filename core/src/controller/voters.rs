//! Changes of who votes in the metadata quorum (KIP-853): what is asked, why it may not be, and that in Kafka's words
//! (`AddVoterHandler`, `RemoveVoterHandler`). The quorum itself carries them out.

use super::ApiError;
use crate::{
    error::ErrorCode,
    ids::{NodeId, TopicId},
    metadata::Image,
};
use serde::{Deserialize, Serialize};

/// Kafka's feature of quorums whose voters change (`KRaftVersion`): from 1 on they may.
pub const KRAFT_VERSION: &str = "kraft.version";

/// A change of who votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VoterChange {
    /// One more.
    Add {
        /// Which node.
        voter: NodeId,
        /// The id of its quorum's directory.
        directory: u128,
        /// `HOST:PORT` of its controller listener.
        endpoint: String,
    },
    /// One less.
    Remove {
        /// Which node.
        voter: NodeId,
        /// The directory that it is recorded with.
        directory: u128,
    },
    /// It is reached elsewhere.
    Move {
        /// Which node.
        voter: NodeId,
        /// The directory that it is recorded with.
        directory: u128,
        /// `HOST:PORT` of its controller listener.
        endpoint: String,
    },
}

/// Why who votes was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// This node does not lead. No effect.
    #[error("not the active controller; it is {leader:?}")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// This node leads, but has not committed anything yet. No effect.
    #[error("the active controller does not know yet what earlier ones have committed")]
    NotReady,
    /// One change at a time. No effect.
    #[error("another change of the voters is under way")]
    InProgress,
    /// No effect.
    #[error("node {0} is a voter already. Remove it with its old directory first")]
    DuplicateVoter(NodeId),
    /// No effect.
    #[error("node {0} with this directory is no voter")]
    VoterNotFound(NodeId),
    /// No effect.
    #[error("node {0} is the last voter")]
    LastVoter(NodeId),
    /// It gets the log, and is not a voter yet.
    #[error(
        "node {0} has not caught up with the log in time. Check that it runs, with this directory, and try again"
    )]
    Lagging(NodeId),
    /// It may take effect.
    #[error("the change was not committed in time")]
    TimedOut,
    /// The quorum refused it, or ended. It may take effect.
    #[error("{0}")]
    Failed(String),
}

/// A voter with the directory that it is recorded with, if it is.
pub type VoterKey = (NodeId, Option<u128>);

impl VoterChange {
    /// Whom it concerns.
    pub fn voter(&self) -> VoterKey {
        match self {
            VoterChange::Add { voter, directory, .. }
            | VoterChange::Remove { voter, directory }
            | VoterChange::Move { voter, directory, .. } => (*voter, Some(*directory)),
        }
    }

    /// Whether voters may change at all in this cluster. That one of them is reached elsewhere changes nobody's vote.
    ///
    /// # Errors
    /// UNSUPPORTED_VERSION, if the voters are those of `controller.quorum.voters`.
    pub fn check_supported(&self, image: &Image) -> Result<(), ApiError> {
        let level = image.feature(KRAFT_VERSION);
        let doing = match self {
            VoterChange::Add { .. } => "adding",
            VoterChange::Remove { .. } => "removing",
            VoterChange::Move { .. } => return Ok(()),
        };
        if level >= 1 {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::UnsupportedVersion,
            format!("Cluster doesn't support {doing} voter because the {KRAFT_VERSION} feature is {level}"),
        ))
    }

    /// What whoever asked is told when it was not done; `voters` as they are. `None`: another node leads, and is to be
    /// asked.
    pub fn refusal(&self, error: &ChangeError, voters: &[VoterKey]) -> Option<ApiError> {
        use ErrorCode::{DuplicateVoter, RequestTimedOut, UnknownServerError, VoterNotFound};
        let waited = |why: &str| format!("Request timed out waiting for leader to {why}");
        let (this, all) = (key(&self.voter()), keys(voters));
        let (code, text) = match error {
            ChangeError::NotLeader { .. } => return None,
            ChangeError::NotReady => {
                (RequestTimedOut, waited("establish HWM and fence previous voter changes"))
            }
            ChangeError::InProgress => (RequestTimedOut, waited("handle previous voter change request")),
            ChangeError::DuplicateVoter(_) => {
                let text = format!("The voter id for {this} is already part of the set of voters {all}.");
                (DuplicateVoter, text)
            }
            ChangeError::VoterNotFound(_) | ChangeError::LastVoter(_) => {
                (VoterNotFound, format!("Cannot remove voter {this} from the set of voters {all}"))
            }
            ChangeError::Lagging(_) => {
                let text = format!("Aborted add voter operation for {this} since it is lagging behind");
                (RequestTimedOut, text)
            }
            ChangeError::TimedOut => (RequestTimedOut, "The request timed out.".to_owned()),
            ChangeError::Failed(text) => (UnknownServerError, text.clone()),
        };
        Some(ApiError::new(code, text))
    }
}

/// As Kafka writes a `ReplicaKey`.
fn key((node, directory): &VoterKey) -> String {
    let directory =
        directory.map_or("<undefined>".to_owned(), |id| TopicId(uuid::Uuid::from_u128(id)).to_string());
    format!("ReplicaKey(id={node}, directoryId={directory})")
}

fn keys(voters: &[VoterKey]) -> String {
    format!("[{}]", voters.iter().map(key).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Batch, MetadataOffset, Record};

    fn at_level(level: i16) -> Image {
        let mut image = Image::new();
        let record = Record::FeatureLevel { name: KRAFT_VERSION.to_owned(), level };
        let batch = Batch { preconditions: Vec::new(), records: vec![record] };
        image.apply(MetadataOffset(1), &batch).expect("a level");
        image
    }

    #[test]
    fn voters_that_are_configured_are_neither_added_nor_removed_but_may_move() {
        let add = VoterChange::Add { voter: NodeId(2), directory: 1, endpoint: "h:1".to_owned() };
        let remove = VoterChange::Remove { voter: NodeId(2), directory: 1 };
        let moved = VoterChange::Move { voter: NodeId(2), directory: 1, endpoint: "h:1".to_owned() };
        for (change, doing) in [(&add, "adding"), (&remove, "removing")] {
            let refused = change.check_supported(&Image::new()).expect_err("level 0");
            let text =
                format!("Cluster doesn't support {doing} voter because the kraft.version feature is 0");
            assert_eq!(refused, ApiError::new(ErrorCode::UnsupportedVersion, text));
            assert_eq!(change.check_supported(&at_level(1)), Ok(()));
        }
        assert_eq!(moved.check_supported(&Image::new()), Ok(()));
    }

    #[test]
    fn a_refusal_is_told_with_kafkas_code_and_names_voters_as_kafka_does() {
        let remove = VoterChange::Remove { voter: NodeId(2), directory: 1 };
        let voters = [(NodeId(1), Some(0)), (NodeId(2), None)];
        let told = |error| remove.refusal(&error, &voters);
        let text = "Cannot remove voter ReplicaKey(id=2, directoryId=AAAAAAAAAAAAAAAAAAAAAQ) from the set of voters \
                    [ReplicaKey(id=1, directoryId=AAAAAAAAAAAAAAAAAAAAAA), ReplicaKey(id=2, directoryId=<undefined>)]";
        let not_found = Some(ApiError::new(ErrorCode::VoterNotFound, text));
        assert_eq!(told(ChangeError::VoterNotFound(NodeId(2))), not_found);
        assert_eq!(told(ChangeError::LastVoter(NodeId(2))), not_found);
        assert_eq!(told(ChangeError::NotLeader { leader: None }), None);
        for error in [
            ChangeError::NotReady,
            ChangeError::InProgress,
            ChangeError::Lagging(NodeId(2)),
            ChangeError::TimedOut,
        ] {
            assert_eq!(told(error).map(|error| error.code), Some(ErrorCode::RequestTimedOut));
        }
        let duplicate = told(ChangeError::DuplicateVoter(NodeId(2)));
        assert_eq!(duplicate.map(|error| error.code), Some(ErrorCode::DuplicateVoter));
    }
}
