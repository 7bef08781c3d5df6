//! aiokafka.

use corelane_client_tests::{Broker, Client, round_trip, sample};

#[test]
fn aiokafka_reads_back_what_it_produced() {
    let broker = Broker::start();
    round_trip(&broker, Client::Aiokafka, Client::Aiokafka, &sample(2000));
    broker.stop();
}
