//! Fetch: at the end of the log, out of files, and of what does not come.

use super::Once;
use crate::{
    machine::{Client, Machine},
    requests::{self, FETCH, FETCH_WAIT_MS, NO_SESSION, PRODUCE},
};
use corelane_core::{ids::TopicId, records::Codec};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use std::time::Duration;

const PARTITIONS: i32 = 16;

/// The bytes of records in an answer without errors.
fn records(response: &FetchResponse) -> usize {
    assert_eq!(response.error_code, 0);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let bytes = partitions.map(|partition| {
        assert_eq!(partition.error_code, 0);
        partition.records.as_ref().map_or(0, bytes::Bytes::len)
    });
    bytes.sum()
}

/// Begins a session of all partitions of an empty topic; its id.
fn begin_session(machine: &mut Machine, client: Client, topic: TopicId) -> i32 {
    let from: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    machine.send(client, FETCH, &requests::fetch(topic, &from, (0, 0)));
    let answer = nothing_comes(machine, client);
    assert_ne!(answer.session_id, 0, "a session is begun");
    answer.session_id
}

/// The answer to a fetch that waits in vain.
fn nothing_comes(machine: &mut Machine, client: Client) -> FetchResponse {
    assert!(machine.answer::<FetchRequest>(client, FETCH).is_none(), "it waits");
    machine.pass(Duration::from_millis(FETCH_WAIT_MS.unsigned_abs().into()));
    let answer = machine.answer::<FetchRequest>(client, FETCH).expect("its time is over");
    assert_eq!(records(&answer), 0);
    answer
}

/// In each request the partition of which something came is told anew.
pub fn tail(machine: &mut Machine) -> Once {
    let (consumer, producer) = (machine.connect(), machine.connect());
    let topic = requests::create_topic(machine, consumer, PARTITIONS);
    let session = begin_session(machine, consumer, topic);
    let produce = requests::produce(topic, 0..1, &requests::batch(1, Codec::None, None));
    let (mut offset, mut epoch) = (0, 0);
    Box::new(move |machine| {
        epoch += 1;
        machine.send(consumer, FETCH, &requests::fetch(topic, &[(0, offset)], (session, epoch)));
        assert!(machine.answer::<FetchRequest>(consumer, FETCH).is_none(), "it waits");
        let answer = machine.ask(producer, PRODUCE, &produce);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        let answer = machine.answer::<FetchRequest>(consumer, FETCH).expect("what was committed");
        assert!(records(&answer) > 1024);
        offset += 1;
    })
}

pub fn idle(machine: &mut Machine) -> Once {
    let consumer = machine.connect();
    let topic = requests::create_topic(machine, consumer, PARTITIONS);
    let session = begin_session(machine, consumer, topic);
    let mut epoch = 0;
    Box::new(move |machine| {
        epoch += 1;
        machine.send(consumer, FETCH, &requests::fetch(topic, &[], (session, epoch)));
        nothing_comes(machine, consumer);
    })
}

/// Goes over the older part of a log again and again; what memory holds is the newer one.
pub fn files(machine: &mut Machine) -> Once {
    const RECORDS: i64 = 256;
    const BATCHES: i64 = 48;
    let client = machine.connect();
    let topic = requests::create_topic(machine, client, 1);
    let batch = requests::batch(usize::try_from(RECORDS).expect("few"), Codec::None, None);
    let produce = requests::produce(topic, 0..1, &batch);
    for _ in 0..BATCHES {
        let answer = machine.ask(client, PRODUCE, &produce);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        machine.pass(Duration::from_millis(10));
    }
    let mut at = 0;
    Box::new(move |machine| {
        let before = machine.bytes_from_files();
        let fetch = requests::fetch(topic, &[(0, at * RECORDS)], NO_SESSION);
        let read = records(&machine.ask(client, FETCH, &fetch));
        assert!(read >= 3 * batch.len(), "a fetch of {read} bytes");
        assert_eq!(machine.bytes_from_files() - before, read as u64, "all of it comes out of files");
        at = (at + 3) % (BATCHES / 2);
    })
}
