//! `kafka-console-producer` (`org.apache.kafka.tools.ConsoleProducer`).

mod reader;

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, Command, Opt},
    client::{
        ClientError, Properties,
        config::split_address,
        error::Result,
        producer::{Acknowledged, Done, Producer, ProducerRecord},
    },
    console::{Console, Outcome, Stop},
    interrupt, log,
    progress::Progress,
};
use reader::{Line, LineReader};
use std::{
    io::{BufRead, IsTerminal},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

const READER_PROPERTY: &str = "A property of the reader, as key=value; may be given many times:\n \
    parse.key=false\n parse.headers=false\n ignore.error=false\n key.separator=\\t\n headers.delimiter=\\t\n \
    headers.separator=,\n headers.key.separator=:\n null.marker=   what stands for null in keys, values and headers\n\
    A line is \"h1:v1,h2:v2...\\tkey\\tvalue\", without what is not parsed.";

pub const TOOL: Tool = Tool {
    name: "kafka-console-producer",
    purpose: "Send the lines of standard input.",
    options: &[
        Opt::text("topic", "topic", "REQUIRED: the topic to send to."),
        BOOTSTRAP_SERVER,
        Opt::flag("sync", "Wait for each record's acknowledgement before the next is sent."),
        Opt::perhaps(
            "compression-codec",
            "compression-codec",
            "none, gzip, snappy, lz4 or zstd; gzip where none is named.",
        ),
        Opt::integer(
            "batch-size",
            "size",
            "Bytes of records for one partition that are sent together (batch.size).",
        )
        .or("16384"),
        Opt::integer("message-send-max-retries", "", "How often a batch is sent again (retries).").or("3"),
        Opt::long("retry-backoff-ms", "", "How long to wait before that (retry.backoff.ms).").or("100"),
        Opt::long("timeout", "timeout_ms", "How long a record may wait for others (linger.ms).").or("1000"),
        Opt::text(
            "request-required-acks",
            "request required acks",
            "Whose acknowledgement to wait for (acks).",
        )
        .or("-1"),
        Opt::integer(
            "request-timeout-ms",
            "request timeout ms",
            "How long a broker may take (request.timeout.ms).",
        )
        .or("1500"),
        Opt::long(
            "metadata-expiry-ms",
            "metadata expiration interval",
            "Accepted; metadata are asked for when they are needed.",
        )
        .or("300000"),
        Opt::long(
            "max-block-ms",
            "max block on send",
            "How long a record may wait for metadata or room (max.block.ms).",
        )
        .or("60000"),
        Opt::long(
            "max-memory-bytes",
            "total memory in bytes",
            "Bytes of records that may wait (buffer.memory).",
        )
        .or("33554432"),
        Opt::integer(
            "max-partition-memory-bytes",
            "memory in bytes per partition",
            "(DEPRECATED) As --batch-size.",
        )
        .or("16384"),
        Opt::text("line-reader", "reader_class", "The class that reads lines; only the default is there.")
            .or("org.apache.kafka.tools.LineMessageReader"),
        Opt::integer(
            "socket-buffer-size",
            "size",
            "Accepted; the system sizes its buffers (send.buffer.bytes).",
        )
        .or("102400"),
        Opt::text("property", "prop", "(DEPRECATED) As --reader-property."),
        Opt::text("reader-property", "prop", READER_PROPERTY),
        Opt::text(
            "reader-config",
            "config file",
            "A properties file for the reader; --reader-property goes before it.",
        ),
        Opt::text("producer-property", "producer_prop", "(DEPRECATED) As --command-property."),
        Opt::text(
            "command-property",
            "producer_prop",
            "A setting of the producer, as key=value; may be given many times.",
        ),
        Opt::text("producer.config", "config file", "(DEPRECATED) As --command-config."),
        Opt::text(
            "command-config",
            "config file",
            "A properties file with settings of the producer; --command-property goes before it.",
        ),
    ],
    run,
};

/// The options that are settings of the producer, weaker than a setting that was given.
const MERGED: &[(&str, &str)] = &[
    ("linger.ms", "timeout"),
    ("acks", "request-required-acks"),
    ("request.timeout.ms", "request-timeout-ms"),
    ("retries", "message-send-max-retries"),
    ("retry.backoff.ms", "retry-backoff-ms"),
    ("send.buffer.bytes", "socket-buffer-size"),
    ("buffer.memory", "max-memory-bytes"),
    ("batch.size", "batch-size"),
    ("batch.size", "max-partition-memory-bytes"),
    ("metadata.max.age.ms", "metadata-expiry-ms"),
    ("max.block.ms", "max-block-ms"),
];

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse_or_usage(console, TOOL.options, arguments)?;
    let names = check(&command, console)?;
    let topic = command.value("topic")?.unwrap_or_default();
    let mut reader = LineReader::new(&reader_properties(&command, &names)?).map_err(Stop::Failed)?;
    let mut producer = Producer::new(&producer_properties(&command, &names)?)?;
    console.flush()?;
    interrupt::listen();
    let lines = lines(console, console.prompts);
    let sent = send_all(&mut producer, topic, command.has("sync"), &mut reader, &lines);
    producer.close();
    sent?;
    interrupt::code().map_or(Ok(()), |code| Err(Stop::Code(code)))
}

/// Under which of their two names options were given.
struct Names {
    reader: &'static str,
    property: &'static str,
    config: &'static str,
}

