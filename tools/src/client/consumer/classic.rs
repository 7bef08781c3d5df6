//! A member of a classic group: it joins, the leader shares out, and heartbeats say that everybody is still there.

use super::{
    assign::{Subscriber, assign},
    config::{Assignor, ConsumerConfig},
    member::{Joined, Member},
};
use crate::client::{
    Cluster, Connection,
    cluster::Topics,
    error::{ClientError, Result},
    group_id,
    groups::Committer,
    member_data::{
        Assignment, decode_assignment, decode_subscription, encode_assignment, encode_owned,
        encode_subscription, is_less,
    },
    text,
};
use bytes::Bytes;
use corelane_core::error::ErrorCode;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    SyncGroupRequest, join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
    sync_group_request::SyncGroupRequestAssignment,
};
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// How much longer than the others may take to join an answer may take.
const JOIN_GRACE: Duration = Duration::from_secs(5);

pub struct Classic {
    config: ConsumerConfig,
    group: String,
    link: Option<Connection>,
    member: String,
    generation: i32,
    is_joined: bool,
    /// What it has, where it keeps that while the group shares out anew.
    owned: Assignment,
    /// What it was given last and as of which generation, for an assignor that gives it that again.
    given: Option<(Assignment, i32)>,
    next_beat: Instant,
    /// The version of a heartbeat that is not answered yet, and until when it may take.
    beat: Option<(i16, Instant)>,
}

impl Classic {
    pub fn new(config: &ConsumerConfig, group: &str) -> Classic {
        Classic {
            config: config.clone(),
            group: group.into(),
            link: None,
            member: String::new(),
            generation: -1,
            is_joined: false,
            owned: Assignment::new(),
            given: None,
            next_beat: Instant::now(),
            beat: None,
        }
    }

    fn connect(&mut self, cluster: &mut Cluster) -> Result<&mut Connection> {
        if self.link.is_none() {
            let id = cluster.coordinator(&self.group)?;
            self.link = Some(cluster.take_link(id)?);
            self.beat = None;
        }
        Ok(self.link.as_mut().expect("it was put there"))
    }

    fn instance(&self) -> Option<kafka_protocol::protocol::StrBytes> {
        self.config.instance.as_deref().map(text)
    }

    /// One attempt at joining: `None` to try again at once.
    fn try_join(
        &mut self,
        cluster: &mut Cluster,
        topics: &[String],
        asked: fn() -> bool,
    ) -> Result<Option<Assignment>> {
        self.await_beat()?;
        let joined = self.ask_to_join(cluster, topics, asked)?;
        if joined.error_code == ErrorCode::MemberIdRequired.code() {
            self.member = joined.member_id.to_string();
            return Ok(None);
        }
        ClientError::check(joined.error_code)?;
        self.member = joined.member_id.to_string();
        self.generation = joined.generation_id;
        let shares = if joined.leader == joined.member_id && !joined.skip_assignment {
            self.share_out(cluster, &joined)?
        } else {
            BTreeMap::new()
        };
        self.sync(cluster, &joined, &shares, asked).map(Some)
    }

    fn ask_to_join(
        &mut self,
        cluster: &mut Cluster,
        topics: &[String],
        asked: fn() -> bool,
    ) -> Result<JoinGroupResponse> {
        let mut request = JoinGroupRequest::default();
        let (session, rebalance) = (self.config.session_timeout, self.config.rebalance_timeout);
        request.group_id = group_id(&self.group);
        request.session_timeout_ms = millis(session);
        request.member_id = text(&self.member);
        request.protocol_type = text(CONSUMER);
        let given = self.given.as_ref().map(|(assignment, generation)| (assignment, *generation));
        let offered = self.config.assignors.iter().map(|assignor| {
            let subscription = match assignor {
                _ if self.config.is_cooperative() => encode_owned(topics, &self.owned, self.generation),
                Assignor::Sticky => encode_subscription(topics, given),
                _ => encode_subscription(topics, None),
            };
            JoinGroupRequestProtocol::default()
                .with_name(text(assignor.name()))
                .with_metadata(Bytes::from(subscription))
        });
        request.protocols = offered.collect();
        let instance = self.instance();
        let link = self.connect(cluster)?;
        let version = link.version::<JoinGroupRequest>()?;
        if version >= 1 {
            request.rebalance_timeout_ms = millis(rebalance);
        }
        if version >= 5 {
            request.group_instance_id = instance;
        }
        link.call_unless(version, &request, rebalance.max(session) + JOIN_GRACE, asked)
    }

