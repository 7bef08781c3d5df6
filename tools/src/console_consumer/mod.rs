//! `kafka-console-consumer` (`org.apache.kafka.tools.consumer.ConsoleConsumer`).

mod deserialize;
mod format;
mod options;

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, Opt},
    client::{
        ClientError,
        consumer::{ConsumedRecord, Consumer, GroupProtocol},
    },
    console::{Console, Outcome, Stop},
    interrupt, log,
    progress::Progress,
};
use format::Formatter;
use options::Options;
use std::{io::IsTerminal, time::Duration};

const FORMATTER_PROPERTY: &str = "A property of the formatter, as key=value; may be given many times:\n \
    print.timestamp=true|false\n print.key=true|false\n print.offset=true|false\n print.epoch=true|false\n \
    print.partition=true|false\n print.headers=true|false\n print.value=true|false\n key.separator=<key.separator>\n \
    line.separator=<line.separator>\n headers.separator=<headers.separator>\n null.literal=<null.literal>\n \
    key.deserializer=<class>\n value.deserializer=<class>\n headers.deserializer=<class>";

pub const TOOL: Tool = Tool {
    name: "kafka-console-consumer",
    purpose: "Print records of topics.",
    options: &[
        Opt::text("topic", "topic", "The topic to read."),
        Opt::text("include", "Java regex (String)", "A regular expression for the topics to read."),
        Opt::integer(
            "partition",
            "partition",
            "Only this partition; from its end unless --offset says otherwise.",
        ),
        Opt::text(
            "offset",
            "consume offset",
            "Where in the partition to begin: a number, earliest or latest.",
        )
        .or("latest"),
        Opt::text("consumer-property", "consumer_prop", "(DEPRECATED) As --command-property."),
        Opt::text(
            "command-property",
            "consumer_prop",
            "A setting of the consumer, as key=value; may be given many times.",
        ),
        Opt::text("consumer.config", "config file", "(DEPRECATED) As --command-config."),
        Opt::text(
            "command-config",
            "config file",
            "A properties file with settings of the consumer; --command-property goes before it.",
        ),
        Opt::text(
            "formatter",
            "class",
            "What prints records: DefaultMessageFormatter, LoggingMessageFormatter, NoOpMessageFormatter, or of what \
            coordinators keep OffsetsMessageFormatter, GroupMetadataMessageFormatter or TransactionLogMessageFormatter, of \
            org.apache.kafka.tools.consumer.",
        )
        .or(format::DEFAULT),
        Opt::text("property", "prop", "(DEPRECATED) As --formatter-property."),
        Opt::text("formatter-property", "prop", FORMATTER_PROPERTY),
        Opt::text(
            "formatter-config",
            "config file",
            "A properties file for the formatter; --formatter-property goes before it.",
        ),
        Opt::flag("from-beginning", "Begin at what is there, where the group has not read yet."),
        Opt::integer("max-messages", "num_messages", "End after this many records."),
        Opt::long("timeout-ms", "timeout_ms", "End when no record comes for this long."),
        Opt::flag("skip-message-on-error", "Go on after a record that cannot be printed."),
        BOOTSTRAP_SERVER,
        Opt::text("key-deserializer", "deserializer for keys", "The class that reads keys."),
        Opt::text("value-deserializer", "deserializer for values", "The class that reads values."),
        Opt::flag("enable-systest-events", "Say when a signal has ended it."),
        Opt::text("isolation-level", "", "read_committed leaves out what transactions have not committed.")
            .or("read_uncommitted"),
        Opt::text("group", "consumer group id", "The group to read as a member of."),
    ],
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let options = Options::read(console, TOOL.options, arguments)?;
    interrupt::listen();
    let consumer = Consumer::new(&options.properties, options.subscription.clone(), interrupt::is_set);
    let mut consumer =
        consumer.map_err(|error| Stop::Failed(format!("Unknown error when running consumer: {error}")))?;
    if options.is_shared() && options.protocol()? == GroupProtocol::Classic {
        console.complain(
            "The consumer rebalance protocol (KIP-848) is production-ready! Set group.protocol=consumer to try it out. See \
             https://kafka.apache.org/documentation/#consumer_rebalance_protocol",
        )?;
    }
    let mut count = 0;
    let read = read(&options, &mut consumer, console, &mut count);
    if let Err(error) = consumer.close() {
        log::warn(&format!("Closing the consumer: {error}"));
    }
    let flushed = console.flush();
    console.complain(&format!("Processed a total of {count} messages"))?;
    let signal = interrupt::code();
    if signal.is_some() && options.systest_events {
        crate::say!(console, "shutdown_complete");
        console.flush()?;
    }
    read?;
    flushed?;
    signal.map_or(Ok(()), |code| Err(Stop::Code(code)))
}

/// Prints records until there are enough, none comes in time, or nobody reads on. What keeps the consumer from reading on is
/// told and ends it, as in Kafka without an exit code of its own.
fn read(options: &Options, consumer: &mut Consumer, console: &mut Console, count: &mut i64) -> Outcome {
    let mut formatter = Formatter::new(&options.formatter).map_err(Stop::Failed)?;
    let mut progress = Progress::new("records", !std::io::stdout().is_terminal());
    while options.max_messages.is_none_or(|most| *count < most) {
        let record = match receive(options, consumer, console) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            Err(stop) => return Err(stop),
        };
        *count += 1;
        progress.step();
        if let Err(problem) = formatter.write(&record, &mut console.out) {
            match problem {
                format::Problem::Record(text) if options.skip_message_on_error => {
                    log::error(&format!("Error processing message, skipping this message: {text}"));
                }
                format::Problem::Record(text) => {
                    return Err(Stop::Failed(format!("Unknown error when running consumer: {text}")));
                }
                format::Problem::Output => {
                    console.err.write_all(b"Unable to write to standard out, closing consumer.\n")?;
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn receive(
    options: &Options,
    consumer: &mut Consumer,
    console: &mut Console,
) -> Outcome<Option<ConsumedRecord>> {
    let terminating = |error: &dyn std::fmt::Display| {
        log::error(&format!("Error processing message, terminating consumer process: {error}"));
    };
    match consumer.buffered() {
        Ok(Some(record)) => return Ok(Some(record)),
        Ok(None) => (),
        Err(ClientError::Interrupted) => return Ok(None),
        Err(error) => {
            terminating(&error);
            return Ok(None);
        }
    }
    // Before waiting, so that whoever reads sees what is there.
    if console.out.flush().is_err() {
        console.err.write_all(b"Unable to write to standard out, closing consumer.\n")?;
        return Ok(None);
    }
    match consumer.next(options.timeout.unwrap_or(Duration::MAX)) {
        Ok(Some(record)) => Ok(Some(record)),
        Ok(None) => {
            terminating(&"org.apache.kafka.common.errors.TimeoutException");
            Ok(None)
        }
        Err(ClientError::Interrupted) => Ok(None),
        Err(error) => {
            terminating(&error);
            Ok(None)
        }
    }
}
