//! What a consumer asks of its membership in a group, of either protocol.

use crate::client::{Cluster, Connection, error::Result, groups::Committer, member_data::Assignment};
use std::time::Instant;

/// What became of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Nothing new.
    Same,
    /// What is assigned now, all of it.
    New(Assignment),
    /// What was assigned is to be given back, with its offsets committed, before the next poll.
    Leaving,
}

/// A membership in a group.
pub trait Member {
    /// Does what is due: joining, which may wait for others, or a heartbeat, which waits for nothing. `asked` says when to
    /// give up waiting.
    ///
    /// # Errors
    /// What ends the membership for good.
    fn poll(&mut self, cluster: &mut Cluster, topics: &[String], asked: fn() -> bool) -> Result<Joined>;

    /// Whether it keeps what it has while the group shares out anew.
    fn keeps(&self) -> bool;

    /// The subscription has changed, or what it means; or everything was given back, if nothing is `kept`.
    fn rejoin(&mut self, kept: bool);

    /// Whether it has what is assigned to it.
    fn is_joined(&self) -> bool;

    /// As whom to commit.
    fn committer(&self) -> Committer;

    /// The connection on which an answer is to come.
    fn link(&self) -> Option<&Connection>;

    /// When the next heartbeat is due.
    fn next_beat(&self) -> Option<Instant>;

    /// Leaves the group, so that the others need not wait for the session's end.
    ///
    /// # Errors
    /// The coordinator's.
    fn leave(&mut self) -> Result<()>;
}