    /// What the leader decides for all.
    fn share_out(
        &self,
        cluster: &mut Cluster,
        joined: &JoinGroupResponse,
    ) -> Result<BTreeMap<String, Assignment>> {
        let name = joined.protocol_name.as_ref().map_or("", |name| name.as_str());
        let assignor = self.config.assignors.iter().find(|assignor| assignor.name() == name);
        let Some(&assignor) = assignor else {
            return Err(ClientError::Unsupported(format!(
                "the group chose the assignor {name:?}, which nobody offered"
            )));
        };
        let members: Vec<Subscriber> = joined
            .members
            .iter()
            .map(|member| {
                // A subscription that cannot be read gets nothing.
                let said = decode_subscription(&member.metadata).unwrap_or_default();
                let (owned, generation) = match assignor {
                    Assignor::Sticky => said.had(),
                    _ => (said.owned, said.generation),
                };
                Subscriber {
                    instance: member.group_instance_id.as_ref().map(ToString::to_string),
                    member: member.member_id.to_string(),
                    topics: said.topics.into_iter().collect(),
                    owned,
                    generation,
                }
            })
            .collect();
        let topics: std::collections::BTreeSet<&String> =
            members.iter().flat_map(|member| &member.topics).collect();
        let topics: Vec<String> = topics.into_iter().cloned().collect();
        let metadata = cluster.retry("metadata", |cluster| cluster.metadata(Topics::Named(&topics)))?;
        let counts = metadata.topics.iter().filter(|topic| topic.error_code == 0).filter_map(|topic| {
            let name = topic.name.as_ref()?.0.to_string();
            Some((name, i32::try_from(topic.partitions.len()).ok()?))
        });
        Ok(assign(assignor, members, &counts.collect()))
    }

    fn sync(
        &mut self,
        cluster: &mut Cluster,
        joined: &JoinGroupResponse,
        shares: &BTreeMap<String, Assignment>,
        asked: fn() -> bool,
    ) -> Result<Assignment> {
        let mut request = SyncGroupRequest::default();
        request.group_id = group_id(&self.group);
        request.generation_id = self.generation;
        request.member_id = text(&self.member);
        let shared = shares.iter().map(|(member, share)| {
            let bytes = Bytes::from(encode_assignment(share));
            SyncGroupRequestAssignment::default().with_member_id(text(member)).with_assignment(bytes)
        });
        request.assignments = shared.collect();
        let limit = self.config.rebalance_timeout + JOIN_GRACE;
        let instance = self.instance();
        let link = self.connect(cluster)?;
        let version = link.version::<SyncGroupRequest>()?;
        if version >= 3 {
            request.group_instance_id = instance;
        }
        if version >= 5 {
            request.protocol_type = joined.protocol_type.clone();
            request.protocol_name = joined.protocol_name.clone();
        }
        let answer = link.call_unless(version, &request, limit, asked)?;
        ClientError::check(answer.error_code)?;
        decode_assignment(&answer.assignment).ok_or_else(|| ClientError::Protocol {
            peer: "the group's leader".into(),
            reason: "an assignment that cannot be read".into(),
        })
    }

