//! From a record to a line (`org.apache.kafka.tools.consumer.DefaultMessageFormatter`), or to what a coordinator keeps in it
//! (`OffsetsMessageFormatter` and its like).

use super::{deserialize::Deserializer, options::FormatterOptions};
use crate::{
    client::{Properties, consumer::ConsumedRecord},
    coordinator::{Coordinator, Entry, Fault, Json},
    log,
};
use corelane_core::records::TimestampType;
use std::io::{self, Write};

/// The class that prints where none is named.
pub const DEFAULT: &str = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";
const LOGGING: &str = "org.apache.kafka.tools.consumer.LoggingMessageFormatter";
const NOTHING: &str = "org.apache.kafka.tools.consumer.NoOpMessageFormatter";
const OFFSETS: &str = "org.apache.kafka.tools.consumer.OffsetsMessageFormatter";
const GROUPS: &str = "org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter";
const SHARE_GROUPS: &str = "org.apache.kafka.tools.consumer.ShareGroupMessageFormatter";
const TRANSACTIONS: &str = "org.apache.kafka.tools.consumer.TransactionLogMessageFormatter";

/// Whether this class can print.
pub fn is_known(class: &str) -> bool {
    [DEFAULT, LOGGING, NOTHING, OFFSETS, GROUPS, SHARE_GROUPS, TRANSACTIONS].contains(&class)
}

/// Why a record was not printed.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be.
    Record(String),
    /// Nobody reads.
    Output,
}

impl From<io::Error> for Problem {
    fn from(_: io::Error) -> Problem {
        Problem::Output
    }
}

/// What prints records.
pub enum Formatter {
    /// Nothing is printed.
    Nothing,
    /// A line for each.
    Lines(Box<Lines>),
    /// What a coordinator keeps, of the entries that are meant; one behind the other, as by Kafka.
    Entries(Coordinator, fn(&Entry) -> bool),
}

/// What is printed of a record, and how.
pub struct Lines {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    key_deserializer: Option<Deserializer>,
    value_deserializer: Option<Deserializer>,
    headers_deserializer: Option<Deserializer>,
    /// One record, so that it is written whole or not at all.
    line: Vec<u8>,
}

impl Formatter {
    pub fn new(options: &FormatterOptions) -> Result<Formatter, String> {
        match options.class.as_str() {
            NOTHING => Ok(Formatter::Nothing),
            // The logging one logs below the level that is shown.
            DEFAULT | LOGGING => Ok(Formatter::Lines(Box::new(Lines::new(&options.properties)))),
            OFFSETS => Ok(Formatter::Entries(Coordinator::Groups, Entry::is_offset)),
            GROUPS => Ok(Formatter::Entries(Coordinator::Groups, Entry::is_classic_group)),
            SHARE_GROUPS => Ok(Formatter::Entries(Coordinator::Groups, Entry::is_share_group)),
            TRANSACTIONS => Ok(Formatter::Entries(Coordinator::Transactions, |_| true)),
            other => Err(other.into()),
        }
    }

    pub fn write(&mut self, record: &ConsumedRecord, out: &mut dyn Write) -> Result<(), Problem> {
        match self {
            Formatter::Nothing => Ok(()),
            Formatter::Lines(lines) => lines.write(record, out),
            Formatter::Entries(coordinator, is_meant) => write_entry(*coordinator, *is_meant, record, out),
        }
    }
}

