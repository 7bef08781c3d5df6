//! `kafka-producer-perf-test` (`org.apache.kafka.tools.ProducerPerformance`).

mod stats;

use crate::{
    Tool,
    args::{Argparse, Opt, Parsed},
    client::{
        Properties, Result,
        producer::{Done, Producer, ProducerRecord},
    },
    console::{Console, Outcome, Stop},
    interrupt,
    java::id_text,
    log,
    metrics::Metrics,
    say,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use stats::Stats;
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

const OPTIONS: &[Opt] = &[
    Opt::text(
        "bootstrap-server",
        "BOOTSTRAP-SERVER",
        "Brokers to begin with; goes before bootstrap.servers of other options.",
    ),
    Opt::text("topic", "TOPIC", "REQUIRED: the topic to send to."),
    Opt::long("num-records", "NUM-RECORDS", "REQUIRED: how many records."),
    Opt::integer(
        "record-size",
        "RECORD-SIZE",
        "Bytes of each record. One of --record-size, --payload-file and --payload-monotonic.",
    ),
    Opt::text(
        "payload-file",
        "PAYLOAD-FILE",
        "A UTF-8 file of payloads, of which each record gets one at random.",
    ),
    Opt::flag("payload-monotonic", "Payloads are 0, 1, 2 and so on."),
    Opt::text("payload-delimiter", "PAYLOAD-DELIMITER", "What stands between payloads in the file.")
        .or("\\n"),
    Opt::double(
        "throughput",
        "THROUGHPUT",
        "REQUIRED: about how many records in a second; -1 for as many as go.",
    ),
    Opt::text("producer-props", "PROP-NAME=PROP-VALUE", "(DEPRECATED) As --command-property."),
    Opt::text("command-property", "PROP-NAME=PROP-VALUE", "Settings of the producer; several may follow."),
    Opt::text("producer.config", "CONFIG-FILE", "(DEPRECATED) As --command-config."),
    Opt::text("command-config", "CONFIG-FILE", "A properties file with settings of the producer."),
    Opt::flag("print-metrics", "What the producer counted, when all is sent."),
    Opt::text(
        "transactional-id",
        "TRANSACTIONAL-ID",
        "Sends in transactions under this id; goes before transactional.id of other options. One is made up where only \
         --transaction-duration-ms is given.",
    ),
    Opt::long(
        "transaction-duration-ms",
        "TRANSACTION-DURATION",
        "Commits a transaction with the first record that is sent so long after its first. 3000 where only an id is given.",
    ),
    Opt::long(
        "warmup-records",
        "WARMUP-RECORDS",
        "How many of the first records are left out of the steady state.",
    )
    .or("0"),
    Opt::long("reporting-interval", "INTERVAL-MS", "How often it is told how it goes.").or("5000"),
];

const TRANSACTIONAL_ID: &str = "transactional.id";

/// How long a transaction lasts where nothing says so.
const TRANSACTION_MS: i64 = 3000;

const PARSER: Argparse = Argparse {
    name: "kafka-producer-perf-test",
    form: "\n       [-h] [--bootstrap-server BOOTSTRAP-SERVER] --topic TOPIC\n       \
           --num-records NUM-RECORDS [--payload-delimiter PAYLOAD-DELIMITER]\n       \
           --throughput THROUGHPUT\n       \
           [--producer-props PROP-NAME=PROP-VALUE [PROP-NAME=PROP-VALUE ...]]\n       \
           [--command-property PROP-NAME=PROP-VALUE [PROP-NAME=PROP-VALUE ...]]\n       \
           [--producer.config CONFIG-FILE] [--command-config CONFIG-FILE]\n       \
           [--print-metrics] [--transactional-id TRANSACTIONAL-ID]\n       \
           [--transaction-duration-ms TRANSACTION-DURATION]\n       \
           [--warmup-records WARMUP-RECORDS] [--reporting-interval INTERVAL-MS]\n       \
           (--record-size RECORD-SIZE | --payload-file PAYLOAD-FILE |\n       \
           --payload-monotonic)",
    purpose: "This tool is used to verify the producer performance. To enable transactions, you can specify a transactional id \
              or set a transaction duration using --transaction-duration-ms. There are three ways to specify the \
              transactional id: set transactional.id=<id> via --command-property, set transactional.id=<id> in the config \
              file via --command-config, or use --transactional-id <id>.",
    options: OPTIONS,
};

pub const TOOL: Tool = Tool {
    name: "kafka-producer-perf-test",
    purpose: "Measure how fast records are sent.",
    options: OPTIONS,
    run,
};

/// What one run does.
struct Plan {
    topic: String,
    records: u64,
    warmup: u64,
    /// Records in a second.
    rate: Option<f64>,
    interval: Duration,
    payload: Payload,
    properties: Properties,
    /// How long a transaction lasts at least, where there are any.
    transaction: Option<Duration>,
}

enum Payload {
    Random(usize),
    Chosen(Vec<Vec<u8>>),
    Counting,
}

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    if arguments.is_empty() {
        return PARSER.parse(console, &["-h".into()]).map(drop);
    }
    let parsed = PARSER.parse(console, &spread(arguments))?;
    let plan = plan(&parsed, console)?;
    console.flush()?;
    interrupt::listen();
    let mut producer = Producer::new(&plan.properties)?;
    if plan.transaction.is_some() {
        producer.init_transactions()?;
    }
    if plan.warmup > 0 {
        say!(
            console,
            "Warmup first {} records. Steady state results will print after the complete test summary.",
            plan.warmup
        );
        console.flush()?;
    }
    let (all, steady) = send(&plan, &mut producer)?;
    let client = producer.client().clone();
    producer.close();
    let sent = all.lock().unwrap_or_else(PoisonError::into_inner).count();
    for stats in [Some(all), steady].into_iter().flatten() {
        let line = stats.lock().unwrap_or_else(PoisonError::into_inner).total();
        say!(console, "{line}");
    }
    if parsed.has("print-metrics") {
        let mut metrics = Metrics::new(&client.client_id);
        let of_producer = [("record-send-total", sent as f64)].into_iter();
        let of_traffic = client.traffic.counts().into_iter().chain(client.traffic.latencies());
        metrics.add("producer-metrics", of_producer.chain(of_traffic));
        metrics.print(console)?;
    }
    Ok(())
}

