//! `find-hanging`: transactions that are open in a partition and that no coordinator is going to end (KIP-664).

use super::{failed, now_ms, number, print};
use crate::{
    args::Parsed,
    client::{
        ClientError, Cluster, TopicPartition, admin,
        error::Result,
        transactions::{self, ActiveProducer, DescribedTransaction, ListFilter},
    },
    console::{Console, Outcome, Stop},
};
use std::collections::{BTreeMap, BTreeSet};

/// So many topics or partitions are asked for at a time.
const BATCH: usize = 500;

/// How many partitions one answer that describes topics has.
const PAGE: i32 = 2000;

const MINUTE_MS: i64 = 60_000;

/// TRANSACTIONAL_ID_NOT_FOUND.
const NOT_FOUND: i16 = 105;

/// A transaction that is open in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenTransaction {
    place: TopicPartition,
    producer: ActiveProducer,
}

/// Where each producer's transactional id stands: by producer, those that have one that a coordinator knows.
type Known = BTreeMap<i64, DescribedTransaction>;

pub fn find(parsed: &Parsed, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let (topic, broker) = (parsed.last("topic"), number::<i32>(parsed, "broker-id"));
    if topic.is_none() && broker.is_none() {
        return Err(Stop::failed(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search",
        ));
    }
    let partition = number::<i32>(parsed, "partition");
    if partition.is_some() && topic.is_none() {
        return Err(Stop::failed("The --partition argument requires --topic to be provided"));
    }
    let longest_ms = number::<i32>(parsed, "max-transaction-timeout").map_or(0, i64::from) * MINUTE_MS;
    let places = match (topic, partition) {
        (Some(topic), Some(partition)) => vec![TopicPartition::new(topic, partition)],
        (Some(topic), None) => places(cluster, &[topic.to_owned()], broker)?,
        (None, _) => {
            let topics =
                admin::list_topics(cluster).map_err(|error| failed("Failed to list topics", error))?;
            places(cluster, &topics.into_keys().collect::<Vec<_>>(), broker)?
        }
    };
    let candidates = candidates(cluster, &places, broker, longest_ms)?;
    let hanging = if candidates.is_empty() {
        candidates
    } else {
        let known = known(cluster, &candidates)?;
        hanging(candidates, &known)
    };
    let headers = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    let now_ms = now_ms();
    print(&headers, &hanging.iter().map(|open| row(open, now_ms)).collect::<Vec<_>>(), console)
}

/// The partitions of topics, or those of them that a broker keeps.
fn places(cluster: &mut Cluster, topics: &[String], broker: Option<i32>) -> Outcome<Vec<TopicPartition>> {
    let mut places = Vec::new();
    for names in topics.chunks(BATCH) {
        let described = admin::describe_topics(cluster, names, PAGE)
            .map_err(|error| failed(format_args!("Failed to describe {} topics", names.len()), error))?;
        for topic in described {
            let kept = topic.partitions.iter().filter(|it| broker.is_none_or(|id| it.replicas.contains(&id)));
            places.extend(kept.map(|it| TopicPartition::new(&*topic.name, it.index)));
        }
    }
    Ok(places)
}

/// What is open in partitions and was last written to longer ago than `longest_ms`.
fn candidates(
    cluster: &mut Cluster,
    places: &[TopicPartition],
    broker: Option<i32>,
    longest_ms: i64,
) -> Outcome<Vec<OpenTransaction>> {
    let mut found = Vec::new();
    for asked in places.chunks(BATCH) {
        let producers = transactions::describe_producers(cluster, asked, broker).map_err(|error| {
            // As Java shows an `Optional`.
            let broker = broker.map_or_else(|| "Optional.empty".to_owned(), |id| format!("Optional[{id}]"));
            let what =
                format!("Failed to describe producers for {} partitions on broker {broker}", asked.len());
            failed(what, error)
        })?;
        let now_ms = now_ms();
        for (place, producers) in producers {
            let open = producers.into_iter().filter(|producer| {
                let lasts_ms = now_ms.saturating_sub(producer.last_timestamp_ms);
                producer.transaction_start.is_some() && lasts_ms > longest_ms
            });
            found.extend(open.map(|producer| OpenTransaction { place: place.clone(), producer }));
        }
    }
    Ok(found)
}

