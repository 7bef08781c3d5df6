//! `kafka-transactions` beside Apache Kafka's own: transactions that are known, that are ended, and that hang, on Apache Kafka's
//! broker and on ours.

use anyhow::{Context, Result, ensure};
use corelane_client_tests::{Broker, KafkaBroker, Pair, Ran, ours};
use corelane_fault_tests::{
    ACKS_ALL, Client,
    cluster::{Cluster, ClusterOptions},
    requests::{ProducerEpoch, ProducerId, produce_request, produced, transactional_batch},
};
use kafka_protocol::{
    messages::{
        AddPartitionsToTxnRequest, InitProducerIdRequest, TopicName, TransactionalId,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
    },
    protocol::StrBytes,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TOOL: &str = "kafka-transactions";

/// The last version of Produce that adds no partition to its transaction (KIP-890).
const PRODUCE: i16 = 11;

/// What one edition changes, and the other.
const BOTH: [&str; 2] = ["their", "owned"];

/// Partitions take batches of transactions that no coordinator knows, as before KIP-890.
const UNVERIFIED: &str = "transaction.partition.verification.enable=false";

type Producer = (ProducerId, ProducerEpoch);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// So long ago that Kafka's tool takes what is open since then for hanging, if nobody knows it.
fn long_ago() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from((now - Duration::from_secs(20 * 60)).as_millis()).expect("small")
}

/// Writes a batch of a transaction, which that may not know of, to partition 0 of a topic.
fn write(client: &mut Client, topic: &str, producer: Producer, sequence: i32, at: i64) -> Result<()> {
    let batch = transactional_batch(producer, sequence, at, b"open");
    let request = produce_request(topic, &[(0, batch)], ACKS_ALL)
        .with_transactional_id(Some(TransactionalId(text(topic))));
    let answers = produced(&client.call(PRODUCE, &request)?)?;
    let (_, answer) = answers.first().context("no partition in the answer")?;
    ensure!(answer.error.is_none(), "{answer:?}");
    Ok(())
}

/// Begins a transaction of the transactional id that is called as the topic is, with a record in it.
fn begin(client: &mut Client, topic: &str, at: i64) -> Result<()> {
    let id = || TransactionalId(text(topic));
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(600_000);
    let producer = client.call(4, &init)?;
    ensure!(producer.error_code == 0, "InitProducerId: {producer:?}");
    let partitions =
        AddPartitionsToTxnTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![0]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_producer_id(producer.producer_id)
        .with_v3_and_below_producer_epoch(producer.producer_epoch)
        .with_v3_and_below_topics(vec![partitions]);
    let added = client.call(3, &add)?;
    let errors = added.results_by_topic_v3_and_below.iter().flat_map(|it| &it.results_by_partition);
    ensure!(errors.clone().all(|it| it.partition_error_code == 0), "AddPartitionsToTxn: {added:?}");
    let producer = (ProducerId(producer.producer_id.0), ProducerEpoch(producer.producer_epoch));
    write(client, topic, producer, 0, at)
}

/// A producer that no coordinator knows. Kafka's broker has no id to give for a moment.
fn nobodys(client: &mut Client) -> Result<Producer> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match client.init_producer_id() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
            producer => return producer,
        }
    }
}

/// Rows without their last column, which says how long something lasts, in some order.
fn without_durations(out: &str) -> String {
    let mut rows: Vec<&str> =
        out.lines().map(|row| row.trim_end().rsplit_once('\t').map_or(row, |(row, _)| row)).collect();
    rows.sort_unstable();
    rows.join("\n")
}

/// Descriptions without how long a transaction lasts.
fn without_age(out: &str) -> String {
    let row = |row: &str| -> String {
        let cells = row.split('\t').enumerate().filter(|(column, _)| *column != 7);
        cells.map(|(_, cell)| cell).collect::<Vec<_>>().join("\t")
    };
    out.lines().map(row).collect::<Vec<_>>().join("\n")
}

