//! kafkajs: old request versions. It reads only as a member of a group, so another client reads what it sent.

use corelane_client_tests::{Broker, Client, round_trip, sample};

#[test]
fn what_kafkajs_produced_is_read_back() {
    let broker = Broker::start();
    round_trip(&broker, Client::Kafkajs, Client::Librdkafka, &sample(500));
    broker.stop();
}
