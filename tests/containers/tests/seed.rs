//! A compose file as people write it, with its image replaced: every command that the page teaches, and the loss of a
//! broker, which comes back.

use corelane_container_tests::{Cluster, Ran, start};
use std::{path::Path, time::Duration};

/// One command per line, as it is taught.
const COMMANDS: &str = include_str!("../../clients/seed/commands.txt");
const TOPIC: &str = "orders";
const GROUP: &str = "shop";
const INSIDE: &str = "kafka-1:29092";

/// Without the broker 2, whose port is 9093.
const HOST: &str = "127.0.0.1:9092,127.0.0.1:9094";

/// How long a record may take to a consumer that waits for it; groups form, and brokers that are gone are found out.
const PATIENCE: Duration = Duration::from_secs(60);

struct Page {
    cluster: Box<dyn Cluster>,
    produced: Vec<String>,
}

/// The words of one of the page's commands.
fn taught(tool: &str, option: &str) -> Vec<String> {
    let line = COMMANDS
        .lines()
        .find(|line| line.starts_with(&format!("{tool} ")) && line.contains(option))
        .unwrap_or_else(|| panic!("the page teaches no {tool} {option}"));
    line.replace("{TOPIC_NAME}", TOPIC).replace("{GROUP_ID}", GROUP).split(' ').map(str::to_owned).collect()
}

