//! rskafka: old request versions only, such as Fetch 4. It names the partition itself and brings no topic into being.

use std::collections::BTreeMap;

use chrono::DateTime;
use corelane_client_tests::Broker;
use rskafka::{
    client::{
        Client, ClientBuilder,
        partition::{Compression, OffsetAt, UnknownTopicHandling},
    },
    record::Record,
};

const PARTITIONS: i32 = 3;

fn sample(count: i64) -> Vec<Record> {
    (0..count)
        .map(|index| Record {
            key: (index % 7 != 3).then(|| format!("key-{}", index % 50).into_bytes()),
            value: (index % 20 != 11).then(|| format!("value {index}").into_bytes()),
            headers: BTreeMap::from([("trace".to_owned(), vec![0, 255])]),
            timestamp: DateTime::from_timestamp_millis(1_700_000_000_000 + index).expect("a date"),
        })
        .collect()
}

async fn round_trip(client: &Client, partition: i32) {
    let partition = client
        .partition_client("created", partition, UnknownTopicHandling::Retry)
        .await
        .expect("the partition has a leader");
    let sent = sample(500);
    let mut acknowledged = Vec::new();
    for chunk in sent.chunks(100) {
        let offsets = partition.produce(chunk.to_vec(), Compression::NoCompression).await;
        acknowledged.extend(offsets.expect("acknowledged"));
    }
    assert!(acknowledged.iter().copied().eq(0..500), "{acknowledged:?}");
    assert_eq!(partition.get_offset(OffsetAt::Earliest).await.expect("an offset"), 0);
    let end = partition.get_offset(OffsetAt::Latest).await.expect("an offset");
    assert_eq!(end, 500);

    let mut read = Vec::new();
    while let Ok(next) = i64::try_from(read.len())
        && next < end
    {
        let (records, watermark) = partition.fetch_records(next, 1..1_000_000, 1000).await.expect("records");
        assert_eq!(watermark, end);
        assert!(records.iter().map(|record| record.offset).zip(next..).all(|(offset, next)| offset == next));
        read.extend(records.into_iter().map(|record| record.record));
    }
    assert!(read == sent, "what was read is what was sent");
}

#[test]
fn rskafka_reads_back_what_it_produced() {
    let broker = Broker::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = ClientBuilder::new(vec![broker.address().to_owned()]).build().await.expect("connected");
        let controller = client.controller_client().expect("a controller");
        controller.create_topic("created", PARTITIONS, 1, 10_000).await.expect("created");
        for partition in 0..PARTITIONS {
            round_trip(&client, partition).await;
        }
    });
    broker.stop();
}
