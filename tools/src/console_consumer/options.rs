//! What the command line says.

use crate::{
    args::{Command, Opt},
    client::{
        Properties, TopicPartition,
        consumer::{GroupProtocol, Subscription},
        offsets::{EARLIEST, LATEST},
    },
    console::{Console, Outcome, Stop},
    java,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub struct Options {
    pub properties: Properties,
    pub subscription: Subscription,
    pub formatter: FormatterOptions,
    pub max_messages: Option<i64>,
    pub timeout: Option<Duration>,
    pub skip_message_on_error: bool,
    pub systest_events: bool,
}

/// The class that prints, and its properties.
pub struct FormatterOptions {
    pub class: String,
    pub properties: Properties,
}

impl Options {
    pub fn read(console: &mut Console, table: &'static [Opt], arguments: &[String]) -> Outcome<Options> {
        let command = Command::parse_or_usage(console, table, arguments)?;
        command.help_or_version(
            console,
            "This tool helps to read data from Kafka topics and outputs it to standard output.",
        )?;
        check(&command, console)?;
        let (property, config) = renamed(&command, console)?;
        let properties = consumer_properties(&command, console, property, config)?;
        let subscription = subscription(&command, console)?;
        let formatter = formatter(&command, console)?;
        Ok(Options {
            properties,
            subscription,
            formatter,
            max_messages: command.integer("max-messages")?.map(i64::from).filter(|most| *most != -1),
            timeout: command
                .long("timeout-ms")?
                .and_then(|millis| u64::try_from(millis).ok())
                .map(Duration::from_millis),
            skip_message_on_error: command.has("skip-message-on-error"),
            systest_events: command.has("enable-systest-events"),
        })
    }

    /// Whether partitions are shared out by a group.
    pub fn is_shared(&self) -> bool {
        !matches!(self.subscription, Subscription::Partitions(_))
    }

    pub fn protocol(&self) -> Outcome<GroupProtocol> {
        Ok(crate::client::consumer::ConsumerConfig::read(&self.properties)?.protocol)
    }
}

fn check(command: &Command, console: &mut Console) -> Outcome {
    command.one_of(console, &["topic", "include"])?;
    if command.has("partition") {
        if !command.has("topic") {
            return Err(command.usage(console, "The topic is required when partition is specified."));
        }
        if command.has("from-beginning") && command.has("offset") {
            let message = "Options from-beginning and offset cannot be specified together.";
            return Err(command.usage(console, message));
        }
    } else if command.has("offset") {
        return Err(command.usage(console, "The partition is required when offset is specified."));
    }
    command.required(console, &["bootstrap-server"])
}

/// The names under which a property and a file were given.
fn renamed(command: &Command, console: &mut Console) -> Outcome<(&'static str, &'static str)> {
    for (old, new) in [("consumer-property", "command-property"), ("consumer.config", "command-config")] {
        if command.has(old) && command.has(new) {
            let message = format!("Options --{old} and --{new} cannot be specified together.");
            return Err(command.usage(console, &message));
        }
    }
    let mut one = |new: &'static str, old: &'static str| {
        let warning = format!(
            "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
        );
        command.renamed(console, new, old, &warning)
    };
    Ok((one("command-property", "consumer-property")?, one("command-config", "consumer.config")?))
}

fn consumer_properties(
    command: &Command,
    console: &mut Console,
    property: &'static str,
    config: &'static str,
) -> Outcome<Properties> {
    let file = match command.value(config)? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    let mut given = Properties::default();
    given.add_pairs(&command.values(property));
    let groups = [command.value("group")?, file.get("group.id"), given.get("group.id")];
    let groups: BTreeSet<String> = groups.into_iter().flatten().map(str::to_owned).collect();
    if groups.len() > 1 {
        let told: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        let message = format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
             '--consumer.config') do not match. Detected group ids: {}",
            told.join(", ")
        );
        return Err(command.usage(console, &message));
    }
    if !groups.is_empty() && command.has("partition") {
        return Err(command.usage(console, "Options group and partition cannot be specified together."));
    }
    let mut properties = file;
    given.iter().for_each(|(name, value)| properties.set(name, value));
    reset(command, console, &mut properties)?;
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("client.id", "console-consumer");
    if command.has("isolation-level") || properties.get("isolation.level").is_none() {
        properties.set("isolation.level", command.value("isolation-level")?.unwrap_or_default());
    }
    match groups.into_iter().next() {
        Some(group) => properties.set("group.id", group),
        None => {
            let number = rand::random_range(0..100_000);
            properties.set("group.id", format!("console-consumer-{number}"));
            // Nobody will ask for the offsets of a group whose name nobody knows.
            properties.set_default("enable.auto.commit", "false");
        }
    }
    Ok(properties)
}

fn reset(command: &Command, console: &mut Console, properties: &mut Properties) -> Outcome {
    let from_beginning = command.has("from-beginning");
    match properties.get("auto.offset.reset").map(str::to_owned) {
        Some(reset) if from_beginning && reset != "earliest" => {
            console.complain(&format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            ))?;
            return Err(Stop::Code(1));
        }
        Some(_) => (),
        None => properties.set("auto.offset.reset", if from_beginning { "earliest" } else { "latest" }),
    }
    Ok(())
}

fn subscription(command: &Command, console: &mut Console) -> Outcome<Subscription> {
    let offset = offset(command, console)?;
    let Some(topic) = command.value("topic")? else {
        let pattern = java::whole(command.value("include")?.unwrap_or_default()).map_err(Stop::Failed)?;
        return Ok(Subscription::Pattern(pattern));
    };
    Ok(match command.integer("partition")? {
        Some(partition) => {
            Subscription::Partitions(BTreeMap::from([(TopicPartition::new(topic, partition), offset)]))
        }
        None => Subscription::Topics(vec![topic.to_owned()]),
    })
}

fn offset(command: &Command, console: &mut Console) -> Outcome<i64> {
    if !command.has("offset") {
        return Ok(if command.has("from-beginning") { EARLIEST } else { LATEST });
    }
    let text = command.value("offset")?.unwrap_or_default();
    match text.to_ascii_lowercase().as_str() {
        "earliest" => return Ok(EARLIEST),
        "latest" => return Ok(LATEST),
        _ => (),
    }
    match text.parse() {
        Ok(offset @ 0..) => Ok(offset),
        _ => {
            let message = format!(
                "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative \
                 long."
            );
            Err(command.usage(console, &message))
        }
    }
}

fn formatter(command: &Command, console: &mut Console) -> Outcome<FormatterOptions> {
    let class = command.value("formatter")?.unwrap_or_default().to_owned();
    if !super::format::is_known(&class) {
        return Err(command.usage(console, &class));
    }
    if command.has("formatter-property") && command.has("property") {
        return Err(command
            .usage(console, "Options --property and --formatter-property cannot be specified together."));
    }
    let warning = "Option --property is deprecated and will be removed in a future version. Use --formatter-property instead.";
    let property = command.renamed(console, "formatter-property", "property", warning)?;
    let mut properties = match command.value("formatter-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    for (option, name) in
        [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
    {
        if let Some(class) = command.value(option)?.filter(|class| !class.is_empty()) {
            properties.set(name, class);
        }
    }
    properties.add_pairs(&command.values(property));
    Ok(FormatterOptions { class, properties })
}
