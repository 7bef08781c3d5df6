//! A member of the classic protocol.

use super::{GroupSettings, NS_PER_MS, Next, Protocolled, decode, encode, unexpected};
use anyhow::Result;
use bytes::{Buf, BufMut, Bytes};
use corelane_core::error::ErrorCode;
use kafka_protocol::{
    messages::{
        HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
        join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};
use std::collections::BTreeSet;

const JOIN: i16 = 7;
const SYNC: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE: i16 = 5;

enum Asked {
    Join,
    Sync,
    Heartbeat,
}

pub(super) struct ClassicMember {
    group: StrBytes,
    topic: String,
    partitions: i32,
    heartbeat_ns: u64,
    id: StrBytes,
    generation: i32,
    asked: Asked,
    owned: Option<BTreeSet<i32>>,
}

impl ClassicMember {
    pub fn new(settings: &GroupSettings) -> ClassicMember {
        ClassicMember {
            group: StrBytes::from_string(settings.group.clone()),
            topic: settings.topic.clone(),
            partitions: settings.partitions,
            heartbeat_ns: settings.heartbeat_ms * NS_PER_MS,
            id: StrBytes::default(),
            generation: -1,
            asked: Asked::Join,
            owned: None,
        }
    }

    fn join(&mut self) -> Result<Bytes> {
        self.asked = Asked::Join;
        self.owned = None;
        // A consumer's subscription (version 0): one topic, no user data.
        let mut metadata = Vec::new();
        metadata.put_i16(0);
        metadata.put_i32(1);
        metadata.put_i16(i16::try_from(self.topic.len())?);
        metadata.put_slice(self.topic.as_bytes());
        metadata.put_i32(0);
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(metadata.into());
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone().into())
            .with_session_timeout_ms(45_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(self.id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        encode(JOIN, &request)
    }

    fn sync(&mut self, members: &[StrBytes]) -> Result<Bytes> {
        self.asked = Asked::Sync;
        let mut assignments = Vec::with_capacity(members.len());
        let count = i32::try_from(members.len())?;
        for (index, member) in (0..).zip(members) {
            // Version 0 of a consumer's assignment: every count-th partition of the topic.
            let own: Vec<i32> = (0..self.partitions).filter(|partition| partition % count == index).collect();
            let mut bytes = Vec::new();
            bytes.put_i16(0);
            bytes.put_i32(1);
            bytes.put_i16(i16::try_from(self.topic.len())?);
            bytes.put_slice(self.topic.as_bytes());
            bytes.put_i32(i32::try_from(own.len())?);
            own.iter().for_each(|partition| bytes.put_i32(*partition));
            bytes.put_i32(0);
            assignments.push(
                SyncGroupRequestAssignment::default()
                    .with_member_id(member.clone())
                    .with_assignment(bytes.into()),
            );
        }
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone().into())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(StrBytes::from_static_str("range")))
            .with_assignments(assignments);
        encode(SYNC, &request)
    }

    fn heartbeat_at(&mut self, at: u64) -> Result<Next> {
        self.asked = Asked::Heartbeat;
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone().into())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone());
        Ok(Next::SendAt(at, encode(HEARTBEAT, &request)?))
    }

    fn joined(&mut self, frame: &Bytes) -> Result<Next> {
        let response = decode::<JoinGroupRequest>(JOIN, frame)?;
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {
                self.generation = response.generation_id;
                self.id = response.member_id;
                let members: Vec<StrBytes> =
                    response.members.into_iter().map(|member| member.member_id).collect();
                Ok(Next::Send(self.sync(&members)?))
            }
            Some(ErrorCode::MemberIdRequired) => {
                self.id = response.member_id;
                Ok(Next::Send(self.join()?))
            }
            Some(ErrorCode::UnknownMemberId) => {
                self.id = StrBytes::default();
                Ok(Next::Send(self.join()?))
            }
            Some(ErrorCode::RebalanceInProgress) => Ok(Next::Send(self.join()?)),
            _ => unexpected("JoinGroup", response.error_code),
        }
    }

    fn synced(&mut self, frame: &Bytes, now_ns: u64) -> Result<Next> {
        let response = decode::<SyncGroupRequest>(SYNC, frame)?;
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {
                self.owned = Some(self.read_assignment(response.assignment));
                self.heartbeat_at(now_ns + self.heartbeat_ns)
            }
            Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => {
                Ok(Next::Send(self.join()?))
            }
            _ => unexpected("SyncGroup", response.error_code),
        }
    }

    fn read_assignment(&self, mut bytes: Bytes) -> BTreeSet<i32> {
        let head = 2 + 4 + 2 + self.topic.len();
        if bytes.len() < head + 4 {
            return BTreeSet::new();
        }
        bytes.advance(head);
        let count = usize::try_from(bytes.get_i32()).unwrap_or(0).min(bytes.len() / 4);
        (0..count).map(|_| bytes.get_i32()).collect()
    }
}

impl Protocolled for ClassicMember {
    fn begin(&mut self) -> Result<Bytes> {
        self.join()
    }

    fn answered(&mut self, frame: &Bytes, now_ns: u64) -> Result<Next> {
        match self.asked {
            Asked::Join => self.joined(frame),
            Asked::Sync => self.synced(frame, now_ns),
            Asked::Heartbeat => {
                let response = decode::<HeartbeatRequest>(HEARTBEAT, frame)?;
                match ErrorCode::from_code(response.error_code) {
                    Some(ErrorCode::None) => self.heartbeat_at(now_ns + self.heartbeat_ns),
                    Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => {
                        Ok(Next::Send(self.join()?))
                    }
                    _ => unexpected("Heartbeat", response.error_code),
                }
            }
        }
    }

    fn leave(&mut self) -> Result<Bytes> {
        let member = MemberIdentity::default().with_member_id(self.id.clone());
        let request =
            LeaveGroupRequest::default().with_group_id(self.group.clone().into()).with_members(vec![member]);
        encode(LEAVE, &request)
    }

    fn owns(&self) -> Option<&BTreeSet<i32>> {
        self.owned.as_ref()
    }
}
