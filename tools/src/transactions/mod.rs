//! `kafka-transactions` (`org.apache.kafka.tools.TransactionsCommand`, KIP-664): `list`, `describe`, `describe-producers`, `abort`,
//! `find-hanging`, `forceTerminateTransaction`.

mod hanging;

use crate::{
    Tool,
    args::{Argparse, Opt, Parsed, choice},
    client::{
        ClientError, Cluster, Properties, Role, TopicPartition,
        transactions::{
            self, AbortTransactionSpec, ActiveProducer, DescribedTransaction, ListFilter, ListedTransaction,
        },
    },
    console::{Console, Outcome, Stop},
    java::{joined, table},
    say,
};
use std::{
    collections::BTreeMap,
    fmt::Display,
    slice,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

const SERVER: Opt = Opt::text(
    "bootstrap-server",
    "host:port",
    "REQUIRED: brokers to begin with, as HOST1:PORT1,HOST2:PORT2.",
);
const CONFIG: Opt = Opt::text("command-config", "FILE", "A properties file with settings of the client.");
const VERSION: Opt = Opt::flag("version", "Print the version.");
const V: Opt = Opt::flag("v", "The same.").alias_of("version");
const DURATION: Opt = Opt::long(
    "duration-filter",
    "DURATION_FILTER",
    "list: only transactions that last longer, in milliseconds; all where it is negative.",
);
const PATTERN: Opt = Opt::text(
    "transactional-id-pattern",
    "TRANSACTIONAL_ID_PATTERN",
    "list: only transactional ids that match this regular expression as a whole.",
);
const ID: Opt =
    Opt::text("transactional-id", "TRANSACTIONAL_ID", "describe: REQUIRED: the transactional id.");
const FENCED: Opt = Opt::text(
    "transactionalId",
    "TRANSACTIONALID",
    "forceTerminateTransaction: REQUIRED: the transactional id whose transaction is aborted.",
);
const BROKER: Opt = Opt::integer(
    "broker-id",
    "BROKER_ID",
    "describe-producers: the replica that is asked, in place of the leader. find-hanging: the broker whose partitions are \
     looked at.",
);
const TOPIC: Opt = Opt::text("topic", "TOPIC", "describe-producers, abort, find-hanging: the topic.");
const PARTITION: Opt =
    Opt::integer("partition", "PARTITION", "describe-producers, abort, find-hanging: the partition.");
const START: Opt = Opt::long(
    "start-offset",
    "START_OFFSET",
    "abort: where the transaction begins. It is enough on brokers from 3.0 on.",
);
const PRODUCER: Opt =
    Opt::long("producer-id", "PRODUCER_ID", "abort: whose transaction it is, in place of where it begins.");
const EPOCH: Opt = Opt::short("producer-epoch", "PRODUCER_EPOCH", "abort: goes with --producer-id.");
const COORDINATOR: Opt =
    Opt::integer("coordinator-epoch", "COORDINATOR_EPOCH", "abort: goes with --producer-id.");
const TIMEOUT: Opt = Opt::integer(
    "max-transaction-timeout",
    "MAX_TRANSACTION_TIMEOUT",
    "find-hanging: the longest time-out of transactions, in minutes; what is open for longer may hang.",
)
.or("15");

/// What follows the tool's name in a usage, line by line.
macro_rules! form {
    ($first:literal $($line:literal)*) => { concat!($first, $("\n                             ", $line),*) };
}

const PARSER: Argparse = Argparse {
    name: "kafka-transactions.sh",
    form: form!("[-h] [-v] [--command-config FILE]" "--bootstrap-server host:port COMMAND ..."),
    purpose: "This tool is used to analyze the transactional state of producers in the cluster. It can be used to detect \
              and recover from hanging transactions.\n\nThe commands are list, describe, describe-producers, abort, \
              find-hanging and forceTerminateTransaction; options of all of them stand before the command.",
    options: &[
        SERVER,
        CONFIG,
        VERSION,
        V,
        DURATION,
        PATTERN,
        ID,
        FENCED,
        BROKER,
        TOPIC,
        PARTITION,
        START,
        PRODUCER,
        EPOCH,
        COORDINATOR,
        TIMEOUT,
    ],
};

/// What stands before the command.
const BEFORE: Argparse = Argparse { options: &[SERVER, CONFIG, VERSION, V], ..PARSER };

/// A command with what follows it.
struct Command {
    name: &'static str,
    parser: Argparse,
    required: &'static [&'static str],
    run: fn(&Parsed, &mut Cluster, &mut Console) -> Outcome,
}

