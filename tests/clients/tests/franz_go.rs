//! franz-go.

use corelane_client_tests::{Broker, Client, round_trip, sample};

#[test]
fn franz_go_reads_back_what_it_produced() {
    let broker = Broker::start();
    round_trip(&broker, Client::FranzGo, Client::FranzGo, &sample(2000));
    broker.stop();
}
