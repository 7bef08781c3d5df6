//! @platformatic/kafka: only the newest request versions.

use corelane_client_tests::{Broker, Client, round_trip, sample};

#[test]
fn platformatic_reads_back_what_it_produced() {
    let broker = Broker::start();
    round_trip(&broker, Client::Platformatic, Client::Platformatic, &sample(500));
    broker.stop();
}