/// Both brokers, which take whatever is written.
fn on_both(scenario: fn(&str, &mut Pair, &mut Client) -> Result<()>) -> Result<()> {
    let settings = ["replication.factor=1", "min.isr=1", "num.partitions=1"]
        .map(|it| format!("transaction.state.log.{it}"));
    let kafka = KafkaBroker::start(&["PLAINTEXT"], &[&settings[..], &[UNVERIFIED.to_owned()]].concat());
    let own = Broker::start_with(&[UNVERIFIED]);
    let mut pair = Pair::start();
    for address in [kafka.address("PLAINTEXT"), own.address()] {
        for topic in BOTH {
            let create = ["--bootstrap-server", address, "--create", "--topic", topic, "--partitions", "1"];
            let created = ours("kafka-topics", &create, "");
            ensure!(created.code == 0, "{created:?}");
        }
        scenario(address, &mut pair, &mut Client::connect(address.parse()?)?)?;
    }
    pair.finish();
    own.stop();
    Ok(())
}

/// How many rows a table has below its headers.
fn rows(ran: &Ran) -> usize {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out.lines().count() - 1
}

#[test]
fn what_hangs_is_found_and_aborted_as_by_kafka() -> Result<()> {
    on_both(hang)
}

fn hang(address: &str, pair: &mut Pair, client: &mut Client) -> Result<()> {
    let server = ["--bootstrap-server", address];
    let on = |arguments: &[&'static str]| [&server[..], arguments].concat();
    let producer = nobodys(client)?;
    let id = producer.0.0.to_string();
    for topic in BOTH {
        write(client, topic, producer, 0, long_ago())?;
    }
    let find = |pair: &mut Pair, arguments: &[&'static str], count: usize| {
        let found = pair.same_but(TOOL, &on(&[&["find-hanging"], arguments].concat()), without_durations);
        assert_eq!(rows(&found), count, "{arguments:?}: {found:?}");
    };
    let find_both = |pair: &mut Pair, count: usize| {
        find(pair, &["--broker-id", "1"], 2 * count);
        find(pair, &["--broker-id", "9"], 0);
        for topic in BOTH {
            find(pair, &["--topic", topic], count);
            find(pair, &["--topic", topic, "--partition", "0"], count);
            find(pair, &["--topic", topic, "--broker-id", "1"], count);
            find(pair, &["--topic", topic, "--max-transaction-timeout", "60"], 0);
        }
    };
    let producers = |pair: &mut Pair| {
        for topic in BOTH {
            let arguments = on(&["describe-producers", "--topic", topic, "--partition", "0"]);
            assert_eq!(rows(&pair.same(TOOL, &arguments)), 1);
            pair.same(TOOL, &[&arguments[..], &["--broker-id", "1"]].concat());
        }
    };
    find_both(pair, 1);
    producers(pair);
    pair.same(TOOL, &on(&["abort", "--topic", "their", "--partition", "0", "--start-offset", "7"]));
    pair.each(TOOL, &on(&["abort", "--topic", "{}", "--partition", "0", "--start-offset", "0"]), BOTH);
    find_both(pair, 0);
    producers(pair);
    // The marker is at 1.
    for topic in BOTH {
        write(client, topic, producer, 1, long_ago())?;
    }
    find_both(pair, 1);
    let abort = |pair: &mut Pair, epoch: &str, coordinator: &str| {
        let whose = ["--producer-id", &id, "--producer-epoch", epoch, "--coordinator-epoch", coordinator];
        let arguments = on(&["abort", "--topic", "{}", "--partition", "0"]);
        pair.each(TOOL, &[&arguments[..], &whose].concat(), BOTH);
    };
    // A later epoch of the producer's fences those before it.
    abort(pair, "3", "5");
    find_both(pair, 0);
    producers(pair);
    for (epoch, coordinator) in [("3", "4"), ("3", "-1"), ("2", "5")] {
        abort(pair, epoch, coordinator);
    }
    producers(pair);
    Ok(())
}

#[test]
fn transactions_are_listed_described_and_ended_as_by_kafka() -> Result<()> {
    on_both(known)
}

fn known(address: &str, pair: &mut Pair, client: &mut Client) -> Result<()> {
    let server = ["--bootstrap-server", address];
    let on = |arguments: &[&'static str]| [&server[..], arguments].concat();
    pair.same(TOOL, &on(&["list"]));
    let terminate = |pair: &mut Pair| {
        pair.each(TOOL, &on(&["forceTerminateTransaction", "--transactionalId", "{}"]), BOTH);
    };
    let describe = |pair: &mut Pair, state: &str| {
        for id in BOTH {
            let arguments = on(&["describe", "--transactional-id", id]);
            let told = pair.same_but(TOOL, &arguments, without_age);
            assert!(told.out.contains(state), "{told:?}");
        }
    };
    let list = |pair: &mut Pair| {
        for arguments in [
            &[][..],
            &["--duration-filter", "-1"],
            &["--duration-filter", "0"],
            &["--duration-filter", "100000000"],
            &["--transactional-id-pattern", "th.*"],
            &["--transactional-id-pattern", "th"],
            &["--transactional-id-pattern", ""],
        ] {
            pair.same_lines(TOOL, &on(&[&["list"], arguments].concat()));
        }
    };
    // An id that nobody used is there from then on.
    terminate(pair);
    describe(pair, "Empty");
    list(pair);
    for topic in BOTH {
        begin(client, topic, long_ago())?;
    }
    describe(pair, "Ongoing");
    list(pair);
    // Their coordinator knows them, so that they do not hang.
    let found = pair.same_but(TOOL, &on(&["find-hanging", "--broker-id", "1"]), without_durations);
    assert_eq!(rows(&found), 0, "{found:?}");
    let producers = |pair: &mut Pair| {
        for topic in BOTH {
            pair.same(TOOL, &on(&["describe-producers", "--topic", topic, "--partition", "0"]));
        }
    };
    producers(pair);
    // In the one partition only: the coordinator does not hear of it.
    pair.each(TOOL, &on(&["abort", "--topic", "{}", "--partition", "0", "--start-offset", "0"]), BOTH);
    producers(pair);
    describe(pair, "Ongoing");
    terminate(pair);
    describe(pair, "Empty");
    producers(pair);
    list(pair);
    let told = pair.same(TOOL, &on(&["describe", "--transactional-id", "nobody"]));
    assert!(told.err.contains("the ID could not be found"), "{told:?}");
    let told = pair.same(TOOL, &on(&["list", "--transactional-id-pattern", "("]));
    assert_eq!(told.code, 1, "{told:?}");
    Ok(())
}

#[test]
fn what_cannot_be_asked_for_is_told_as_by_kafka() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("hurry.properties");
    let hurry = "default.api.timeout.ms=3000\nrequest.timeout.ms=2000\n";
    std::fs::write(&path, hurry).expect("written");
    let path = path.to_str().expect("UTF-8");
    let create = ["--bootstrap-server", broker.address(), "--create", "--topic", "known"];
    assert_eq!(ours("kafka-topics", &create, "").code, 0);
    let mut pair = Pair::start();
    for (server, arguments) in [
        (broker.address(), &["describe-producers", "--topic", "no/name", "--partition", "0"][..]),
        (broker.address(), &["find-hanging", "--topic", "nothing"]),
        (
            broker.address(),
            &["describe-producers", "--topic", "known", "--partition", "0", "--broker-id", "9"],
        ),
        ("127.0.0.1:1", &["list"]),
        ("127.0.0.1:1", &["describe", "--transactional-id", "id"]),
        ("127.0.0.1:1", &["forceTerminateTransaction", "--transactionalId", "id"]),
        ("127.0.0.1:1", &["find-hanging", "--broker-id", "1"]),
    ] {
        let all = ["--bootstrap-server", server, "--command-config", path];
        let told = pair.same(TOOL, &[&all[..], arguments].concat());
        assert_eq!(told.code, 1, "{arguments:?}: {told:?}");
    }
    // Both wait for a topic that may come. How Kafka's says that it did not is left to chance: whether its last attempt was
    // under way when the time was over.
    for arguments in [
        &["describe-producers", "--topic", "nothing", "--partition", "0"][..],
        &["abort", "--topic", "nothing", "--partition", "0", "--start-offset", "0"],
        &["find-hanging", "--topic", "nothing", "--partition", "0"],
    ] {
        let all = [&["--bootstrap-server", broker.address(), "--command-config", path], arguments].concat();
        let (theirs, own) = (pair.kafkas(TOOL, &all), ours(TOOL, &all, ""));
        let call = "describeProducers(api=METADATA)";
        assert!(theirs.err.contains(call), "{theirs:?}");
        let (what, why) = own.err.split_once(": ").expect("what and why");
        assert!(theirs.err.contains(what), "{theirs:?} {own:?}");
        let late = format!("Timed out waiting for a node assignment. Call: {call}. ");
        assert_eq!((own.code, theirs.code, why.starts_with(&late)), (1, 1, true), "{own:?}");
    }
    pair.finish();
    broker.stop();
}

#[test]
fn wrong_command_lines_are_refused_in_kafkas_words() {
    let mut pair = Pair::start();
    for arguments in [
        &[][..],
        &["list"],
        &["--nothing"],
        &["describe", "--transactional-id", "id"],
        &["list", "--bootstrap-server", "127.0.0.1:1"],
        &["list", "--topic", "t"],
        &["list", "--duration-filter"],
        &["--command-config", "/none"],
    ] {
        pair.same(TOOL, arguments);
    }
    for arguments in [
        &[][..],
        &["nothing-of-the-kind"],
        &["list", "all"],
        &["list", "-1"],
        &["list", "--nothing=1"],
        &["list", "--duration-filter", "x"],
        &["list", "--duration-filter", "--transactional-id-pattern"],
        &["list", "--dur", "x"],
        &["describe"],
        &["describe-producers"],
        &["describe-producers", "--topic", "t"],
        &["describe-producers", "--partition", "0"],
        &["abort", "--topic", "t", "--partition", "99999999999"],
        &["abort", "--topic", "t", "--partition", "0"],
        &["abort", "--topic", "t", "--partition", "0", "--producer-epoch", "70000"],
        &["abort", "--topic", "t", "--partition", "0", "--producer-id", "1"],
        &["abort", "--topic", "t", "--partition", "0", "--producer-id", "1", "--producer-epoch", "-1"],
        &["abort", "--p", "0"],
        &["find-hanging"],
        &["find-hanging", "--broker-id", "1", "--partition", "0"],
        &["forceTerminateTransaction"],
    ] {
        pair.same(TOOL, &[&["--bootstrap-server", "127.0.0.1:1"], arguments].concat());
    }
    let unreadable = ["--bootstrap-server", "127.0.0.1:1", "--command-config", "/none", "list"];
    pair.same(TOOL, &unreadable);
    pair.finish();
}

#[test]
fn every_replica_tells_its_partitions_producers() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&ClusterOptions::new(), &directory.path().join("nodes"))?;
    cluster.create_topic("whole", 2, &[])?;
    let servers = cluster.bootstrap();
    let fill = ["--topic", "whole", "--num-records", "20", "--record-size", "10", "--throughput", "-1"];
    let filled = ours(
        "kafka-producer-perf-test",
        &[&fill[..], &["--bootstrap-server", &servers, "--command-property", "acks=all"]].concat(),
        "",
    );
    ensure!(filled.code == 0, "{filled:?}");
    let mut pair = Pair::start();
    let with = |arguments: &[&'static str]| [&["--bootstrap-server", &servers][..], arguments].concat();
    for partition in ["0", "1"] {
        let leaders = with(&["describe-producers", "--topic", "whole", "--partition", partition]);
        let told = pair.same(TOOL, &leaders);
        for broker in ["1", "2", "3"] {
            let replicas = pair.same(TOOL, &[&leaders[..], &["--broker-id", broker]].concat());
            assert_eq!(replicas, told, "broker {broker}");
        }
    }
    for broker in ["1", "2", "3"] {
        let found = pair.same(TOOL, &with(&["find-hanging", "--broker-id", broker]));
        assert_eq!(rows(&found), 0, "{found:?}");
    }
    pair.finish();
    cluster.ensure_well()
}
