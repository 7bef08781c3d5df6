//! The topic under load: found or created, and who leads its partitions.

use crate::client::{Client, check, error_name};
use anyhow::{Context, Result, bail, ensure};
use corelane_core::error::ErrorCode;
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, DeleteTopicsRequest, IncrementalAlterConfigsRequest, ListOffsetsRequest,
        MetadataRequest, MetadataResponse, TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        delete_topics_request::DeleteTopicState,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
    },
    protocol::StrBytes,
};
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

const LEADERS_TIMEOUT: Duration = Duration::from_secs(30);

/// Where to begin reading (ListOffsets' special timestamps).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The first record that is kept.
    Earliest,
    /// What comes next.
    Latest,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// Its name.
    pub name: String,
    /// How many partitions it shall have; none: as many as it has, or [`PARTITIONS_DEFAULT`] for a new one.
    pub partitions: Option<i32>,
    /// For a new one; -1 is the broker's default.
    pub replication_factor: i16,
    /// For a new one.
    pub configs: Vec<(String, String)>,
}

/// Partitions of a new topic when none are asked for.
pub const PARTITIONS_DEFAULT: i32 = 4;

/// A topic all of whose partitions have leaders.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its id; zero if the broker is too old for one.
    pub id: uuid::Uuid,
    /// Partitions by the address of their leader.
    pub leaders: BTreeMap<String, Vec<i32>>,
}

impl Topic {
    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.leaders.values().map(Vec::len).sum()
    }

    /// Finds the topic, or creates it and waits for its leaders.
    ///
    /// # Errors
    /// When it has another number of partitions than asked for, cannot be created, or gets no leaders in time.
    pub fn ensure(client: &mut Client, settings: &TopicSettings) -> Result<Topic> {
        let deadline = Instant::now() + LEADERS_TIMEOUT;
        let mut created = false;
        loop {
            let (code, topic) = Topic::look_up(client, &settings.name)?;
            match (ErrorCode::from_code(code), topic) {
                (_, Some(topic)) => {
                    let partitions = topic.partitions();
                    let wanted = settings.partitions.map(usize::try_from).transpose()?;
                    ensure!(
                        wanted.is_none_or(|wanted| wanted == partitions),
                        "topic {} has {partitions} partitions: leave --partitions out, or name another --topic",
                        settings.name
                    );
                    if created {
                        topic.await_leaders()?;
                    }
                    return Ok(topic);
                }
                (Some(ErrorCode::UnknownTopicOrPartition), None) if !created => {
                    create(client, settings)?;
                    created = true;
                }
                // Created a moment ago, not yet known or led everywhere.
                _ if Instant::now() < deadline => thread::sleep(Duration::from_millis(50)),
                _ => bail!("topic {} has no leader for every partition: {}", settings.name, error_name(code)),
            }
        }
    }

    /// Waits until each leader serves what Metadata says it leads.
    fn await_leaders(&self) -> Result<()> {
        for (address, partitions) in &self.leaders {
            offsets(&mut Client::connect(address)?, self, partitions, From::Latest)?;
        }
        Ok(())
    }

    fn look_up(client: &mut Client, name: &str) -> Result<(i16, Option<Topic>)> {
        let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request =
            MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false);
        let response = client.call(&request)?;
        let found = response.topics.first().context("Metadata without the topic that was asked for")?;
        let worst = found.partitions.iter().map(|partition| partition.error_code).find(|code| *code != 0);
        if found.error_code != 0 || worst.is_some() || found.partitions.is_empty() {
            return Ok((worst.unwrap_or(found.error_code), None));
        }
        let mut leaders: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for partition in &found.partitions {
            let Some(address) = address_of(&response, partition.leader_id.0) else {
                return Ok((ErrorCode::LeaderNotAvailable.code(), None));
            };
            leaders.entry(address).or_default().push(partition.partition_index);
        }
        leaders.values_mut().for_each(|partitions| partitions.sort_unstable());
        Ok((0, Some(Topic { name: topic_name(name), id: found.topic_id, leaders })))
    }

    /// Splits the partitions over `workers`: each has one leader's only. With `shared`, every worker of a leader gets
    /// all its partitions (producers); otherwise each partition has one worker (consumers).
    ///
    /// # Errors
    /// When there are fewer workers than leaders, or, unshared, more than partitions.
    pub fn split(&self, workers: usize, shared: bool) -> Result<Vec<Assignment>> {
        let leaders: Vec<_> = self.leaders.iter().collect();
        ensure!(
            workers >= leaders.len(),
            "{} brokers lead partitions of {}: give at least as many producers or consumers",
            leaders.len(),
            self.name.0
        );
        let mut assignments = Vec::new();
        for worker in 0..workers {
            let (address, partitions) = leaders[worker % leaders.len()];
            let turn = worker / leaders.len();
            let siblings = (workers - worker % leaders.len()).div_ceil(leaders.len());
            let mine: Vec<i32> = match shared {
                true => partitions.clone(),
                false => partitions.iter().copied().skip(turn).step_by(siblings).collect(),
            };
            ensure!(
                !mine.is_empty(),
                "{workers} consumers for {} partitions: at most one each",
                self.partitions()
            );
            assignments.push(Assignment { address: address.clone(), partitions: mine });
        }
        Ok(assignments)
    }
}