const COMMANDS: [Command; 6] = [
    Command {
        name: "list",
        parser: Argparse {
            form: form!("--bootstrap-server host:port list [-h]" "[--duration-filter DURATION_FILTER]"
                "[--transactional-id-pattern TRANSACTIONAL_ID_PATTERN]"),
            purpose: "List transactions.",
            options: &[DURATION, PATTERN],
            ..PARSER
        },
        required: &[],
        run: list,
    },
    Command {
        name: "describe",
        parser: Argparse {
            form: form!("--bootstrap-server host:port describe [-h]" "--transactional-id TRANSACTIONAL_ID"),
            purpose: "Describe the state of an active transactional-id.",
            options: &[ID],
            ..PARSER
        },
        required: &["transactional-id"],
        run: describe,
    },
    Command {
        name: "describe-producers",
        parser: Argparse {
            form: form!("--bootstrap-server host:port" "describe-producers [-h]" "[--broker-id BROKER_ID] --topic TOPIC"
                "--partition PARTITION"),
            purpose: "Describe the states of active producers for a topic partition.",
            options: &[BROKER, TOPIC, PARTITION],
            ..PARSER
        },
        required: &["topic", "partition"],
        run: describe_producers,
    },
    Command {
        name: "abort",
        parser: Argparse {
            form: form!("--bootstrap-server host:port abort [-h]" "--topic TOPIC --partition PARTITION" "[--start-offset START_OFFSET]"
                "[--producer-id PRODUCER_ID]" "[--producer-epoch PRODUCER_EPOCH]"
                "[--coordinator-epoch COORDINATOR_EPOCH]"),
            purpose: "Abort a hanging transaction (requires administrative privileges).",
            options: &[TOPIC, PARTITION, START, PRODUCER, EPOCH, COORDINATOR],
            ..PARSER
        },
        required: &["topic", "partition"],
        run: abort,
    },
    Command {
        name: "find-hanging",
        parser: Argparse {
            form: form!("--bootstrap-server host:port find-hanging [-h]" "[--broker-id BROKER_ID]"
                "[--max-transaction-timeout MAX_TRANSACTION_TIMEOUT]"
                "[--topic TOPIC] [--partition PARTITION]"),
            purpose: "Find hanging transactions.",
            options: &[BROKER, TIMEOUT, TOPIC, PARTITION],
            ..PARSER
        },
        required: &[],
        run: hanging::find,
    },
    Command {
        name: "forceTerminateTransaction",
        parser: Argparse {
            form: form!("--bootstrap-server host:port" "forceTerminateTransaction [-h]"
                "--transactionalId TRANSACTIONALID"),
            purpose: "Force abort an ongoing transaction on transactionalId",
            options: &[FENCED],
            ..PARSER
        },
        required: &["transactionalId"],
        run: force_terminate,
    },
];

pub const TOOL: Tool = Tool {
    name: "kafka-transactions",
    purpose: "Show transactions and their producers, find those that hang, and abort them.",
    options: PARSER.options,
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let (before, behind) = BEFORE.split(arguments);
    if BEFORE.is_help(before) {
        return help(&PARSER, console);
    }
    let wrong = |console: &mut Console, message: &str| BEFORE.error(console, message);
    let all = BEFORE.read(before).map_err(|message| wrong(console, &message))?;
    if all.has("version") {
        say!(console, "{}", crate::VERSION);
        return Ok(());
    }
    let names = COMMANDS.each_ref().map(|command| command.name);
    let command = choice(behind.first(), &names).map_err(|message| wrong(console, &message))?;
    let command = &COMMANDS[command];
    let parsed = read(command, &behind[1..], console)?;
    let Some(servers) = all.last("bootstrap-server") else {
        return Err(wrong(console, "argument --bootstrap-server is required"));
    };
    let mut properties = match all.last("command-config") {
        // Java's exception says no more than which file.
        Some(path) => {
            Properties::load(path).map_err(|_| failed("Failed to load admin client properties", path))?
        }
        None => Properties::default(),
    };
    properties.set("bootstrap.servers", servers);
    // Before anything else is said, as by Kafka's.
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    (command.run)(&parsed, &mut cluster, console)
}

