//! Where partitions begin and end, and what their offsets were at a time.

use super::{
    TopicPartition,
    cluster::{Cluster, Topics},
    connection::Connection,
    error::{ClientError, Result},
    topic_name,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Instant,
};

/// The end of a partition.
pub const LATEST: i64 = -1;
/// The beginning of a partition.
pub const EARLIEST: i64 = -2;
/// The record with the latest timestamp (KIP-734).
pub const MAX_TIMESTAMP: i64 = -3;
/// The beginning of what the leader's own disk has (KIP-405).
pub const EARLIEST_LOCAL: i64 = -4;
/// The end of what is in remote storage (KIP-1005).
pub const LATEST_TIERED: i64 = -5;
/// The first that is not in remote storage yet (KIP-1023).
pub const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The version that knows [`EARLIEST_PENDING_UPLOAD`]. The protocol crate ends before it, and nothing but its number is new.
const VERSION_MAX: i16 = 11;

/// The version of ListOffsets that brought a special timestamp.
fn version_of(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => VERSION_MAX,
        _ => 0,
    }
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// -1: none.
    pub offset: i64,
    /// The leader epoch of the record there, -1 where it is not known.
    pub epoch: i32,
}

/// The offsets of partitions at a time in Unix milliseconds, or one of this module's special ones; each partition has its
/// own outcome. `committed_only`: before what transactions have not decided yet.
///
/// # Errors
/// Where no broker can be asked at all, or too late.
pub fn list_offsets(
    cluster: &mut Cluster,
    wanted: &BTreeMap<TopicPartition, i64>,
    committed_only: bool,
) -> Result<BTreeMap<TopicPartition, Result<Found>>> {
    let deadline = Instant::now() + cluster.config().api_timeout;
    let mut found = BTreeMap::new();
    let mut open = wanted.clone();
    while !open.is_empty() {
        let answers = ask_leaders(cluster, &open, committed_only)?;
        let is_late = Instant::now() + cluster.backoff() >= deadline;
        for (place, answer) in answers {
            let again = answer
                .as_ref()
                .is_err_and(|error| error.is_retriable() && error.code().map(|code| code.code()) != Some(3));
            if !again || is_late {
                open.remove(&place);
                found.insert(place, answer);
            }
        }
        if !open.is_empty() {
            thread::sleep(cluster.backoff());
        }
    }
    Ok(found)
}

type Answers = BTreeMap<TopicPartition, Result<Found>>;

fn ask_leaders(
    cluster: &mut Cluster,
    open: &BTreeMap<TopicPartition, i64>,
    committed_only: bool,
) -> Result<Answers> {
    let names: BTreeSet<&String> = open.keys().map(|place| &place.topic).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let metadata = cluster.retry("metadata", |cluster| cluster.metadata(Topics::Named(&names)))?;
    let mut answers = Answers::new();
    let mut leaders: BTreeMap<i32, Vec<(&TopicPartition, i64)>> = BTreeMap::new();
    for (place, timestamp) in open {
        let topic = metadata
            .topics
            .iter()
            .find(|topic| topic.name.as_ref().is_some_and(|name| name.0.as_str() == place.topic));
        let partition = topic.and_then(|topic| {
            topic.partitions.iter().find(|partition| partition.partition_index == place.partition)
        });
        let missing = || ClientError::of(3, None).unwrap_or(ClientError::Interrupted);
        match (topic.and_then(|topic| ClientError::of(topic.error_code, None)), partition) {
            (Some(error), _) => drop(answers.insert(place.clone(), Err(error))),
            (None, None) => drop(answers.insert(place.clone(), Err(missing()))),
            (None, Some(partition)) if partition.leader_id.0 < 0 => {
                let error = ClientError::of(5, None).unwrap_or(ClientError::Interrupted);
                answers.insert(place.clone(), Err(error));
            }
            (None, Some(partition)) => {
                leaders.entry(partition.leader_id.0).or_default().push((place, *timestamp))
            }
        }
    }
    for (leader, places) in leaders {
        match cluster.on_node(leader, |connection| ask(connection, &places, committed_only)) {
            Ok(answered) => answers.extend(answered),
            Err(error) => {
                answers.extend(places.iter().map(|(place, _)| ((*place).clone(), Err(error.clone()))))
            }
        }
    }
    Ok(answers)
}

/// One leader's answers.
fn ask(
    connection: &mut Connection,
    places: &[(&TopicPartition, i64)],
    committed_only: bool,
) -> Result<Answers> {
    let layout = connection.version::<ListOffsetsRequest>()?;
    let (least, most) = connection.offered::<ListOffsetsRequest>().unwrap_or((layout, layout));
    let version = if (least..=most).contains(&VERSION_MAX) { VERSION_MAX } else { layout };
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    let mut answers = Answers::new();
    for (place, timestamp) in places {
        let needed = version_of(*timestamp);
        if version < needed {
            let told = format!(
                "The node does not support LIST_OFFSETS with version in range [{needed},{VERSION_MAX}]. The supported range \
                 is [{least},{most}]."
            );
            answers.insert((*place).clone(), Err(ClientError::Unsupported(told)));
            continue;
        }
        let partition =
            ListOffsetsPartition::default().with_partition_index(place.partition).with_timestamp(*timestamp);
        topics.entry(&place.topic).or_default().push(partition);
    }
    if topics.is_empty() {
        return Ok(answers);
    }
    let mut request = ListOffsetsRequest::default();
    request.replica_id = (-1).into();
    request.isolation_level = i8::from(committed_only && version >= 2);
    request.topics = topics
        .into_iter()
        .map(|(name, partitions)| {
            ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        })
        .collect();
    if version >= 10 {
        request.timeout_ms = 30_000;
    }
    let answer: ListOffsetsResponse = connection.call_like(version, layout, &request)?;
    for topic in answer.topics {
        for partition in topic.partitions {
            let place = TopicPartition::new(topic.name.0.as_str(), partition.partition_index);
            let outcome = ClientError::check(partition.error_code)
                .map(|()| Found { offset: partition.offset, epoch: partition.leader_epoch });
            answers.insert(place, outcome);
        }
    }
    for (place, _) in places {
        answers.entry((*place).clone()).or_insert_with(|| {
            Err(ClientError::Protocol {
                peer: connection.peer().into(),
                reason: format!("no answer for {place}"),
            })
        });
    }
    Ok(answers)
}

/// One special offset, or one time, of many partitions.
///
/// # Errors
/// The first partition's that has one.
pub fn offsets_at(
    cluster: &mut Cluster,
    places: impl IntoIterator<Item = TopicPartition>,
    timestamp: i64,
) -> Result<BTreeMap<TopicPartition, Found>> {
    let wanted = places.into_iter().map(|place| (place, timestamp)).collect();
    let found = list_offsets(cluster, &wanted, false)?;
    found.into_iter().map(|(place, found)| Ok((place, found?))).collect()
}