/// Nothing of records without a key, of types that are not known and of those that are not meant.
fn write_entry(
    coordinator: Coordinator,
    is_meant: fn(&Entry) -> bool,
    record: &ConsumedRecord,
    out: &mut dyn Write,
) -> Result<(), Problem> {
    let Some(key) = &record.key else { return Ok(()) };
    let entry = match coordinator.read(key, record.value.as_deref()) {
        Ok(entry) if is_meant(&entry) => entry,
        Ok(_) | Err(Fault::Type(_)) => return Ok(()),
        Err(fault) => {
            let offset = record.offset;
            return Err(Problem::Record(format!("Could not read record at offset {offset} due to: {fault}")));
        }
    };
    let of =
        |name, number: i16, data| Json::Object(vec![(name, Json::Number(number.into())), ("data", data)]);
    let value = entry.value.map_or(Json::Null, |(version, data)| of("version", version, data));
    let entry = Json::Object(vec![("key", of("type", entry.kind, entry.key)), ("value", value)]);
    Ok(write!(out, "{entry}")?)
}

impl Lines {
    fn new(properties: &Properties) -> Lines {
        let flag = |name, default| {
            properties.get(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let bytes = |name, default: &str| properties.get(name).unwrap_or(default).as_bytes().to_vec();
        let deserializer = |name| {
            let class = properties.get(name)?;
            let known = Deserializer::named(class);
            if known.is_none() {
                log::error(&format!("Unable to instantiate a deserializer from {class}"));
            }
            known
        };
        Lines {
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            key_separator: bytes("key.separator", "\t"),
            line_separator: bytes("line.separator", "\n"),
            headers_separator: bytes("headers.separator", ","),
            null_literal: bytes("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer"),
            value_deserializer: deserializer("value.deserializer"),
            headers_deserializer: deserializer("headers.deserializer"),
            line: Vec::new(),
        }
    }

    fn write(&mut self, record: &ConsumedRecord, out: &mut dyn Write) -> Result<(), Problem> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let formatted = self.format(record, &mut line);
        // What is before the fault is printed, as by Kafka.
        let written = out.write_all(&line);
        self.line = line;
        formatted?;
        Ok(written?)
    }

    fn format(&self, record: &ConsumedRecord, line: &mut Vec<u8>) -> Result<(), Problem> {
        let fields =
            [self.partition, self.offset, self.delivery, self.epoch, self.headers, self.key, self.value];
        // Whether one of the fields from the given one on is printed: then a tab follows, else the line ends.
        let more = |from: usize| fields[from..].contains(&true);
        if self.timestamp {
            let kind = match record.timestamp_type {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            };
            write!(line, "{kind}:{}", record.timestamp_ms)?;
            self.separate(line, more(0));
        }
        if self.partition {
            write!(line, "Partition:{}", record.place.partition)?;
            self.separate(line, more(1));
        }
        if self.offset {
            write!(line, "Offset:{}", record.offset)?;
            self.separate(line, more(2));
        }
        for (is_printed, name, next) in [(self.delivery, "Delivery", 3), (self.epoch, "Epoch", 4)] {
            if is_printed {
                // Kafka's tool hands neither on to its formatter.
                write!(line, "{name}:NOT_PRESENT")?;
                self.separate(line, more(next));
            }
        }
        if self.headers {
            self.format_headers(record, line)?;
            self.separate(line, more(5));
        }
        if self.key {
            self.field(self.key_deserializer.as_ref(), record.key.as_deref(), line)?;
            self.separate(line, self.value);
        }
        if self.value {
            self.field(self.value_deserializer.as_ref(), record.value.as_deref(), line)?;
            line.extend(&self.line_separator);
        }
        Ok(())
    }

    fn separate(&self, line: &mut Vec<u8>, more: bool) {
        line.extend(if more { &self.key_separator } else { &self.line_separator });
    }

    fn format_headers(&self, record: &ConsumedRecord, line: &mut Vec<u8>) -> Result<(), Problem> {
        if record.headers.is_empty() {
            line.extend(b"NO_HEADERS");
        }
        for (index, (key, value)) in record.headers.iter().enumerate() {
            if index > 0 {
                line.extend(&self.headers_separator);
            }
            line.extend(key);
            line.push(b':');
            self.field(self.headers_deserializer.as_ref(), value.as_deref(), line)?;
        }
        Ok(())
    }

    /// Null is the null literal, and what stands for it goes through the deserializer, as in Kafka.
    fn field(
        &self,
        deserializer: Option<&Deserializer>,
        bytes: Option<&[u8]>,
        line: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let bytes = bytes.unwrap_or(&self.null_literal);
        match deserializer {
            Some(deserializer) => line.extend(deserializer.text(bytes).map_err(Problem::Record)?.as_bytes()),
            None => line.extend(bytes),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::TopicPartition;

    fn printed(pairs: &[&str], record: &ConsumedRecord) -> String {
        let mut properties = Properties::default();
        properties.add_pairs(pairs);
        let mut out = Vec::new();
        Lines::new(&properties).write(record, &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    }

    fn record() -> ConsumedRecord {
        ConsumedRecord {
            place: TopicPartition::new("t", 3),
            offset: 5,
            timestamp_ms: 123,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(b"v".to_vec()),
            headers: vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)],
        }
    }

    #[test]
    fn a_line_has_its_fields_in_kafkas_order() {
        let all = ["timestamp", "partition", "offset", "delivery", "epoch", "headers", "key"];
        let all: Vec<String> = all.iter().map(|name| format!("print.{name}=true")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let expected = "CreateTime:123\tPartition:3\tOffset:5\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT\ta:1,b:null\tnull\tv\n";
        assert_eq!(printed(&all, &record()), expected);
    }

    #[test]
    fn the_last_field_ends_the_line_whichever_it_is() {
        let pairs = [
            "print.value=false",
            "print.offset=true",
            "line.separator=;",
            "null.literal=-",
            "print.key=true",
        ];
        assert_eq!(printed(&pairs, &record()), "Offset:5\t-;");
        assert_eq!(printed(&["print.value=false", "print.partition=true"], &record()), "Partition:3\n");
        let bare = ConsumedRecord { headers: vec![], ..record() };
        assert_eq!(printed(&["print.headers=true"], &bare), "NO_HEADERS\tv\n");
    }

    #[test]
    fn of_what_coordinators_keep_only_the_kind_that_is_asked_for_is_printed() {
        let options =
            |class: &str| FormatterOptions { class: class.into(), properties: Properties::default() };
        let printed = |class: &str, record: &ConsumedRecord| {
            let mut out = Vec::new();
            let written = Formatter::new(&options(class)).expect("known").write(record, &mut out);
            written.map(|()| String::from_utf8(out).expect("text"))
        };
        // A group of the classic protocol that is gone.
        let gone = ConsumedRecord { key: Some(vec![0, 2, 0, 1, b'g']), value: None, ..record() };
        let expected = r#"{"key":{"type":2,"data":{"group":"g"}},"value":null}"#;
        assert_eq!(printed(GROUPS, &gone).expect("well formed"), expected);
        assert_eq!(printed(OFFSETS, &gone).expect("well formed"), "");
        let unknown = ConsumedRecord { key: Some(vec![0, 99]), ..record() };
        assert_eq!(printed(GROUPS, &unknown).expect("left out"), "");
        assert_eq!(printed(GROUPS, &record()).expect("left out"), "", "no key");
        let newer = ConsumedRecord { value: Some(vec![0, 9]), ..gone };
        let Err(Problem::Record(told)) = printed(GROUPS, &newer) else { panic!("version 9 was read") };
        assert_eq!(
            told,
            "Could not read record at offset 5 due to: Found an unknown record version 9 for 2 type"
        );
    }

    #[test]
    fn a_value_of_the_wrong_size_is_a_problem_of_the_record() {
        let mut properties = Properties::default();
        properties.set("value.deserializer", "org.apache.kafka.common.serialization.IntegerDeserializer");
        let problem = Lines::new(&properties).write(&record(), &mut Vec::new()).expect_err("one byte");
        assert!(
            matches!(problem, Problem::Record(text) if text == "Size of data received by IntegerDeserializer is not 4")
        );
    }
}
