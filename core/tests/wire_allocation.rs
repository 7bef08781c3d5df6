//! No frame makes the way in (header, guard, decoder) allocate more than four times its size and the allowance;
//! and ordinary requests, large ones too, stay below that.

#[path = "wire_support/allocation.rs"]
mod allocation;
#[path = "wire_support/mutation.rs"]
mod mutation;
#[path = "wire_support/values.rs"]
mod values;

use allocation::{Counting, INCIDENTALS_BYTES, allocated_by};
use bytes::{BufMut, Bytes};
use corelane_core::wire::{Fault, WireError, encode_request, guard, known_keys, try_frame, versions};
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest,
        ProduceRequest, TopicName, create_topics_request, fetch_request, list_offsets_request,
        metadata_request, produce_request,
    },
    protocol::{Request, StrBytes},
};
use values::{Values, Visitor, visit_served};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn try_within_budget(frame: Vec<u8>) -> Result<(), WireError> {
    let budget = guard::decode_budget_bytes(frame.len()) + INCIDENTALS_BYTES;
    let frame = Bytes::from(frame);
    let (outcome, allocated) = allocated_by(|| try_frame(&frame));
    assert!(allocated <= budget, "{allocated} bytes for a frame of {}: {outcome:?}", frame.len());
    outcome.map(drop)
}

#[test]
fn random_requests_and_their_mutations_stay_within_the_budget() {
    struct Mutations;
    impl Visitor for Mutations {
        fn request<T: Request>(&mut self, random: fn(&mut Values) -> T) {
            for version in T::VERSIONS.min..=T::VERSIONS.max {
                for seed in 0..100 {
                    let mut values = Values::new(seed, version);
                    let request = random(&mut values);
                    let frame = encode_request(1, None, version, &request).expect("fields suit the version");
                    try_within_budget(frame[4..].to_vec()).expect("what the crate encodes is accepted");
                    for _ in 0..20 {
                        let mut damaged = frame[4..].to_vec();
                        mutation::mutate(&mut values, &mut damaged);
                        let _ = try_within_budget(damaged);
                    }
                }
            }
        }
    }
    visit_served(&mut Mutations);
}

#[test]
fn nothing_but_fillers_stays_within_the_budget_for_every_key_and_version() {
    for key in known_keys() {
        let versions = versions(key).expect("it is known");
        for version in versions.min..=versions.max {
            for filler in [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff] {
                for behind in [0, 1, 2, 3, 5, 8, 40, 100_000] {
                    for lengths in [&[][..], &[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
                        let mut frame = header(key, version);
                        frame.extend(std::iter::repeat_n(0, behind % 41));
                        frame.extend(lengths);
                        frame.extend(std::iter::repeat_n(filler, behind));
                        let _ = try_within_budget(frame);
                    }
                }
            }
        }
    }
}

/// A header without client id and, where the version has them, without tagged fields.
fn header(key: i16, version: i16) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(1);
    frame.put_i16(-1);
    frame.put_u8(0);
    frame
}