fn lines(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut lines: Vec<String> = ran.out.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

impl Page {
    /// Inside `kafka-1`, exactly as written.
    fn run(&self, tool: &str, option: &str, input: &str) -> Ran {
        let words = taught(tool, option);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = self.cluster.inside("kafka-1", &words, input).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
        ran
    }

    /// Three records with the producer of the page.
    fn produce(&mut self, what: &str) {
        let records: Vec<String> = (0..3).map(|number| format!("{what} {number}")).collect();
        let ran = self.run("kafka-console-producer", "", &(records.join("\n") + "\n"));
        assert!(!ran.err.contains("ERROR"), "{ran:?}");
        self.produced.extend(records);
    }

    /// Records for every partition from the host, through published ports, by a producer with the patience that
    /// applications have by default. The console's own is six seconds: a cluster may take longer to find out that a broker is dead.
    fn produce_from_the_host(&mut self, what: &str) {
        let records: Vec<String> = (0..20).map(|number| format!("{what} {number}")).collect();
        let mut words = vec!["kafka-console-producer", "--bootstrap-server", HOST, "--topic", TOPIC];
        words.extend(["--request-timeout-ms", "30000", "--message-send-max-retries", "2147483647"]);
        // A key each, which spreads them.
        words.extend(["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]);
        let lines: String = records.iter().map(|record| format!("{record}:{record}\n")).collect();
        let ran = self.cluster.tool_on_host(&words, &lines).expect("it runs");
        assert!(ran.code == 0 && !ran.err.contains("ERROR"), "{ran:?}");
        self.produced.extend(records);
    }

    fn all_produced(&self) -> Vec<String> {
        let mut all = self.produced.clone();
        all.sort();
        all
    }

    /// Everything from the beginning, read on the host.
    fn assert_all_is_read_on_the_host(&self, bootstrap: &str) {
        let count = self.produced.len().to_string();
        let words =
            ["kafka-console-consumer", "--bootstrap-server", bootstrap, "--topic", TOPIC, "--from-beginning"];
        let ran = self.cluster.tool_on_host(&[&words[..], &["--max-messages", &count]].concat(), "");
        assert_eq!(lines(&ran.expect("it runs")), self.all_produced());
    }

    /// Everything from the beginning, read with the consumer of the page, which waits for more until it is ended.
    fn assert_all_is_read_as_taught(&self) {
        let words = taught("kafka-console-consumer", "");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let consumer = self.cluster.inside_on_and_on("kafka-1", &words).expect("it runs");
        let mut read: Vec<String> = Vec::new();
        while read.len() < self.produced.len() {
            read.push(consumer.await_line("", PATIENCE).unwrap_or_else(|error| panic!("{error:#}")));
        }
        read.sort();
        assert_eq!(read, self.all_produced());
    }

    /// Waits until no partition, of the topic or of the cluster's own, lacks a replica.
    fn await_full_isr(&self) {
        let words =
            ["kafka-topics", "--bootstrap-server", INSIDE, "--describe", "--under-replicated-partitions"];
        let full = |ran: &Ran| ran.code == 0 && ran.out.trim().is_empty();
        self.cluster.await_inside("kafka-1", &words, full).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Each partition's leader, replicas and those in sync, as described inside `kafka-1`.
    fn described(&self) -> Vec<Partition> {
        let ran = self.run("kafka-topics", "--describe", "");
        ran.out.lines().filter(|line| line.contains("Partition: ")).map(Partition::read).collect()
    }
}

#[derive(Debug)]
struct Partition {
    leader: String,
    replicas: Vec<String>,
    in_sync: Vec<String>,
}

impl Partition {
    fn read(line: &str) -> Partition {
        let after = |name: &str| {
            let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line:?}"));
            rest.split_whitespace().next().unwrap_or_default().to_owned()
        };
        let sorted = |text: String| {
            let mut brokers: Vec<String> = text.split(',').map(str::to_owned).collect();
            brokers.sort();
            brokers
        };
        Partition {
            leader: after("Leader: "),
            replicas: sorted(after("Replicas: ")),
            in_sync: sorted(after("Isr: ")),
        }
    }
}

#[test]
fn the_pages_compose_file_runs_every_command_of_the_page_and_goes_on_without_a_broker_that_returns_and_catches_up()
 {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("seed/docker-compose-use-kraft.yml");
    let Some(cluster) = start(&file).unwrap_or_else(|error| panic!("{error:#}")) else { return };
    let mut page = Page { cluster, produced: Vec::new() };
    assert_eq!(COMMANDS.lines().count(), 8, "a command more is a line more here");

    assert_eq!(page.run("kafka-topics", "--list", "").out.trim(), "");
    let made = page.run("kafka-topics", "--replication-factor 2", "");
    assert_eq!(made.out.trim(), format!("Created topic {TOPIC}."));
    page.produce("all three live");
    page.produce_from_the_host("from the host");
    page.assert_all_is_read_as_taught();
    page.assert_all_is_read_on_the_host(HOST);
    let partitions = page.described();
    assert_eq!(partitions.len(), 3);
    assert!(
        partitions.iter().all(|it| it.replicas.len() == 2 && it.in_sync == it.replicas),
        "{partitions:?}"
    );
    assert!(partitions.iter().any(|it| it.leader == "2"), "the loss of 2 would show nothing: {partitions:?}");
    commit(&page);
    assert!(page.run("kafka-consumer-groups", "--list", "").out.lines().any(|line| line == GROUP));
    let group = page.run("kafka-consumer-groups", "--group", "").out;
    assert_eq!(
        group.lines().filter(|line| line.starts_with(GROUP) && line.contains(TOPIC)).count(),
        3,
        "{group}"
    );

    page.cluster.kill("kafka-2").expect("it is killed");
    page.produce_from_the_host("2 is dead, from the host");
    page.produce("2 is dead");
    page.assert_all_is_read_as_taught();
    page.assert_all_is_read_on_the_host(HOST);
    let partitions = page.described();
    assert!(partitions.iter().all(|it| it.leader != "2" && it.leader != "none"), "{partitions:?}");
    assert!(page.run("kafka-consumer-groups", "--list", "").out.lines().any(|line| line == GROUP));

    page.cluster.start("kafka-2").expect("it is started");
    page.cluster.await_serving("kafka-2", 2).unwrap_or_else(|error| panic!("{error:#}"));
    page.await_full_isr();
    let partitions = page.described();
    assert!(partitions.iter().all(|it| it.in_sync == it.replicas), "{partitions:?}");
    page.produce("2 is back");

    // What 2 holds alone now, it must have caught up with.
    page.await_full_isr();
    page.cluster.kill("kafka-1").expect("it is killed");
    page.assert_all_is_read_on_the_host("127.0.0.1:9093,127.0.0.1:9094");
    page.cluster.start("kafka-1").expect("it is started");
    page.cluster.await_serving("kafka-1", 2).unwrap_or_else(|error| panic!("{error:#}"));
    page.await_full_isr();

    page.run("kafka-topics", "--delete", "");
    let listed = page.run("kafka-topics", "--list", "").out;
    assert!(!listed.lines().any(|line| line == TOPIC), "{listed}");
    assert_least_privilege(&page);
}

/// Reads as a group that commits how far it came, which is what the page describes.
fn commit(page: &Page) {
    let count = page.produced.len().to_string();
    let words = taught("kafka-console-consumer", "");
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["--group", GROUP, "--max-messages", &count]);
    let ran = page.cluster.inside("kafka-1", &words, "").expect("it runs");
    assert_eq!(lines(&ran), page.all_produced());
}

/// Every broker has become the image's user for good, on folders that an engine made as root.
fn assert_least_privilege(page: &Page) {
    for service in ["kafka-1", "kafka-2", "kafka-3"] {
        let said = page.cluster.said(service).expect("it is told");
        assert!(said.contains("gave 1 files and folders of /var/lib/kafka/data to user 1000"), "{said}");
        // A process's name is cut after fifteen characters.
        let find = "for it in /proc/[0-9]*; do if grep -q '^Name:.corelane$' $it/status; then cat $it/status; fi; done";
        let status = page.cluster.inside(service, &["sh", "-c", find], "").expect("it runs").out;
        let field = |name: &str| {
            let line = status
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name}: {status}"));
            line[name.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("Uid:"), ["1000"; 4]);
        assert_eq!(field("Gid:"), ["1000"; 4]);
        assert_eq!(field("Groups:"), [""; 0]);
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        assert_eq!(field("CapPrm:"), ["0000000000000000"]);
        assert_eq!(field("NoNewPrivs:"), ["1"]);
    }
}