/// What coordinators know of the producers.
fn known(cluster: &mut Cluster, candidates: &[OpenTransaction]) -> Outcome<Known> {
    let producers: BTreeSet<i64> = candidates.iter().map(|open| open.producer.id).collect();
    let filter = ListFilter {
        producer_ids: producers.iter().copied().collect(),
        duration_ms: -1,
        pattern: String::new(),
    };
    let listed = transactions::list(cluster, &filter).map_err(|error| {
        failed(format_args!("Failed to list transactions for {} producers", producers.len()), error)
    })?;
    let ids: BTreeMap<i64, String> = listed
        .into_values()
        .flatten()
        .filter(|transaction| producers.contains(&transaction.producer_id))
        .map(|transaction| (transaction.producer_id, transaction.id))
        .collect();
    let count = ids.len();
    let described = ids.into_iter().map(|(producer, id)| Ok((producer, described(cluster, &id)?)));
    let described: Result<Vec<_>> = described.collect();
    let described =
        described.map_err(|error| failed(format_args!("Failed to describe {count} transactions"), error))?;
    Ok(described.into_iter().filter_map(|(producer, it)| Some((producer, it?))).collect())
}

/// Where a transactional id stands; `None` where its coordinator has forgotten it meanwhile.
fn described(cluster: &mut Cluster, id: &str) -> Result<Option<DescribedTransaction>> {
    match transactions::describe(cluster, id) {
        Ok(described) => Ok(Some(described)),
        Err(ClientError::Broker { code: NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Those that no marker is to be expected for, by producer: a coordinator names the partitions that its transaction was
/// written to and, while it ends, those that have no marker yet.
fn hanging(mut candidates: Vec<OpenTransaction>, known: &Known) -> Vec<OpenTransaction> {
    candidates.retain(|open| {
        let described = known.get(&open.producer.id);
        described.is_none_or(|described| !described.partitions.contains(&open.place))
    });
    candidates.sort_by_key(|open| open.producer.id);
    candidates
}

fn row(open: &OpenTransaction, now_ms: i64) -> Vec<String> {
    let OpenTransaction { place, producer } = open;
    vec![
        place.topic.clone(),
        place.partition.to_string(),
        producer.id.to_string(),
        producer.epoch.to_string(),
        producer.coordinator_epoch.unwrap_or(-1).to_string(),
        producer.transaction_start.unwrap_or(-1).to_string(),
        producer.last_timestamp_ms.to_string(),
        (now_ms.saturating_sub(producer.last_timestamp_ms) / MINUTE_MS).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(partition: i32, producer: i64) -> OpenTransaction {
        let producer = ActiveProducer {
            id: producer,
            epoch: 2,
            last_sequence: 0,
            last_timestamp_ms: 100_000,
            coordinator_epoch: None,
            transaction_start: Some(4),
        };
        OpenTransaction { place: TopicPartition::new("t", partition), producer }
    }

    #[test]
    fn a_transaction_hangs_whose_coordinator_does_not_name_its_partition_or_is_not_there() {
        let described = DescribedTransaction {
            coordinator: 1,
            state: "Ongoing".into(),
            producer_id: 5,
            producer_epoch: 2,
            timeout_ms: 1,
            started_ms: Some(0),
            partitions: [TopicPartition::new("t", 0)].into(),
        };
        let known = Known::from([(5, described)]);
        let found = hanging(vec![open(0, 6), open(0, 5), open(1, 5)], &known);
        assert_eq!(found, [open(1, 5), open(0, 6)]);
    }

    #[test]
    fn how_long_a_transaction_is_open_is_told_in_whole_minutes() {
        let shown = row(&open(3, 5), 100_000 + 2 * MINUTE_MS - 1);
        assert_eq!(shown, ["t", "3", "5", "2", "-1", "4", "100000", "1"]);
    }
}