/// What follows the command.
fn read(command: &Command, arguments: &[String], console: &mut Console) -> Outcome<Parsed> {
    let parser = &command.parser;
    if parser.is_help(arguments) {
        return help(parser, console).and(Err(Stop::Code(0)));
    }
    let parsed = parser.read(arguments).and_then(|parsed| {
        if let Some(extra) = parsed.rest.first() {
            return Err(format!("unrecognized arguments: '{extra}'"));
        }
        // As argparse4j has it: the last of the arguments that are missing is told.
        match command.required.iter().rev().find(|name| !parsed.has(name)) {
            Some(missing) => Err(format!("argument --{missing} is required")),
            None => Ok(parsed),
        }
    });
    parsed.map_err(|message| parser.error(console, &message))
}

/// Prints the help; for Kafka's tool to be asked for it is no success.
fn help(parser: &Argparse, console: &mut Console) -> Outcome {
    parser.help(console)?;
    Err(Stop::Code(1))
}

/// An option's value, which is of its kind: [`Argparse::read`] has looked.
fn number<T: FromStr>(parsed: &Parsed, name: &'static str) -> Option<T> {
    parsed.last(name)?.parse().ok()
}

/// Kafka's sentence for an error that ends the tool.
fn failed(what: impl Display, error: impl Display) -> Stop {
    Stop::failed(format!("{what}: {error}. Enable debug logging for additional detail."))
}