/// What one producer or consumer works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The leader.
    pub address: String,
    /// Partitions that it leads.
    pub partitions: Vec<i32>,
}

/// Where each of `partitions` begins or ends. Waits for a leader that has been named but does not know it yet.
///
/// # Errors
/// The connection's, or the broker's.
pub fn offsets(client: &mut Client, topic: &Topic, partitions: &[i32], from: From) -> Result<Vec<i64>> {
    let deadline = Instant::now() + LEADERS_TIMEOUT;
    loop {
        match offsets_now(client, topic, partitions, from)? {
            Ok(offsets) => return Ok(offsets),
            Err((index, code)) if !is_passing(code) || Instant::now() >= deadline => {
                check(code, &format!("ListOffsets of partition {index}"))?;
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Whether a partition that was created a moment ago may answer so.
fn is_passing(code: i16) -> bool {
    [
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::LeaderNotAvailable,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::OffsetNotAvailable,
    ]
    .iter()
    .any(|passing| passing.code() == code)
}

/// The inner error is a partition's, and its code.
fn offsets_now(
    client: &mut Client,
    topic: &Topic,
    partitions: &[i32],
    from: From,
) -> Result<Result<Vec<i64>, (i32, i16)>> {
    let timestamp = match from {
        From::Earliest => -2,
        From::Latest => -1,
    };
    let wanted = partitions
        .iter()
        .map(|index| {
            ListOffsetsPartition::default()
                .with_partition_index(*index)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp)
        })
        .collect();
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![ListOffsetsTopic::default().with_name(topic.name.clone()).with_partitions(wanted)]);
    let response = client.call(&request)?;
    let answers: BTreeMap<i32, _> = response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|one| (one.partition_index, one))
        .collect();
    let mut offsets = Vec::with_capacity(partitions.len());
    for index in partitions {
        let answer = answers.get(index).with_context(|| format!("ListOffsets without partition {index}"))?;
        if answer.error_code != 0 {
            return Ok(Err((*index, answer.error_code)));
        }
        offsets.push(answer.offset);
    }
    Ok(Ok(offsets))
}

/// Creates a topic, or takes it as it is.
fn create(client: &mut Client, settings: &TopicSettings) -> Result<()> {
    let (code, message) = try_create(client, settings)?;
    if code == ErrorCode::TopicAlreadyExists.code() {
        return Ok(());
    }
    created(code, &message, settings)
}

/// Creates a topic that must not be there.
///
/// # Errors
/// The broker's.
pub fn create_anew(client: &mut Client, settings: &TopicSettings) -> Result<()> {
    let (code, message) = try_create(client, settings)?;
    created(code, &message, settings)
}

/// Deletes a topic, so that its log goes away soon after.
///
/// # Errors
/// The broker's.
pub fn delete(client: &mut Client, topic: &Topic) -> Result<()> {
    let wanted = DeleteTopicState::default().with_name(Some(topic.name.clone()));
    let request = DeleteTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(30_000);
    let response = client.call(&request)?;
    let result = response.responses.first().context("DeleteTopics without the topic that was asked for")?;
    check(result.error_code, &format!("cannot delete topic {}", topic.name.0))
}

/// Sets one of a topic's configurations.
///
/// # Errors
/// The broker's.
pub fn configure(client: &mut Client, topic: &Topic, name: &str, value: &str) -> Result<()> {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_string(name.to_owned()))
        .with_value(Some(StrBytes::from_string(value.to_owned())));
    let resource = AlterConfigsResource::default()
        .with_resource_type(RESOURCE_TOPIC)
        .with_resource_name(topic.name.0.clone())
        .with_configs(vec![config]);
    let response = client.call(&IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))?;
    let result = response.responses.first().context("IncrementalAlterConfigs without the topic")?;
    check(result.error_code, &format!("cannot set {name}={value} of topic {}", topic.name.0))
}