/// argparse4j lets several values follow one option; here each gets its option.
fn spread(arguments: &[String]) -> Vec<String> {
    let mut spread = Vec::new();
    let mut several: Option<&String> = None;
    let mut is_first = false;
    for argument in arguments {
        if argument.starts_with("--") {
            several =
                ["--producer-props", "--command-property"].contains(&argument.as_str()).then_some(argument);
            is_first = true;
        } else if let Some(option) = several {
            if !is_first {
                spread.push(option.clone());
            }
            is_first = false;
        }
        spread.push(argument.clone());
    }
    spread
}

fn plan(parsed: &Parsed, console: &mut Console) -> Outcome<Plan> {
    for required in ["topic", "num-records", "throughput"] {
        if !parsed.has(required) {
            return Err(PARSER.error(console, &format!("argument --{required} is required")));
        }
    }
    let records = parsed.long("num-records")?.unwrap_or_default();
    let warmup = parsed.long("warmup-records")?.unwrap_or_default().max(0);
    let interval = parsed.long("reporting-interval")?.unwrap_or_default();
    let size = parsed.integer("record-size")?;
    let throughput = parsed.double("throughput")?.unwrap_or_default();
    let payloads = parsed.order(&["record-size", "payload-file", "payload-monotonic"]);
    if let [first, second, ..] = payloads[..]
        && first != second
    {
        let message = format!("argument --{second}: not allowed with argument --{first}");
        return Err(PARSER.error(console, &message));
    }
    let problem = if payloads.is_empty() {
        Some("one of the arguments --record-size --payload-file --payload-monotonic is required")
    } else if records <= 0 {
        Some("--num-records should be greater than zero.")
    } else if warmup >= records {
        Some(
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        )
    } else if size.is_some_and(|size| size <= 0) {
        Some("--record-size should be greater than zero.")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(PARSER.error(console, problem));
    }
    let names = sources(parsed, console)?;
    let duration = parsed.long("transaction-duration-ms")?;
    if duration.is_some_and(|millis| millis <= 0) {
        return Err(PARSER.error(console, "--transaction-duration-ms should be greater than zero."));
    }
    if interval <= 0 {
        return Err(PARSER.error(console, "--reporting-interval should be greater than zero."));
    }
    let payload = match (size, parsed.value("payload-file")?) {
        (Some(size), _) => Payload::Random(usize::try_from(size).unwrap_or(1)),
        (None, Some(path)) => Payload::Chosen(payloads_of(path, parsed, console)?),
        (None, None) => Payload::Counting,
    };
    let mut properties = properties(parsed, &names, console)?;
    let transaction = transaction(parsed, duration, &mut properties)?;
    Ok(Plan {
        topic: parsed.value("topic")?.unwrap_or_default().into(),
        records: records.unsigned_abs(),
        warmup: warmup.unsigned_abs(),
        rate: (throughput > 0.0).then_some(throughput),
        interval: Duration::from_millis(interval.unsigned_abs()),
        payload,
        properties,
        transaction,
    })
}

