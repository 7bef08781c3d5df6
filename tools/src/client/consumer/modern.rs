//! A member of a group of the new protocol (KIP-848): the coordinator decides, heartbeats carry what it decided.

use super::{
    config::ConsumerConfig,
    member::{Joined, Member},
};
use crate::client::{
    Cluster, Connection,
    cluster::Topics,
    error::{ClientError, Result},
    group_id,
    groups::Committer,
    member_data::Assignment,
    text, topic_name,
};
use corelane_core::error::ErrorCode;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    consumer_group_heartbeat_request::TopicPartitions,
};
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The epoch with which a member joins.
const JOINING: i32 = 0;
/// The epoch with which a member leaves.
const LEAVING: i32 = -1;
/// The epoch with which a static member leaves for a while.
const LEAVING_FOR_NOW: i32 = -2;

pub struct Modern {
    config: ConsumerConfig,
    group: String,
    link: Option<Connection>,
    member: String,
    epoch: i32,
    /// What the coordinator is told of only when it has changed.
    subscribed: Vec<String>,
    /// What this member has, by topic id.
    owned: BTreeMap<Uuid, Vec<i32>>,
    /// The coordinator has to be told of that.
    is_changed: bool,
    next_beat: Instant,
    beat: Option<(i16, Instant)>,
}

impl Modern {
    pub fn new(config: &ConsumerConfig, group: &str) -> Modern {
        Modern {
            config: config.clone(),
            group: group.into(),
            link: None,
            member: crate::java::id_text(Uuid::from_u128(rand::random())),
            epoch: JOINING,
            subscribed: Vec::new(),
            owned: BTreeMap::new(),
            is_changed: false,
            next_beat: Instant::now(),
            beat: None,
        }
    }

    fn request(&self, topics: &[String]) -> ConsumerGroupHeartbeatRequest {
        let mut request = ConsumerGroupHeartbeatRequest::default();
        request.group_id = group_id(&self.group);
        request.member_id = text(&self.member);
        request.member_epoch = self.epoch;
        request.instance_id = self.config.instance.as_deref().map(text);
        request.rebalance_timeout_ms = -1;
        let is_first = self.epoch == JOINING;
        if is_first {
            request.rebalance_timeout_ms =
                i32::try_from(self.config.rebalance_timeout.as_millis()).unwrap_or(i32::MAX);
            request.server_assignor = self.config.remote_assignor.as_deref().map(text);
        }
        request.subscribed_topic_names = (is_first || self.subscribed != topics)
            .then(|| topics.iter().map(|topic| topic_name(topic)).collect());
        let owned = || {
            let owned = self.owned.iter();
            owned.map(|(id, partitions)| {
                TopicPartitions::default().with_topic_id(*id).with_partitions(partitions.clone())
            })
        };
        request.topic_partitions = (is_first || self.is_changed).then(|| owned().collect());
        request
    }

    fn send_beat(&mut self, cluster: &mut Cluster, topics: &[String]) -> Result<()> {
        if self.link.is_none() {
            let id = cluster.coordinator(&self.group)?;
            self.link = Some(cluster.take_link(id)?);
        }
        let mut request = self.request(topics);
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        let version = link.version::<ConsumerGroupHeartbeatRequest>()?;
        if version == 0 && self.epoch == JOINING {
            // In version 0 the coordinator names the member.
            request.member_id = text("");
        }
        link.send(version, &request)?;
        self.subscribed = topics.to_vec();
        self.is_changed = false;
        let now = Instant::now();
        self.beat = Some((version, now + self.config.client.request_timeout));
        self.next_beat = now + self.config.heartbeat;
        Ok(())
    }

