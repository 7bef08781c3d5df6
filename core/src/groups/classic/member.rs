//! A member of a classic group.

use crate::groups::{
    face::Ticket,
    records::{MemberId, MemberValue},
};
use bytes::Bytes;
use std::sync::Arc;

/// What a member asks for when it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Protocols it can follow, the most liked first, with what it says for each.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// How long it may stay silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for it, in milliseconds.
    pub rebalance_timeout_ms: i32,
}

impl Terms {
    /// What it says for a protocol.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|(name, _)| **name == *protocol).map(|(_, metadata)| metadata)
    }
}

/// One member.
#[derive(Debug)]
pub(in crate::groups) struct Member {
    pub id: MemberId,
    pub instance: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub terms: Terms,
    /// What the leader gave it.
    pub assignment: Bytes,
    /// Waits for the other members.
    pub joining: Option<Ticket>,
    /// Waits for its assignment.
    pub syncing: Option<Ticket>,
    /// Has not been through a rebalance yet: must keep its session even while it waits.
    pub is_new: bool,
}

impl Member {
    /// Whether it is heard of by what it waits for, so that no heartbeat is due.
    pub fn is_waiting(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    /// As it is written down, with this assignment.
    pub fn to_value(&self, protocol: &str, assignment: Bytes) -> MemberValue {
        MemberValue {
            id: Arc::clone(&self.id),
            instance_id: self.instance.clone(),
            client_id: Arc::clone(&self.client_id),
            client_host: Arc::clone(&self.client_host),
            rebalance_timeout_ms: self.terms.rebalance_timeout_ms,
            session_timeout_ms: self.terms.session_timeout_ms,
            subscription: self.terms.metadata(protocol).cloned().unwrap_or_default(),
            assignment,
        }
    }

    /// As it was written down.
    pub fn from_value(value: &MemberValue, protocol: &Arc<str>) -> Member {
        let rebalance = value.rebalance_timeout_ms;
        Member {
            id: Arc::clone(&value.id),
            instance: value.instance_id.clone(),
            client_id: Arc::clone(&value.client_id),
            client_host: Arc::clone(&value.client_host),
            terms: Terms {
                protocols: vec![(Arc::clone(protocol), value.subscription.clone())],
                session_timeout_ms: value.session_timeout_ms,
                rebalance_timeout_ms: if rebalance == -1 { value.session_timeout_ms } else { rebalance },
            },
            assignment: value.assignment.clone(),
            joining: None,
            syncing: None,
            is_new: false,
        }
    }
}