    /// After an error of joining: whether another attempt makes sense, and with what.
    fn recover(&mut self, error: &ClientError) -> bool {
        match error.code() {
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.member.clear();
                self.generation = -1;
                self.owned.clear();
                true
            }
            Some(ErrorCode::RebalanceInProgress) => true,
            _ if error.is_retriable() => {
                self.link = None;
                true
            }
            _ => false,
        }
    }

    /// A heartbeat's answer stands between other requests and theirs.
    fn await_beat(&mut self) -> Result<()> {
        if let (Some((version, _)), Some(link)) = (self.beat.take(), self.link.as_mut()) {
            let frame = link.frame(self.config.client.request_timeout)?;
            link.decode::<HeartbeatResponse>(version, &frame)?;
        }
        Ok(())
    }

    fn send_beat(&mut self, now: Instant) -> Result<()> {
        let mut request = HeartbeatRequest::default();
        request.group_id = group_id(&self.group);
        request.generation_id = self.generation;
        request.member_id = text(&self.member);
        let instance = self.instance();
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        let version = link.version::<HeartbeatRequest>()?;
        if version >= 3 {
            request.group_instance_id = instance;
        }
        link.send(version, &request)?;
        self.beat = Some((version, now + self.config.client.request_timeout));
        self.next_beat = now + self.config.heartbeat;
        Ok(())
    }

    fn take_beat(&mut self, now: Instant) -> Result<()> {
        let (Some((version, deadline)), Some(link)) = (self.beat, self.link.as_mut()) else { return Ok(()) };
        let Some(frame) = link.frame_if_here()? else {
            if now < deadline {
                return Ok(());
            }
            return Err(ClientError::TimedOut("the coordinator did not answer a heartbeat in time".into()));
        };
        self.beat = None;
        let answer = link.decode::<HeartbeatResponse>(version, &frame)?;
        ClientError::check(answer.error_code)
    }
}

impl Member for Classic {
    fn poll(&mut self, cluster: &mut Cluster, topics: &[String], asked: fn() -> bool) -> Result<Joined> {
        let now = Instant::now();
        if self.is_joined {
            let beaten = self.take_beat(now).and_then(|()| {
                if now >= self.next_beat && self.beat.is_none() { self.send_beat(now) } else { Ok(()) }
            });
            return match beaten {
                Ok(()) => Ok(Joined::Same),
                Err(error) if self.recover(&error) => {
                    self.is_joined = false;
                    // Whose membership is lost has lost what it had, too.
                    let kept = self.keeps() && self.generation >= 0;
                    Ok(if kept { Joined::Same } else { Joined::Leaving })
                }
                Err(error) => Err(error),
            };
        }
        let had = !self.owned.is_empty();
        loop {
            match self.try_join(cluster, topics, asked) {
                Ok(Some(assignment)) => {
                    // What it is to give back is for another, who gets it when this one joins again.
                    let gives_back = self.keeps() && is_less(&assignment, &self.owned);
                    self.is_joined = !gives_back;
                    self.owned.clone_from(&assignment);
                    self.given = Some((assignment.clone(), self.generation));
                    self.next_beat = Instant::now() + self.config.heartbeat;
                    return Ok(Joined::New(assignment));
                }
                Ok(None) => (),
                Err(ClientError::Interrupted) => return Err(ClientError::Interrupted),
                Err(error) if self.recover(&error) => {
                    if asked() {
                        return Err(ClientError::Interrupted);
                    }
                    if had && self.owned.is_empty() {
                        return Ok(Joined::Leaving);
                    }
                    if error.code() != Some(ErrorCode::RebalanceInProgress) {
                        thread::sleep(self.config.client.backoff);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn keeps(&self) -> bool {
        self.config.is_cooperative()
    }

    fn rejoin(&mut self, kept: bool) {
        self.is_joined = false;
        if !kept {
            self.owned.clear();
        }
    }

    fn is_joined(&self) -> bool {
        self.is_joined
    }

    fn committer(&self) -> Committer {
        Committer {
            member: self.member.clone(),
            generation: self.generation,
            instance: self.config.instance.clone(),
        }
    }

    fn link(&self) -> Option<&Connection> {
        self.link.as_ref().filter(|_| self.beat.is_some())
    }

    fn next_beat(&self) -> Option<Instant> {
        self.is_joined.then_some(self.next_beat)
    }

    fn leave(&mut self) -> Result<()> {
        if self.member.is_empty() || self.config.instance.is_some() {
            return Ok(());
        }
        self.await_beat()?;
        let limit = self.config.client.request_timeout;
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        let version = link.version::<LeaveGroupRequest>()?;
        let mut request = LeaveGroupRequest::default();
        request.group_id = group_id(&self.group);
        if version >= 3 {
            request.members = vec![MemberIdentity::default().with_member_id(text(&self.member))];
        } else {
            request.member_id = text(&self.member);
        }
        ClientError::check(link.call_within(version, &request, limit)?.error_code)
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