fn check(command: &Command, console: &mut Console) -> Outcome<Names> {
    command.help_or_version(
        console,
        "This tool helps to read data from standard input and publish it to Kafka.",
    )?;
    command.required(console, &["topic"])?;
    for (new, old) in [
        ("command-config", "producer.config"),
        ("command-property", "producer-property"),
        ("reader-property", "property"),
    ] {
        if command.has(new) && command.has(old) {
            let message = format!("Options --{new} and --{old} cannot be specified together.");
            return Err(command.usage(console, &message));
        }
    }
    let mut renamed = |new: &'static str, old: &'static str| {
        let warning = format!(
            "Warning: --{old} is deprecated and will be removed in a future version. Use --{new} instead."
        );
        command.renamed(console, new, old, &warning)
    };
    let property = renamed("command-property", "producer-property")?;
    let config = renamed("command-config", "producer.config")?;
    let reader = renamed("reader-property", "property")?;
    if command.has("max-partition-memory-bytes") {
        crate::say!(
            console,
            "Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size \
             instead."
        );
    }
    check_servers(command, console)?;
    Ok(Names { reader, property, config })
}

fn check_servers(command: &Command, console: &mut Console) -> Outcome {
    let servers = command.value("bootstrap-server")?.unwrap_or_default();
    let message = if servers.trim().is_empty() {
        "Error while validating the bootstrap address\n"
    } else if servers.split(',').any(|server| split_address(server.trim()).is_none()) {
        "Please provide valid host:port like host1:9091,host2:9092\n"
    } else {
        return Ok(());
    };
    Err(command.usage(console, message))
}

fn reader_properties(command: &Command, names: &Names) -> Outcome<Properties> {
    let mut properties = match command.value("reader-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.add_pairs(&command.values(names.reader));
    let class = command.value("line-reader")?.unwrap_or_default();
    if class != "org.apache.kafka.tools.LineMessageReader" {
        return Err(Stop::failed(format!(
            "--line-reader {class}: classes of the JVM cannot be loaded here; only org.apache.kafka.tools.LineMessageReader is there"
        )));
    }
    Ok(properties)
}

fn producer_properties(command: &Command, names: &Names) -> Outcome<Properties> {
    let mut properties = match command.value(names.config)? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.add_pairs(&command.values(names.property));
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    let codec = match command.has("compression-codec") {
        true => command.value("compression-codec")?.filter(|codec| !codec.is_empty()).unwrap_or("gzip"),
        false => "none",
    };
    properties.set("compression.type", codec);
    properties.set_default("client.id", "console-producer");
    for &(setting, option) in MERGED {
        if let Some(value) = command.value(option)?
            && (command.has(option) || properties.get(setting).is_none())
        {
            properties.set(setting, value);
        }
    }
    Ok(properties)
}

/// The lines of standard input, read by a thread of their own, so that a signal is noticed while nobody types.
fn lines(console: &mut Console, prompts: bool) -> Receiver<std::io::Result<String>> {
    let (sender, receiver) = mpsc::sync_channel(1024);
    let input = console.input.take();
    thread::spawn(move || {
        let Some(mut input) = input else { return };
        loop {
            if prompts {
                use std::io::Write;
                let mut out = std::io::stdout();
                // A prompt that cannot be shown is not missed.
                let _ = out.write_all(b">").and_then(|()| out.flush());
            }
            let mut bytes = Vec::new();
            let line = match input.read_until(b'\n', &mut bytes) {
                Ok(0) => return,
                Ok(_) => Ok(without_end(&bytes)),
                Err(error) => Err(error),
            };
            let is_last = line.is_err();
            if sender.send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// Without `\n` or `\r\n`; what is not UTF-8 becomes U+FFFD, as in Java.
fn without_end(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

/// How often a signal is looked for while nothing comes.
const LOOK: Duration = Duration::from_millis(100);

fn send_all(
    producer: &mut Producer,
    topic: &str,
    sync: bool,
    reader: &mut LineReader,
    lines: &Receiver<std::io::Result<String>>,
) -> Outcome {
    let mut progress = Progress::new("records", !std::io::stdin().is_terminal());
    while !interrupt::is_set() {
        let line = match lines.recv_timeout(LOOK) {
            Ok(line) => line?,
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
        let parsed = reader.parse(&line).map_err(Stop::Failed)?;
        send(producer, topic, sync, &parsed)?;
        progress.step();
    }
    Ok(())
}

fn send(producer: &mut Producer, topic: &str, sync: bool, line: &Line<'_>) -> Outcome {
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        line.headers.iter().map(|(key, value)| (key.as_bytes(), value.map(str::as_bytes))).collect();
    let record = ProducerRecord {
        key: line.key.map(str::as_bytes),
        value: line.value.map(str::as_bytes),
        headers: &headers,
    };
    if !sync {
        return Ok(producer.send(topic, record, log_errors(topic, record))?);
    }
    let (sender, receiver) = mpsc::channel();
    let told = move |outcome: Result<Acknowledged>| {
        // The receiver waits, below.
        let _ = sender.send(outcome);
    };
    producer.send(topic, record, Box::new(told))?;
    match receiver.recv() {
        Ok(outcome) => Ok(outcome.map(drop)?),
        Err(_) => Err(ClientError::Interrupted.into()),
    }
}

/// Records that cannot be sent are told of, and the next ones are sent (`ErrorLoggingCallback`).
fn log_errors(topic: &str, record: ProducerRecord<'_>) -> Done {
    let length =
        |field: Option<&[u8]>| field.map_or_else(|| "null".into(), |bytes| format!("{} bytes", bytes.len()));
    let (topic, key, value) = (topic.to_owned(), length(record.key), length(record.value));
    Box::new(move |outcome| {
        if let Err(error) = outcome {
            log::error(&format!(
                "Error when sending message to topic {topic} with key: {key}, value: {value} with error: {}: {error}",
                error.class()
            ));
        }
    })
}