fn print(headers: &[&str], rows: &[Vec<String>], console: &mut Console) -> Outcome {
    say!(console, "{}", table(headers, rows).trim_end_matches('\n'));
    Ok(())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The partition of a command that needs one.
fn place(parsed: &Parsed) -> TopicPartition {
    TopicPartition::new(
        parsed.last("topic").unwrap_or_default(),
        number(parsed, "partition").unwrap_or_default(),
    )
}

fn list(parsed: &Parsed, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let filter = ListFilter {
        producer_ids: Vec::new(),
        duration_ms: number(parsed, "duration-filter").unwrap_or(-1),
        pattern: parsed.last("transactional-id-pattern").unwrap_or_default().into(),
    };
    let listed =
        transactions::list(cluster, &filter).map_err(|error| failed("Failed to list transactions", error))?;
    print(&["TransactionalId", "Coordinator", "ProducerId", "TransactionState"], &list_rows(listed), console)
}

fn list_rows(listed: BTreeMap<i32, Vec<ListedTransaction>>) -> Vec<Vec<String>> {
    let rows = listed.into_iter().flat_map(|(broker, transactions)| {
        transactions
            .into_iter()
            .map(move |it| vec![it.id, broker.to_string(), it.producer_id.to_string(), it.state])
    });
    rows.collect()
}

fn describe(parsed: &Parsed, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let id = parsed.last("transactional-id").unwrap_or_default();
    let described = transactions::describe(cluster, id).map_err(|error| {
        failed(format_args!("Failed to describe transaction state of transactional-id `{id}`"), error)
    })?;
    let headers = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    print(&headers, &[description_row(id, &described, now_ms())], console)
}

fn description_row(id: &str, described: &DescribedTransaction, now_ms: i64) -> Vec<String> {
    let or_none = |number: Option<i64>| number.map_or_else(|| "None".to_owned(), |it| it.to_string());
    vec![
        described.coordinator.to_string(),
        id.to_owned(),
        described.producer_id.to_string(),
        described.producer_epoch.to_string(),
        described.state.clone(),
        described.timeout_ms.to_string(),
        or_none(described.started_ms),
        or_none(described.started_ms.map(|at| now_ms.saturating_sub(at))),
        joined(&described.partitions),
    ]
}

fn describe_producers(parsed: &Parsed, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let (place, broker) = (place(parsed), number::<i32>(parsed, "broker-id"));
    let producers = producers_of(cluster, &place, broker).map_err(|error| {
        let whom = broker.map_or_else(|| "leader".to_owned(), |id| format!("broker {id}"));
        failed(format_args!("Failed to describe producers for partition {place} on {whom}"), error)
    })?;
    let headers = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    print(&headers, &producers.iter().map(producer_row).collect::<Vec<_>>(), console)
}

fn producers_of(
    cluster: &mut Cluster,
    place: &TopicPartition,
    broker: Option<i32>,
) -> Result<Vec<ActiveProducer>, ClientError> {
    let mut found = transactions::describe_producers(cluster, slice::from_ref(place), broker)?;
    Ok(found.remove(place).unwrap_or_default())
}

fn producer_row(producer: &ActiveProducer) -> Vec<String> {
    vec![
        producer.id.to_string(),
        producer.epoch.to_string(),
        producer.coordinator_epoch.unwrap_or(-1).to_string(),
        producer.last_sequence.to_string(),
        producer.last_timestamp_ms.to_string(),
        producer.transaction_start.map_or_else(|| "None".to_owned(), |offset| offset.to_string()),
    ]
}

fn abort(parsed: &Parsed, cluster: &mut Cluster, _console: &mut Console) -> Outcome {
    let spec = match number(parsed, "start-offset") {
        Some(start) => started_at(cluster, place(parsed), start)?,
        None => told(parsed)?,
    };
    transactions::abort(cluster, &spec)
        .map_err(|error| failed(format_args!("Failed to abort transaction {spec}"), error))
}

/// The transaction that the options alone tell.
fn told(parsed: &Parsed) -> Outcome<AbortTransactionSpec> {
    let missing = |name: &str| Stop::failed(format!("Missing required argument --{name}"));
    let producer_id = number(parsed, "producer-id").ok_or_else(|| {
        Stop::failed(
            "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with \
             --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
        )
    })?;
    let epoch = number(parsed, "producer-epoch").ok_or_else(|| missing("producer-epoch"))?;
    let coordinator: i32 = number(parsed, "coordinator-epoch").ok_or_else(|| missing("coordinator-epoch"))?;
    Ok(AbortTransactionSpec {
        partition: place(parsed),
        producer_id,
        producer_epoch: epoch,
        // A producer whose first transaction hangs has had no marker: any leader's epoch is at least 0.
        coordinator_epoch: coordinator.max(0),
    })
}

/// The transaction that begins at an offset, as the partition's leader knows it.
fn started_at(cluster: &mut Cluster, place: TopicPartition, start: i64) -> Outcome<AbortTransactionSpec> {
    let producers = producers_of(cluster, &place, None).map_err(|error| {
        failed(format_args!("Failed to validate producer state for partition {place}"), error)
    })?;
    let Some(producer) = producers.into_iter().find(|it| it.transaction_start == Some(start)) else {
        return Err(Stop::failed(format!(
            "Could not find any open transactions starting at offset {start} on partition {place}"
        )));
    };
    Ok(AbortTransactionSpec {
        partition: place,
        producer_id: producer.id,
        // As Java narrows it: it has been a short on the way here.
        producer_epoch: producer.epoch as i16,
        coordinator_epoch: producer.coordinator_epoch.unwrap_or(0),
    })
}

fn force_terminate(parsed: &Parsed, cluster: &mut Cluster, _console: &mut Console) -> Outcome {
    let id = parsed.last("transactionalId").unwrap_or_default();
    transactions::fence(cluster, id)
        .map_err(|error| failed(format_args!("Failed to force terminate transactionalId `{id}`"), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::testing;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// The exit code that a line ends with before any broker is asked, and what standard output says.
    fn ended(line: &str) -> (u8, String) {
        let (mut console, out) = testing();
        match run(&words(line), &mut console) {
            Err(Stop::Code(code)) => {
                console.flush().expect("memory");
                (code, out.text())
            }
            Ok(()) => (0, out.text()),
            other => panic!("{other:?}"),
        }
    }

    fn parsed(command: usize, line: &str) -> Parsed {
        COMMANDS[command].parser.read(&words(line)).expect("well formed")
    }

    fn reason<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
        match outcome {
            Err(Stop::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_option_of_a_command_is_in_the_tools_table_with_the_same_default() {
        for command in &COMMANDS {
            for option in command.parser.options.iter().chain(BEFORE.options) {
                let same = TOOL.options.iter().find(|row| row.name == option.name);
                assert!(same.is_some_and(|row| row.takes == option.takes && row.default == option.default));
            }
            for name in command.required {
                assert!(command.parser.options.iter().any(|option| option.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn to_be_asked_for_help_is_no_success_and_the_version_is() {
        let (code, help) = ended("--help");
        assert_eq!(code, 1);
        assert!(
            help.starts_with("usage: kafka-transactions.sh [-h] [-v] [--command-config FILE]\n"),
            "{help}"
        );
        let (code, help) = ended("--bootstrap-server a:1 abort --help");
        assert!(
            code == 1 && help.contains("--start-offset") && !help.contains("--duration-filter"),
            "{help}"
        );
        assert_eq!(ended("-v list"), (0, format!("{}\n", crate::VERSION)));
    }

    #[test]
    fn a_command_takes_its_own_options_and_nothing_else() {
        for line in [
            "",
            "--bootstrap-server a:1",
            "--bootstrap-server a:1 tell",
            "list",
            "list --bootstrap-server a:1",
            "--bootstrap-server a:1 list all",
            "--bootstrap-server a:1 list --topic t",
            "--bootstrap-server a:1 describe",
            "--bootstrap-server a:1 describe-producers --topic t",
            "--bootstrap-server a:1 abort --topic t --partition x",
            "--topic t list",
        ] {
            assert_eq!(ended(line), (1, String::new()), "{line}");
        }
    }

    #[test]
    fn a_transaction_without_its_offset_needs_all_the_rest() {
        let abort = |line: &str| told(&parsed(3, &format!("--topic t --partition 2 {line}")));
        assert!(reason(abort("")).starts_with("The transaction to abort must be identified either with"));
        for (line, missing) in [
            ("--producer-id 5", "--producer-epoch"),
            ("--producer-id 5 --producer-epoch 1", "--coordinator-epoch"),
        ] {
            assert_eq!(reason(abort(line)), format!("Missing required argument {missing}"));
        }
        for (given, used) in [(-1, 0), (4, 4)] {
            let line = format!("--producer-id 5 --producer-epoch 1 --coordinator-epoch {given}");
            let expected = AbortTransactionSpec {
                partition: TopicPartition::new("t", 2),
                producer_id: 5,
                producer_epoch: 1,
                coordinator_epoch: used,
            };
            assert_eq!(abort(&line).ok(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_there_is_none_but_for_the_coordinators_epoch() {
        let mut producer = ActiveProducer {
            id: 5,
            epoch: 1,
            last_sequence: 9,
            last_timestamp_ms: 1000,
            coordinator_epoch: None,
            transaction_start: None,
        };
        assert_eq!(producer_row(&producer), ["5", "1", "-1", "9", "1000", "None"]);
        producer.coordinator_epoch = Some(3);
        producer.transaction_start = Some(0);
        assert_eq!(producer_row(&producer), ["5", "1", "3", "9", "1000", "0"]);
        let mut described = DescribedTransaction {
            coordinator: 1,
            state: "Empty".into(),
            producer_id: 5,
            producer_epoch: 1,
            timeout_ms: 60_000,
            started_ms: None,
            partitions: [TopicPartition::new("t", 10), TopicPartition::new("t", 9)].into(),
        };
        let row = description_row("id", &described, 1500);
        assert_eq!(row, ["1", "id", "5", "1", "Empty", "60000", "None", "None", "t-9,t-10"]);
        described.started_ms = Some(1000);
        assert_eq!(description_row("id", &described, 1500)[6..8], ["1000", "500"]);
    }

    #[test]
    fn transactions_are_listed_by_their_coordinators() {
        let one = |id: &str| ListedTransaction { id: id.into(), producer_id: 7, state: "Ongoing".into() };
        let rows = list_rows(BTreeMap::from([(10, vec![one("c")]), (9, vec![one("a"), one("b")])]));
        let shown: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        assert_eq!(shown, ["a 9 7 Ongoing", "b 9 7 Ongoing", "c 10 7 Ongoing"]);
    }
}
