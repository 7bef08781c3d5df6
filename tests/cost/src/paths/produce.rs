//! Produce, each answered after the flush.

use super::Once;
use crate::{
    machine::{Client, Machine},
    requests::{self, PRODUCE},
};
use corelane_core::{
    ids::{PartitionId, ProducerId},
    records::Codec,
};
use corelane_seam::ShardId;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};

fn accepted(response: &ProduceResponse, partitions: usize) {
    let answers = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    let errors: Vec<i16> = answers.map(|partition| partition.error_code).collect();
    assert_eq!(errors, vec![0; partitions]);
}

fn ask(machine: &mut Machine, client: Client, request: &ProduceRequest, partitions: usize) {
    accepted(&machine.ask(client, PRODUCE, request), partitions);
}

/// The same request again and again, to the first partitions of a topic of 16.
fn repeat(machine: &mut Machine, records: usize, codec: Codec, partitions: i32) -> Once {
    let client = machine.connect();
    let topic = requests::create_topic(machine, client, 16);
    let request = requests::produce(topic, 0..partitions, &requests::batch(records, codec, None));
    let partitions = usize::try_from(partitions).expect("few");
    Box::new(move |machine| ask(machine, client, &request, partitions))
}

pub fn one_record(machine: &mut Machine) -> Once {
    repeat(machine, 1, Codec::None, 1)
}

pub fn to_16_partitions(machine: &mut Machine) -> Once {
    repeat(machine, 1, Codec::None, 16)
}

pub fn large(machine: &mut Machine) -> Once {
    repeat(machine, 256, Codec::None, 1)
}

pub fn large_compressed(machine: &mut Machine) -> Once {
    repeat(machine, 256, Codec::Lz4, 1)
}

pub fn idempotent(machine: &mut Machine) -> Once {
    let client = machine.connect();
    let topic = requests::create_topic(machine, client, 16);
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let producer = machine.ask(client, 4, &request);
    assert_eq!(producer.error_code, 0, "{producer:?}");
    let (id, mut sequence) = (ProducerId(producer.producer_id.0), 0);
    Box::new(move |machine| {
        let batch = requests::batch(1, Codec::None, Some((id, sequence)));
        sequence += 1;
        ask(machine, client, &requests::produce(topic, 0..1, &batch), 1);
    })
}

pub fn elsewhere(machine: &mut Machine) -> Once {
    let client = machine.connect();
    let topic = requests::create_topic(machine, client, 2);
    // The first shard has the connection.
    let index = (0..2).find(|index| PartitionId { topic, index: *index }.owner(2) != ShardId(0));
    let index = index.expect("successive partitions lie on successive shards");
    let request = requests::produce(topic, index..=index, &requests::batch(1, Codec::None, None));
    Box::new(move |machine| ask(machine, client, &request, 1))
}

/// Counted as one request: every sixteenth call sends sixteen.
pub fn sixteen_at_once(machine: &mut Machine) -> Once {
    let client = machine.connect();
    let topic = requests::create_topic(machine, client, 16);
    let request = requests::produce(topic, 0..1, &requests::batch(1, Codec::None, None));
    let requests = vec![request; 16];
    let mut calls = 0;
    Box::new(move |machine| {
        calls += 1;
        if calls % requests.len() == 0 {
            machine.send_all(client, PRODUCE, &requests);
            for _ in &requests {
                let answer = machine.answer::<ProduceRequest>(client, PRODUCE);
                accepted(&answer.expect("an answer to each"), 1);
            }
        }
    })
}
