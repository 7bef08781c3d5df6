//! Every command that a first page on Kafka teaches, as it is written there, with Apache Kafka's tools and with ours: they
//! print the same on the same broker.

use corelane_client_tests::{Broker, Pair, ours};

/// One command per line, as it is taught.
const COMMANDS: &str = include_str!("../seed/commands.txt");
const GROUP: &str = "shop";

/// The tool and the arguments of each command, for this broker.
fn commands(address: &str) -> Vec<(String, Vec<String>)> {
    let for_this_broker = |line: &str| {
        let line = line.replace("kafka-1:29092", address).replace("{GROUP_ID}", GROUP);
        let mut words = line.split_whitespace().map(|word| word.replace("{TOPIC_NAME}", "{}"));
        (words.next().expect("a tool"), words.collect())
    };
    COMMANDS.lines().map(for_this_broker).collect()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn with_topic(arguments: &[String], topic: &str) -> Vec<String> {
    arguments.iter().map(|word| word.replace("{}", topic)).collect()
}

#[test]
fn the_commands_of_a_first_page_print_the_same_with_both_editions() {
    let broker = Broker::start();
    let mut pair = Pair::start();
    // Each edition has a topic to make and to delete.
    let topics = ["orders-of-kafka", "orders-of-ours"];
    let mut ran = 0;
    for (tool, arguments) in commands(broker.address()) {
        let on_one = with_topic(&arguments, topics[0]);
        match tool.as_str() {
            "kafka-topics" if arguments.contains(&"--create".to_owned()) => {
                // Two replicas need two brokers, of which there is one: both editions say so.
                pair.same(&tool, &words(&on_one));
                let one_replica: Vec<String> =
                    arguments.iter().map(|word| if word == "2" { "1" } else { word }.to_owned()).collect();
                pair.each(&tool, &words(&one_replica), topics);
            }
            "kafka-topics" if arguments.contains(&"--delete".to_owned()) => {
                pair.each(&tool, &words(&arguments), topics);
            }
            "kafka-console-producer" => {
                pair.same_with_input(&tool, &words(&on_one), "first\nsecond\n");
            }
            "kafka-console-consumer" => {
                // As taught it waits for more until it is interrupted: it is told how many there are.
                let bounded = [&words(&on_one)[..], &["--max-messages", "4"]].concat();
                pair.same_lines(&tool, &bounded);
                // The group that is described below.
                let member = [&bounded[..], &["--group", GROUP]].concat();
                assert_eq!(ours(&tool, &member, "").code, 0);
            }
            _ => {
                pair.same_lines(&tool, &words(&on_one));
            }
        }
        ran += 1;
    }
    assert_eq!(ran, 8);
    pair.finish();
    broker.stop();
}
