//! Who appended to a partition is told by each of its replicas (KIP-664).

use super::{
    clients::{name, produce, sequenced},
    cluster::{Cluster, TOPIC, placed},
    failing_disks::fail_a_segment,
};
use crate::{error::ErrorCode, ids::NodeId};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, ProduceResponse,
    describe_producers_request::TopicRequest, describe_producers_response::PartitionResponse,
};

/// What broker `of` tells of a partition.
fn told(cluster: &mut Cluster, of: i32, index: i32) -> PartitionResponse {
    let client = cluster.connect(of, 700);
    let topic = TopicRequest::default().with_name(name(TOPIC)).with_partition_indexes(vec![index]);
    cluster.send(of, client, 0, &DescribeProducersRequest::default().with_topics(vec![topic]));
    cluster.settle();
    let response: DescribeProducersResponse = cluster.response(client, 0).expect("it is answered");
    response.topics[0].partitions[0].clone()
}

#[test]
fn a_follower_tells_the_same_producers_as_the_leader() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    for (sequence, values) in [(0, &["a", "b"][..]), (2, &["c"])] {
        cluster.send(1, client, 10, &produce(TOPIC, -1, &[(0, sequenced(values, 7, 3, sequence))]));
        cluster.settle();
        let response: ProduceResponse = cluster.response(client, 10).expect("it is answered");
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    let leaders = told(&mut cluster, 1, 0);
    let [producer] = &leaders.active_producers[..] else { panic!("{leaders:?}") };
    assert_eq!((producer.producer_id.0, producer.producer_epoch, producer.last_sequence), (7, 3, 2));
    assert_eq!(told(&mut cluster, 2, 0), leaders);
}

#[test]
fn a_broker_that_keeps_no_replica_tells_no_producers() {
    let mut cluster = Cluster::start(2, 1);
    cluster.apply(vec![placed(1, &[NodeId(1)], &[NodeId(1)])]);
    cluster.settle();
    assert_eq!(told(&mut cluster, 1, 1).error_code, 0);
    assert_eq!(told(&mut cluster, 2, 1).error_code, ErrorCode::NotLeaderOrFollower.code());
}

#[test]
fn a_replica_whose_log_is_offline_tells_no_producers() {
    for broken in [1, 2] {
        let mut cluster = Cluster::start(2, 2);
        fail_a_segment(&mut cluster, broken);
        assert_eq!(told(&mut cluster, broken, 0).error_code, ErrorCode::KafkaStorageError.code());
        assert_eq!(told(&mut cluster, 3 - broken, 0).error_code, 0);
    }
}
