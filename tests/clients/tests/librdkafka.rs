//! librdkafka by confluent-kafka: the current release, where kcat has an old one.

use corelane_client_tests::{Broker, Client, round_trip, sample};

#[test]
fn librdkafka_reads_back_what_it_produced() {
    let broker = Broker::start();
    round_trip(&broker, Client::Librdkafka, Client::Librdkafka, &sample(2000));
    broker.stop();
}