/// How long a transaction lasts at least. There are transactions where any of the three is given: how long they last, an id as
/// an option, an id among the settings.
fn transaction(
    parsed: &Parsed,
    millis: Option<i64>,
    properties: &mut Properties,
) -> Outcome<Option<Duration>> {
    let id = parsed.value("transactional-id")?;
    if millis.is_none() && id.is_none() && properties.get(TRANSACTIONAL_ID).is_none() {
        return Ok(None);
    }
    match id {
        Some(id) => properties.set(TRANSACTIONAL_ID, id),
        None => properties.set_default(
            TRANSACTIONAL_ID,
            &format!(
                "performance-producer-{}",
                id_text(uuid::Builder::from_random_bytes(rand::random()).into_uuid())
            ),
        ),
    }
    let millis = millis.unwrap_or(TRANSACTION_MS);
    Ok(Some(Duration::from_millis(millis.unsigned_abs())))
}

fn payloads_of(path: &str, parsed: &Parsed, console: &mut Console) -> Outcome<Vec<Vec<u8>>> {
    let told = std::path::absolute(path)?;
    say!(console, "Reading payloads from: {}", told.display());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if text.is_empty() {
        return Err(Stop::failed("File does not exist or empty file provided."));
    }
    let delimiter = match parsed.value("payload-delimiter")? {
        None | Some("\\n") => "\n",
        Some(other) => other,
    };
    let text = text.strip_suffix(delimiter).unwrap_or(&text);
    let payloads: Vec<Vec<u8>> = text.split(delimiter).map(|payload| payload.as_bytes().to_vec()).collect();
    say!(console, "Number of records read: {}", payloads.len());
    Ok(payloads)
}

/// Under which of their names settings of the producer, and files of them, are given.
struct Names {
    pairs: &'static str,
    file: &'static str,
}

/// # Errors
/// Where no option says who the brokers are, or one is given by both of its names.
fn sources(parsed: &Parsed, console: &mut Console) -> Outcome<Names> {
    let sources =
        ["bootstrap-server", "command-property", "producer-props", "producer.config", "command-config"];
    if !sources.iter().any(|option| parsed.has(option)) {
        let message = "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or \
                       --command-config must be specified.";
        return Err(PARSER.error(console, message));
    }
    for (new, old) in [("command-property", "producer-props"), ("command-config", "producer.config")] {
        if parsed.has(new) && parsed.has(old) {
            return Err(PARSER.error(console, &format!("--{new} and --{old} cannot be specified together.")));
        }
    }
    let either = |new, old| if parsed.has(old) { old } else { new };
    Ok(Names {
        pairs: either("command-property", "producer-props"),
        file: either("command-config", "producer.config"),
    })
}

fn properties(parsed: &Parsed, names: &Names, console: &mut Console) -> Outcome<Properties> {
    for (new, old) in [("command-property", "producer-props"), ("command-config", "producer.config")] {
        if parsed.has(old) {
            say!(
                console,
                "Option --{old} has been deprecated and will be removed in a future version. Use --{new} instead."
            );
        }
    }
    let mut properties = match parsed.value(names.file)? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    let pairs = parsed.values(names.pairs);
    if let Some(bad) = pairs.iter().find(|pair| pair.split('=').count() != 2) {
        return Err(Stop::failed(format!("Invalid property: {bad}")));
    }
    properties.add_pairs(&pairs);
    properties.set_default("client.id", "perf-producer-client");
    if let Some(servers) = parsed.value("bootstrap-server")? {
        properties.set("bootstrap.servers", servers);
    }
    Ok(properties)
}

type Shared = Arc<Mutex<Stats>>;