#[test]
fn a_count_of_two_billion_in_twelve_bytes_is_refused() {
    // Produce v9: null transactional id, acks, timeout, and a compact array of 2^31 topics.
    let mut frame = header(ProduceRequest::KEY, 9);
    frame.put_u8(0);
    frame.put_i16(1);
    frame.put_i32(1000);
    frame.extend([0x81, 0x80, 0x80, 0x80, 0x08]);
    let outcome = try_within_budget(frame);
    assert!(
        matches!(outcome, Err(WireError::Malformed { field: "topic_data", fault: Fault::Count, .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_frame_of_the_smallest_elements_is_refused_for_its_memory() {
    // Empty names: a byte each on the wire, 32 in memory.
    let names = vec![TopicName::default(); 1_000_000];
    let request = DeleteTopicsRequest::default().with_topic_names(names);
    let frame = encode_request(1, None, 5, &request).expect("fields suit the version");
    let outcome = try_within_budget(frame[4..].to_vec());
    assert!(
        matches!(outcome, Err(WireError::Malformed { field: "topic_names", fault: Fault::Memory, .. })),
        "{outcome:?}"
    );
}

#[test]
fn maps_of_unknown_tagged_fields_are_counted() {
    // A tagged field of no bytes makes the crate allocate a tree's node for each of these topics.
    let topic = metadata_request::MetadataRequestTopic::default()
        .with_name(Some(name(1)))
        .with_unknown_tagged_field(7, Bytes::new());
    for (topics, accepted) in [(300, true), (10_000, false)] {
        let request = MetadataRequest::default().with_topics(Some(vec![topic.clone(); topics]));
        let frame = encode_request(1, None, 12, &request).expect("fields suit the version");
        let outcome = try_within_budget(frame[4..].to_vec());
        assert_eq!(outcome.is_ok(), accepted, "{topics} topics: {outcome:?}");
    }
    // All on one struct: nodes by number of fields.
    let tags = (0..50_000).map(|tag| (tag, Bytes::new())).collect();
    let request = MetadataRequest::default().with_unknown_tagged_fields(tags);
    let frame = encode_request(1, None, 12, &request).expect("fields suit the version");
    assert!(try_within_budget(frame[4..].to_vec()).is_err());
}

/// As short as operators make them: "orders-00017".
fn name(number: usize) -> TopicName {
    StrBytes::from_string(format!("orders-{number:05}")).into()
}

fn accepts<T: Request>(what: &str, request: &T, version: i16) {
    let frame = encode_request(1, Some("client"), version, request).expect("fields suit the version");
    if let Err(error) = try_within_budget(frame[4..].to_vec()) {
        panic!("{what}: {error}");
    }
}

#[test]
fn metadata_of_ten_thousand_topics_is_ordinary() {
    let topic = |number| metadata_request::MetadataRequestTopic::default().with_name(Some(name(number)));
    let topics: Vec<_> = (0..10_000).map(topic).collect();
    for version in 0..=13 {
        accepts("Metadata", &MetadataRequest::default().with_topics(Some(topics.clone())), version);
    }
}

#[test]
fn ten_thousand_partitions_in_one_request_are_ordinary() {
    for version in 4..=18 {
        let partitions = vec![fetch_request::FetchPartition::default(); 10_000];
        let mut topic = fetch_request::FetchTopic::default().with_partitions(partitions);
        if version < 13 {
            topic.topic = name(1);
        }
        accepts("Fetch", &FetchRequest::default().with_topics(vec![topic]), version);
    }
    for version in 1..=10 {
        let topic = |number| {
            let partitions = vec![list_offsets_request::ListOffsetsPartition::default(); 4];
            list_offsets_request::ListOffsetsTopic::default()
                .with_name(name(number))
                .with_partitions(partitions)
        };
        let topics = (0..2_500).map(topic).collect();
        accepts("ListOffsets", &ListOffsetsRequest::default().with_topics(topics), version);
    }
}

#[test]
fn a_thousand_topics_with_configurations_created_at_once_are_ordinary() {
    for version in 2..=7 {
        let config = create_topics_request::CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("cleanup.policy"))
            .with_value(Some(StrBytes::from_static_str("compact")));
        let topic = |number| {
            create_topics_request::CreatableTopic::default()
                .with_name(name(number))
                .with_num_partitions(10)
                .with_replication_factor(3)
                .with_configs(vec![config.clone(); 2])
        };
        let topics = (0..1_000).map(topic).collect();
        accepts("CreateTopics", &CreateTopicsRequest::default().with_topics(topics), version);
    }
}

#[test]
fn decoding_a_produce_request_copies_no_records() {
    let records = Bytes::from(vec![7; 1 << 20]);
    let partition = produce_request::PartitionProduceData::default().with_records(Some(records));
    let topic = produce_request::TopicProduceData::default().with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_topic_data(vec![topic]);
    for version in 3..=13 {
        let frame = encode_request(1, None, version, &request).expect("fields suit the version").slice(4..);
        let (outcome, allocated) = allocated_by(|| try_frame(&frame));
        assert!(outcome.is_ok() && allocated < 1024, "{allocated} bytes: {outcome:?}");
    }
}
