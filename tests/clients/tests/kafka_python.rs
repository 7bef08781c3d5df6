//! kafka-python.

use corelane_client_tests::{Broker, Client, round_trip, sample};

#[test]
fn kafka_python_reads_back_what_it_produced() {
    let broker = Broker::start();
    round_trip(&broker, Client::KafkaPython, Client::KafkaPython, &sample(2000));
    broker.stop();
}