    fn take_beat(&mut self) -> Result<Option<ConsumerGroupHeartbeatResponse>> {
        let (Some((version, deadline)), Some(link)) = (self.beat, self.link.as_mut()) else {
            return Ok(None);
        };
        let Some(frame) = link.frame_if_here()? else {
            if Instant::now() < deadline {
                return Ok(None);
            }
            return Err(ClientError::TimedOut("the coordinator did not answer a heartbeat in time".into()));
        };
        self.beat = None;
        let answer: ConsumerGroupHeartbeatResponse = link.decode(version, &frame)?;
        match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
            Some(error) => Err(error),
            None => Ok(Some(answer)),
        }
    }

    /// Takes over what the coordinator says; `Some` where something else is assigned than before.
    fn follow(
        &mut self,
        cluster: &mut Cluster,
        answer: ConsumerGroupHeartbeatResponse,
    ) -> Result<Option<Assignment>> {
        self.epoch = answer.member_epoch;
        if let Some(id) = answer.member_id.filter(|id| !id.is_empty()) {
            self.member = id.to_string();
        }
        let interval = Duration::from_millis(u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0));
        self.config.heartbeat = interval.max(Duration::from_millis(1));
        self.next_beat = Instant::now() + self.config.heartbeat;
        let Some(assignment) = answer.assignment else { return Ok(None) };
        let target = assignment.topic_partitions.into_iter().map(|topic| (topic.topic_id, topic.partitions));
        let target: BTreeMap<Uuid, Vec<i32>> = target.collect();
        let names = self.names(cluster)?;
        let named =
            target.iter().filter_map(|(id, partitions)| Some((names.get(id)?.clone(), partitions.clone())));
        let named = named.collect();
        self.owned = target;
        // The coordinator waits to hear that what it took away is given back.
        self.is_changed = true;
        self.next_beat = Instant::now();
        Ok(Some(named))
    }

    fn names(&self, cluster: &mut Cluster) -> Result<BTreeMap<Uuid, String>> {
        let subscribed = &self.subscribed;
        let metadata = cluster.retry("metadata", |cluster| cluster.metadata(Topics::Named(subscribed)))?;
        let named =
            metadata.topics.into_iter().filter_map(|topic| Some((topic.topic_id, topic.name?.0.to_string())));
        Ok(named.collect())
    }

    /// After an error: whether the membership goes on, and what is lost.
    fn recover(&mut self, error: &ClientError) -> Option<Joined> {
        self.next_beat = Instant::now() + self.config.client.backoff;
        match error.code() {
            Some(ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch) => {
                self.epoch = JOINING;
                self.owned.clear();
                Some(Joined::New(Assignment::new()))
            }
            _ if error.is_retriable() => {
                self.link = None;
                self.beat = None;
                self.is_changed = true;
                Some(Joined::Same)
            }
            _ => None,
        }
    }
}

impl Member for Modern {
    fn poll(&mut self, cluster: &mut Cluster, topics: &[String], _asked: fn() -> bool) -> Result<Joined> {
        let mut joined = Joined::Same;
        let step = self.take_beat().and_then(|answer| {
            if let Some(answer) = answer
                && let Some(assignment) = self.follow(cluster, answer)?
            {
                joined = Joined::New(assignment);
            }
            let is_due = Instant::now() >= self.next_beat || self.subscribed != topics;
            // What was given back is told with the next poll, when it is given back.
            if self.beat.is_none() && is_due && joined == Joined::Same {
                self.send_beat(cluster, topics)?;
            }
            Ok(())
        });
        match step {
            Ok(()) => Ok(joined),
            Err(error) => self.recover(&error).ok_or(error),
        }
    }

    fn keeps(&self) -> bool {
        true
    }

    fn rejoin(&mut self, _kept: bool) {
        self.next_beat = Instant::now();
    }

    fn is_joined(&self) -> bool {
        self.epoch > JOINING
    }

    fn committer(&self) -> Committer {
        Committer {
            member: self.member.clone(),
            generation: self.epoch,
            instance: self.config.instance.clone(),
        }
    }

    fn link(&self) -> Option<&Connection> {
        self.link.as_ref().filter(|_| self.beat.is_some())
    }

    fn next_beat(&self) -> Option<Instant> {
        Some(self.next_beat)
    }

    fn leave(&mut self) -> Result<()> {
        if self.epoch <= JOINING {
            return Ok(());
        }
        let deadline = Instant::now() + self.config.client.request_timeout;
        while self.beat.is_some() && Instant::now() < deadline {
            if self.take_beat()?.is_none() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.epoch = if self.config.instance.is_some() { LEAVING_FOR_NOW } else { LEAVING };
        let request = self.request(&self.subscribed.clone());
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        let version = link.version::<ConsumerGroupHeartbeatRequest>()?;
        let answer = link.call(version, &request)?;
        ClientError::check(answer.error_code)
    }
}
