//! A member of the new protocol (KIP-848).

use super::{GroupSettings, NS_PER_MS, Next, Protocolled, decode, encode, unexpected};
use anyhow::Result;
use bytes::Bytes;
use kafka_protocol::{
    messages::{ConsumerGroupHeartbeatRequest, TopicName, consumer_group_heartbeat_request::TopicPartitions},
    protocol::StrBytes,
};
use std::collections::BTreeSet;
use uuid::Uuid;

const VERSION: i16 = 1;

pub(super) struct ConsumerMember {
    group: StrBytes,
    topic: StrBytes,
    topic_id: Uuid,
    id: StrBytes,
    epoch: i32,
    owned: Option<BTreeSet<i32>>,
}

impl ConsumerMember {
    /// `number` makes its name, which is its own to choose from version 1 on.
    pub fn new(settings: &GroupSettings, number: u64) -> ConsumerMember {
        ConsumerMember {
            group: StrBytes::from_string(settings.group.clone()),
            topic: StrBytes::from_string(settings.topic.clone()),
            topic_id: settings.topic_id.0,
            id: StrBytes::from_string(Uuid::from_u64_pair(0x6265_6e63, number).to_string()),
            epoch: 0,
            owned: None,
        }
    }

    fn request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(self.group.clone().into())
            .with_member_id(self.id.clone())
            .with_member_epoch(epoch)
    }

    /// What it owns now: said once after each change.
    fn acknowledge(&self) -> Result<Bytes> {
        let partitions: Vec<i32> = self.owned.iter().flatten().copied().collect();
        let topics = if partitions.is_empty() {
            Vec::new()
        } else {
            vec![TopicPartitions::default().with_topic_id(self.topic_id).with_partitions(partitions)]
        };
        encode(VERSION, &self.request(self.epoch).with_topic_partitions(Some(topics)))
    }
}

impl Protocolled for ConsumerMember {
    fn begin(&mut self) -> Result<Bytes> {
        let request = self
            .request(0)
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(vec![TopicName(self.topic.clone())]))
            .with_topic_partitions(Some(Vec::new()));
        encode(VERSION, &request)
    }

    fn answered(&mut self, frame: &Bytes, now_ns: u64) -> Result<Next> {
        let response = decode::<ConsumerGroupHeartbeatRequest>(VERSION, frame)?;
        if response.error_code != 0 {
            return unexpected("ConsumerGroupHeartbeat", response.error_code);
        }
        self.epoch = response.member_epoch;
        if let Some(assignment) = response.assignment {
            self.owned =
                Some(assignment.topic_partitions.into_iter().flat_map(|topic| topic.partitions).collect());
            return Ok(Next::Send(self.acknowledge()?));
        }
        let interval = u64::try_from(response.heartbeat_interval_ms).unwrap_or(5000) * NS_PER_MS;
        Ok(Next::SendAt(now_ns + interval, encode(VERSION, &self.request(self.epoch))?))
    }

    fn leave(&mut self) -> Result<Bytes> {
        encode(VERSION, &self.request(-1))
    }

    fn owns(&self) -> Option<&BTreeSet<i32>> {
        self.owned.as_ref()
    }
}