/// Sends all records, at the rate, and returns what was measured: of all, and of those behind the warm-up.
///
/// # Errors
/// Those of a transaction.
fn send(plan: &Plan, producer: &mut Producer) -> Result<(Shared, Option<Shared>)> {
    let all = Arc::new(Mutex::new(Stats::new(plan.records, plan.interval, false)));
    let mut steady: Option<Shared> = None;
    let mut random = SmallRng::seed_from_u64(0);
    let mut buffer = Vec::new();
    let began = Instant::now();
    // Since when a transaction is open.
    let mut open: Option<Instant> = None;
    for index in 0..plan.records {
        if interrupt::is_set() {
            break;
        }
        if plan.transaction.is_some() && open.is_none() {
            producer.begin_transaction()?;
            open = Some(Instant::now());
        }
        if plan.warmup > 0 && index == plan.warmup {
            steady = Some(Arc::new(Mutex::new(Stats::new(plan.records - plan.warmup, plan.interval, true))));
            all.lock().unwrap_or_else(PoisonError::into_inner).be_quiet();
        }
        let payload: &[u8] = match &plan.payload {
            Payload::Random(size) => {
                buffer.clear();
                buffer.extend((0..*size).map(|_| random.random_range(b'A'..=b'Z')));
                &buffer
            }
            Payload::Chosen(payloads) => &payloads[random.random_range(0..payloads.len())],
            Payload::Counting => {
                buffer.clear();
                buffer.extend(index.to_string().bytes());
                &buffer
            }
        };
        let done = measured(payload.len(), Arc::clone(&all), steady.clone());
        let record = ProducerRecord { value: Some(payload), ..ProducerRecord::default() };
        let sent = Instant::now();
        producer.send(&plan.topic, record, done)?;
        if let (Some(least), Some(since)) = (plan.transaction, open)
            && sent.duration_since(since) >= least
        {
            producer.commit_transaction()?;
            open = None;
        }
        if let Some(rate) = plan.rate {
            let due = began + Duration::from_secs_f64((index + 1) as f64 / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    if open.is_some() {
        producer.commit_transaction()?;
    }
    Ok((all, steady))
}

fn measured(bytes: usize, all: Shared, steady: Option<Shared>) -> Done {
    let began = Instant::now();
    Box::new(move |outcome| match outcome {
        Ok(_) => {
            let latency = began.elapsed();
            for stats in [Some(all), steady].into_iter().flatten() {
                stats.lock().unwrap_or_else(PoisonError::into_inner).record(latency, bytes);
            }
        }
        Err(error) => log::error(&format!("{}: {error}", error.class())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_may_follow_one_option() {
        let arguments: Vec<String> =
            ["--command-property", "a=1", "b=2", "--topic", "t"].iter().map(|&it| it.into()).collect();
        let parsed = Parsed::parse(OPTIONS, &spread(&arguments)).expect("well formed");
        assert_eq!(parsed.values("command-property"), ["a=1", "b=2"]);
        assert_eq!(parsed.value("topic"), Ok(Some("t")));
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let refused = |arguments: &[&str]| {
            let base = ["--topic", "t", "--throughput", "-1", "--bootstrap-server", "a:1"];
            let arguments: Vec<String> = base.iter().chain(arguments).map(|&it| it.into()).collect();
            let (mut console, _) = crate::console::testing();
            let parsed = PARSER.parse(&mut console, &spread(&arguments)).expect("well formed");
            plan(&parsed, &mut console).is_err()
        };
        assert!(!refused(&["--num-records", "1", "--record-size", "1"]));
        assert!(refused(&["--num-records", "0", "--record-size", "1"]));
        assert!(refused(&["--num-records", "1", "--record-size", "0"]));
        assert!(refused(&["--num-records", "1"]));
        assert!(refused(&["--num-records", "1", "--record-size", "1", "--payload-monotonic"]));
        assert!(refused(&["--num-records", "1", "--record-size", "1", "--warmup-records", "1"]));
        let transaction = ["--num-records", "1", "--record-size", "1", "--transaction-duration-ms"];
        assert!(refused(&[&transaction[..], &["0"]].concat()));
        assert!(!refused(&[&transaction[..], &["1"]].concat()));
    }

    #[test]
    fn transactions_are_wanted_where_any_option_speaks_of_them() {
        let read = |arguments: &[&str]| {
            let base = ["--topic", "t", "--num-records", "1", "--record-size", "1", "--throughput", "-1"];
            let arguments: Vec<String> = base.iter().chain(arguments).map(|&it| it.into()).collect();
            let (mut console, _) = crate::console::testing();
            let parsed = PARSER.parse(&mut console, &spread(&arguments)).expect("well formed");
            let plan = plan(&parsed, &mut console).expect("valid");
            (plan.properties.get(TRANSACTIONAL_ID).map(str::to_owned), plan.transaction)
        };
        let server = ["--bootstrap-server", "a:1"];
        let among = ["--command-property", "transactional.id=set"];
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(read(&server), (None, None));
        assert_eq!(read(&among), (Some("set".into()), millis(3000)));
        assert_eq!(
            read(&[&among[..], &["--transactional-id", "o"]].concat()),
            (Some("o".into()), millis(3000))
        );
        let (made_up, duration) = read(&[&server[..], &["--transaction-duration-ms", "7"]].concat());
        assert!(made_up.is_some_and(|id| id.starts_with("performance-producer-") && id.len() == 43));
        assert_eq!(duration, millis(7));
    }
}
