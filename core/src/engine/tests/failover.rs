//! What clients are told of a broker that has just gone.

use super::{
    clients::name,
    cluster::{Cluster, TOPIC},
};
use corelane_seam::ConnectionId;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, metadata_request::MetadataRequestTopic};

const VERSION: i16 = 12;

fn ask(cluster: &mut Cluster, of: i32, client: ConnectionId, topic: Option<&str>) {
    let topic = topic.map(|topic| vec![MetadataRequestTopic::default().with_name(Some(name(topic)))]);
    cluster.send(of, client, VERSION, &MetadataRequest::default().with_topics(topic));
    cluster.settle();
}

/// The leader of the only partition, by the next answer, if there is one.
fn told(cluster: &mut Cluster, client: ConnectionId) -> Option<i32> {
    let response: MetadataResponse = cluster.response(client, VERSION)?;
    Some(response.topics[0].partitions[0].leader_id.0)
}

#[test]
fn who_asks_for_what_a_broker_led_that_has_just_gone_is_told_its_successor() {
    for topic in [None, Some(TOPIC)] {
        let mut cluster = Cluster::start(3, 1);
        let client = cluster.connect(2, 1);
        ask(&mut cluster, 2, client, topic);
        assert_eq!(told(&mut cluster, client), Some(1));
        cluster.vanish(1);
        cluster.settle();
        ask(&mut cluster, 2, client, topic);
        assert_eq!(told(&mut cluster, client), None, "it waits for the controller to notice");
        cluster.pass_ms(30);
        cluster.fence(1);
        cluster.settle();
        assert_eq!(told(&mut cluster, client), Some(2));
    }
}

#[test]
fn without_news_of_a_broker_that_has_gone_the_answer_comes_a_moment_later_and_then_at_once() {
    let mut cluster = Cluster::start(3, 1);
    cluster.vanish(1);
    cluster.settle();
    let client = cluster.connect(2, 1);
    ask(&mut cluster, 2, client, None);
    cluster.pass_ms(150);
    assert_eq!(told(&mut cluster, client), None);
    cluster.pass_ms(100);
    assert_eq!(told(&mut cluster, client), Some(1));
    ask(&mut cluster, 2, client, None);
    assert_eq!(told(&mut cluster, client), Some(1));
}

#[test]
fn nobody_waits_for_a_broker_that_led_nothing_of_what_is_asked_for() {
    let mut cluster = Cluster::start(3, 1);
    cluster.vanish(3);
    cluster.settle();
    let client = cluster.connect(1, 1);
    ask(&mut cluster, 1, client, None);
    assert_eq!(told(&mut cluster, client), Some(1));
}
