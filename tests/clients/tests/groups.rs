//! Members of groups: they find a coordinator, but no group is served, and each client says so instead of waiting.

use corelane_client_tests::{Broker, Client, jars, python, refused};

/// Reads as a member of a group for ever, or until an error.
const KAFKA_PYTHON: &str = r#"
import sys
from kafka import KafkaConsumer
for message in KafkaConsumer("topic", bootstrap_servers=sys.argv[1], group_id="group"):
    print(message)
"#;

#[test]
fn a_member_of_a_group_is_told_that_the_broker_does_not_support_it() {
    let broker = Broker::start();
    Client::Librdkafka.create(broker.address(), "topic", 2);
    let librdkafka = refused("kcat", &["-b", broker.address(), "-G", "group", "topic"]);
    assert!(librdkafka.contains("JoinGroup failed: Local: Required feature not supported"), "{librdkafka}");

    let kafka_python = refused(python(), &["-c", KAFKA_PYTHON, broker.address()]);
    assert!(kafka_python.contains("does not support the 'JoinGroupRequest'"), "{kafka_python}");

    for (protocol, asked) in [("classic", "JOIN_GROUP"), ("consumer", "CONSUMER_GROUP_HEARTBEAT")] {
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let protocol = format!("group.protocol={protocol}");
        let server = ["--bootstrap-server", broker.address(), "--topic", "topic", "--group", "group"];
        let arguments = [&["-cp", &jars(), class], &server[..], &["--consumer-property", &protocol]];
        let java = refused("java", &arguments.concat());
        assert!(java.contains("UnsupportedVersionException"), "{java}");
        assert!(java.contains(&format!("The node does not support {asked}")), "{java}");
    }
    broker.stop();
}