/// A topic among the kinds of resources that have configurations.
const RESOURCE_TOPIC: i8 = 2;

fn created(code: i16, message: &str, settings: &TopicSettings) -> Result<()> {
    check(code, &format!("cannot create topic {}{message}", settings.name))
}

/// The broker's code, and what it says of it.
fn try_create(client: &mut Client, settings: &TopicSettings) -> Result<(i16, String)> {
    let config = |(name, value): &(String, String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    let topic = CreatableTopic::default()
        .with_name(topic_name(&settings.name))
        .with_num_partitions(settings.partitions.unwrap_or(PARTITIONS_DEFAULT))
        .with_replication_factor(settings.replication_factor)
        .with_configs(settings.configs.iter().map(config).collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let response = client.call(&request)?;
    let result = response.topics.first().context("CreateTopics without the topic that was asked for")?;
    let reason = result.error_message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
    Ok((result.error_code, reason))
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn address_of(response: &MetadataResponse, node: i32) -> Option<String> {
    let broker = response.brokers.iter().find(|broker| broker.node_id.0 == node)?;
    let host = if broker.host.contains(':') { format!("[{}]", broker.host) } else { broker.host.to_string() };
    Some(format!("{host}:{}", broker.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(leaders: &[(&str, &[i32])]) -> Topic {
        let leaders = leaders.iter().map(|(address, led)| ((*address).to_owned(), led.to_vec())).collect();
        Topic { name: topic_name("t"), id: uuid::Uuid::nil(), leaders }
    }

    #[test]
    fn consumers_get_each_partition_once_and_producers_all_of_a_leader() {
        let topic = topic(&[("a:1", &[0, 2, 4]), ("b:1", &[1, 3])]);
        let consumers = topic.split(3, false).unwrap();
        let mine: Vec<_> =
            consumers.iter().map(|one| (one.address.as_str(), one.partitions.clone())).collect();
        assert_eq!(mine, [("a:1", vec![0, 4]), ("b:1", vec![1, 3]), ("a:1", vec![2])]);
        let producers = topic.split(3, true).unwrap();
        assert_eq!(producers[2], Assignment { address: "a:1".into(), partitions: vec![0, 2, 4] });
    }

    #[test]
    fn too_few_and_too_many_workers_are_refused() {
        let topic = topic(&[("a:1", &[0]), ("b:1", &[1])]);
        assert!(topic.split(1, true).is_err());
        assert!(topic.split(3, false).is_err());
        assert!(topic.split(3, true).is_ok());
    }
}
