//! Segments: batches and their records.

use super::{Faults, base_offset, cluster_metadata, control, legacy, remote_log};
use crate::{
    args::Command,
    console::{Console, Outcome, Stop},
    coordinator::{Coordinator, Fault, Json},
};
use corelane_core::records::{
    Batch, BatchHeader, DecodedBatch, Record, Scratch, TimestampType, header::sequence_plus,
};
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// The class that reads texts.
pub const STRING_DECODER: &str = "org.apache.kafka.tools.api.StringDecoder";

/// Bytes before what a batch's length counts.
const PREFIX: usize = corelane_core::records::header::LENGTH_PREFIX_BYTES;

/// Where the number of the format stands.
const MAGIC_AT: usize = 16;

/// What is printed of a segment.
pub struct Options {
    records: bool,
    contents: bool,
    metadata: bool,
    max_bytes: u64,
    parser: Parser,
}

/// What reads keys and values.
#[derive(Clone, Copy)]
enum Parser {
    /// Each by itself.
    Apart { key: Decoder, value: Decoder },
    /// As a coordinator's record.
    Entries(Coordinator),
    /// Values alone: of the cluster's metadata.
    ClusterMetadata,
    /// Values alone: of remote storage's.
    RemoteLog,
}

/// The options that say what reads keys and values, besides classes.
const DECODERS: [(&str, Parser); 5] = [
    ("offsets-decoder", Parser::Entries(Coordinator::Groups)),
    ("transaction-log-decoder", Parser::Entries(Coordinator::Transactions)),
    ("cluster-metadata-decoder", Parser::ClusterMetadata),
    ("remote-log-metadata-decoder", Parser::RemoteLog),
    ("share-group-state-decoder", Parser::Entries(Coordinator::Share)),
];

#[derive(Clone, Copy)]
enum Decoder {
    Text,
    Integer,
    Long,
}

impl Options {
    pub fn read(command: &Command) -> Outcome<Options> {
        let decoder = |option| -> Outcome<Decoder> {
            match command.value(option)?.unwrap_or(STRING_DECODER) {
                STRING_DECODER => Ok(Decoder::Text),
                "org.apache.kafka.tools.api.IntegerDecoder" => Ok(Decoder::Integer),
                "org.apache.kafka.tools.api.LongDecoder" => Ok(Decoder::Long),
                class => Err(Stop::failed(format!("Failed to load decoder class {class}"))),
            }
        };
        let named = DECODERS.into_iter().find(|(option, _)| command.has(option));
        let parser = match named {
            Some((_, parser)) => parser,
            None => {
                Parser::Apart { value: decoder("value-decoder-class")?, key: decoder("key-decoder-class")? }
            }
        };
        let contents = named.is_some()
            || ["print-data-log", "value-decoder-class", "key-decoder-class"]
                .into_iter()
                .any(|it| command.has(it));
        Ok(Options {
            records: contents || command.has("deep-iteration"),
            contents,
            metadata: !command.has("skip-record-metadata"),
            max_bytes: u64::try_from(command.integer("max-bytes")?.unwrap_or(i32::MAX)).unwrap_or(0),
            parser,
        })
    }
}

/// Of a key and a value.
type Texts = (Option<String>, Option<String>);

impl Parser {
    /// Key and value as texts, where they are to be told.
    fn parse(&self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> io::Result<Texts> {
        let coordinator = match self {
            Parser::Apart { key: key_decoder, value: value_decoder } => {
                return Ok((key.map(|it| key_decoder.text(it)), value.map(|it| value_decoder.text(it))));
            }
            Parser::ClusterMetadata => {
                let told = cluster_metadata::json(value.unwrap_or_default());
                let told = told.unwrap_or_else(|fault| format!("Error at {offset}, skipping. {fault}"));
                return Ok((None, Some(told)));
            }
            Parser::RemoteLog => {
                let told = remote_log::text(value.unwrap_or_default());
                let told =
                    told.unwrap_or_else(|fault| format!("Error at offset {offset}, skipping. {fault}"));
                return Ok((None, Some(told)));
            }
            Parser::Entries(coordinator) => coordinator,
        };
        let Some(key) = key else {
            let text = format!(
                "Failed to decode message at offset {offset} using the specified decoder (message had a missing key)"
            );
            return Err(io::Error::other(text));
        };
        let of = |name, number: i16, data| {
            Json::Object(vec![(name, Json::Text(number.to_string())), ("data", data)]).to_string()
        };
        Ok(match coordinator.read(key, value) {
            Ok(entry) => {
                let entry = entry.with_members_read();
                let value = entry.value.map(|(version, data)| of("version", version, data));
                (Some(of("type", entry.kind, entry.key)), Some(value.unwrap_or_else(|| "<DELETE>".into())))
            }
            Err(Fault::Type(number)) => {
                (Some(format!("Unknown record type {number} at offset {offset}, skipping.")), None)
            }
            Err(fault) => (Some(format!("Error at offset {offset}, skipping. {fault}")), None),
        })
    }
}

impl Decoder {
    fn text(self, bytes: &[u8]) -> String {
        let number = |size: usize| format!("<{} bytes, not {size}>", bytes.len());
        match self {
            Decoder::Text => String::from_utf8_lossy(bytes).into_owned(),
            Decoder::Integer => {
                <[u8; 4]>::try_from(bytes).map_or_else(|_| number(4), |it| i32::from_be_bytes(it).to_string())
            }
            Decoder::Long => {
                <[u8; 8]>::try_from(bytes).map_or_else(|_| number(8), |it| i64::from_be_bytes(it).to_string())
            }
        }
    }
}

/// The batches of a file, one at a time.
pub struct Reader {
    file: BufReader<File>,
    /// Where the next batch begins.
    pub position: u64,
    /// Where the file ends, or as much of it as is read.
    pub end: u64,
    batch: Vec<u8>,
}

impl Reader {
    /// From a position on.
    pub fn open(path: &Path, from: u64, most: u64) -> io::Result<Reader> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len().min(most);
        file.seek(SeekFrom::Start(from))?;
        Ok(Reader { file: BufReader::with_capacity(1 << 20, file), position: from, end, batch: Vec::new() })
    }

    /// The next that is whole; `None` at the end, or where there is none.
    pub fn next(&mut self) -> io::Result<Option<Unit<'_>>> {
        let left = self.end.saturating_sub(self.position);
        let mut prefix = [0; PREFIX];
        if left < PREFIX as u64 {
            return Ok(None);
        }
        self.file.read_exact(&mut prefix)?;
        let length = prefix.last_chunk().map_or(-1, |length| i32::from_be_bytes(*length));
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        // A length is believed as far as the file goes.
        if length == 0 || left < (PREFIX + length) as u64 {
            return Ok(None);
        }
        self.batch.clear();
        self.batch.extend_from_slice(&prefix);
        self.batch.resize(PREFIX + length, 0);
        self.file.read_exact(&mut self.batch[PREFIX..])?;
        let unit = match self.batch.get(MAGIC_AT) {
            Some(0 | 1) => {
                let offset = prefix.first_chunk().map_or(0, |offset| i64::from_be_bytes(*offset));
                legacy::Message::new(offset, &self.batch[PREFIX..]).map(Unit::Message)
            }
            _ => Batch::split_from(&self.batch).ok().map(|(batch, _)| Unit::Batch(batch)),
        };
        self.position += unit.as_ref().map_or(0, |unit| unit.size() as u64);
        Ok(unit)
    }
}

/// What a log consists of.
pub enum Unit<'a> {
    /// Since Kafka 0.11.
    Batch(Batch<'a>),
    /// Before.
    Message(legacy::Message<'a>),
}

impl Unit<'_> {
    fn size(&self) -> usize {
        match self {
            Unit::Batch(batch) => batch.bytes().len(),
            Unit::Message(message) => message.size(),
        }
    }

    /// The offset of its last record.
    pub fn last_offset(&self) -> i64 {
        match self {
            Unit::Batch(batch) => batch.header().last_offset().0,
            Unit::Message(message) => message.offset(),
        }
    }

    /// In Unix milliseconds, -1 for none.
    pub fn max_timestamp_ms(&self) -> i64 {
        match self {
            Unit::Batch(batch) => batch.header().max_timestamp_ms(),
            Unit::Message(message) => message.timestamp_ms(),
        }
    }
}

/// Prints a segment.
pub fn dump(path: &Path, options: &Options, console: &mut Console, faults: &mut Faults) -> io::Result<()> {
    writeln!(console.out, "{}", title(path)?)?;
    let mut reader = Reader::open(path, 0, options.max_bytes)?;
    let mut scratch = Scratch::new();
    let mut last = -1;
    loop {
        let position = reader.position;
        let Some(unit) = reader.next()? else { break };
        let line = match &unit {
            Unit::Batch(batch) => batch_line(*batch, position),
            Unit::Message(message) => message.line(position),
        };
        writeln!(console.out, "{line}")?;
        if options.records {
            let mut printer = Printer { path, options, faults, last: &mut last };
            match unit {
                Unit::Batch(batch) => printer.records(batch, &mut scratch, &mut *console.out)?,
                Unit::Message(message) => printer.messages(message, &mut scratch, &mut *console.out)?,
            }
        }
    }
    let rest = reader.end - reader.position;
    if rest > 0 && options.max_bytes == u64::from(i32::MAX.unsigned_abs()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(console.out, "Found {rest} invalid bytes at the end of {name}")?;
    }
    Ok(())
}

/// What is said of a file by its name alone. Of a snapshot that is the end and the epoch of the log that it stands for.
fn title(path: &Path) -> io::Result<String> {
    if path.extension().is_none_or(|extension| extension != "checkpoint") {
        return Ok(format!("Log starting offset: {}", base_offset(path)?));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if name == "bootstrap" {
        return Ok("KRaft bootstrap snapshot".into());
    }
    let numbers = name.get(..20).zip(name.get(21..31));
    let numbers =
        numbers.and_then(|(end, epoch)| Some((end.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?)));
    let Some((end, epoch)) = numbers else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name is not that of a snapshot"));
    };
    Ok(format!("Snapshot end offset: {end}, epoch: {epoch}"))
}

fn kind(header: &BatchHeader) -> &'static str {
    match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn batch_line(batch: Batch<'_>, position: u64) -> String {
    let header = batch.header();
    let base = header.base_sequence();
    let last_sequence = if base < 0 { -1 } else { sequence_plus(base, header.last_offset_delta()) };
    let horizon = match header.has_delete_horizon() {
        true => format!("OptionalLong[{}]", header.base_timestamp_ms()),
        false => "OptionalLong.empty".into(),
    };
    let codec = legacy::codec_name(header.codec());
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {base} lastSequence: {last_sequence} producerId: {} \
         producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: \
         {position} {}: {} size: {} magic: {} compresscodec: {codec} crc: {} isvalid: {}",
        header.base_offset(),
        header.last_offset(),
        header.record_count(),
        header.producer_id().0,
        header.producer_epoch().0,
        header.leader_epoch().0,
        header.is_transactional(),
        header.is_control(),
        kind(header),
        header.max_timestamp_ms(),
        batch.bytes().len(),
        header.magic(),
        header.crc(),
        batch.checksum_matches()
    )
}

struct Printer<'a> {
    path: &'a Path,
    options: &'a Options,
    faults: &'a mut Faults,
    last: &'a mut i64,
}

impl Printer<'_> {
    fn records(&mut self, batch: Batch<'_>, scratch: &mut Scratch, out: &mut dyn Write) -> io::Result<()> {
        let decoded = match DecodedBatch::new(batch, scratch) {
            Ok(decoded) => decoded,
            Err(fault) => return writeln!(out, "| records cannot be read: {fault}"),
        };
        for record in decoded.records() {
            let record = match record {
                Ok(record) => record,
                Err(fault) => return writeln!(out, "| records cannot be read: {fault}"),
            };
            self.follow(record.offset.0)?;
            if self.options.metadata {
                out.write_all(metadata(batch.header(), &record).as_bytes())?;
            }
            if self.options.contents && !batch.header().is_control() {
                self.contents(record.offset.0, record.key, record.value, out)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn messages(
        &mut self,
        message: legacy::Message<'_>,
        scratch: &mut Scratch,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let told = message.contents(scratch, |content| {
            self.follow(content.offset)?;
            if self.options.metadata {
                write!(
                    out,
                    "| offset: {} {}: {} keySize: {} valueSize: {} isValid: {} crc: {}",
                    content.offset,
                    message.timestamp_type(),
                    content.timestamp_ms,
                    size(content.key),
                    size(content.value),
                    content.is_valid,
                    content.crc
                )?;
            }
            if self.options.contents {
                self.contents(content.offset, content.key, content.value, out)?;
            }
            writeln!(out)
        });
        match told {
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => {
                writeln!(out, "| records cannot be read: {fault}")
            }
            told => told,
        }
    }

    /// Notes where offsets do not follow each other.
    fn follow(&mut self, offset: i64) -> io::Result<()> {
        if offset != *self.last + 1 {
            let path = std::path::absolute(self.path)?.display().to_string();
            self.faults.gaps.entry(path).or_default().push((*self.last, offset));
        }
        *self.last = offset;
        Ok(())
    }

    fn contents(
        &self,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut before = if self.options.metadata { " " } else { "| " };
        let (key, value) = self.options.parser.parse(offset, key, value)?;
        if let Some(key) = key {
            write!(out, "{before}key: {key}")?;
            before = " ";
        }
        if let Some(value) = value {
            write!(out, "{before}payload: {value}")?;
        }
        Ok(())
    }
}

fn size(field: Option<&[u8]>) -> i64 {
    field.map_or(-1, |field| i64::try_from(field.len()).unwrap_or(i64::MAX))
}

fn metadata(header: &BatchHeader, record: &Record<'_>) -> String {
    let delta = i32::try_from(record.offset.0 - header.base_offset().0).unwrap_or(0);
    let base = header.base_sequence();
    let sequence = if base < 0 { -1 } else { sequence_plus(base, delta) };
    let keys: Vec<_> = record.headers.map(|(key, _)| String::from_utf8_lossy(key)).collect();
    let mut line = format!(
        "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        record.offset,
        kind(header),
        record.timestamp_ms,
        size(record.key),
        size(record.value),
        keys.join(",")
    );
    if header.is_control() {
        line.push_str(&control::told(record));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::{
        ids::{Offset, ProducerEpoch, ProducerId},
        records::{BatchBuilder, Codec, NewRecord},
    };

    fn dumped(bytes: &[u8], name: &str, arguments: &[&str]) -> (String, Faults) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
        let command = Command::parse(super::super::TOOL.options, &arguments).expect("well formed");
        let options = Options::read(&command).expect("valid");
        let (mut console, out) = crate::console::testing();
        let mut faults = Faults::default();
        dump(&path, &options, &mut console, &mut faults).expect("dumped");
        (out.text(), faults)
    }

    fn batch(base: i64, codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(Offset(base)).codec(codec);
        builder = builder.producer(ProducerId(7), ProducerEpoch(1), 10);
        let record =
            NewRecord { timestamp_ms: 5, key: Some(b"k"), value: Some(b"v"), headers: &[(b"h", None)] };
        builder.push(record).push(NewRecord { key: None, ..record });
        builder.build().to_vec()
    }

    #[test]
    fn a_segment_is_printed_batch_by_batch_and_what_follows_the_last_is_told() {
        let bytes = [&batch(0, Codec::None)[..], &batch(2, Codec::Lz4), &[0; 30]].concat();
        let (text, faults) = dumped(&bytes, "00000000000000000000-00000001.log", &["--print-data-log"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 8, "{text}");
        assert_eq!(lines[0], "Log starting offset: 0");
        let expected = "baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 10 lastSequence: 11 producerId: 7 producerEpoch: 1 \
                        partitionLeaderEpoch: -1 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty \
                        position: 0 CreateTime: 5 size: ";
        assert!(lines[1].starts_with(expected) && lines[1].ends_with("isvalid: true"), "{text}");
        let expected = "| offset: 0 CreateTime: 5 keySize: 1 valueSize: 1 sequence: 10 headerKeys: [h] key: k payload: v";
        assert_eq!(lines[2], expected);
        assert!(lines[4].contains("compresscodec: lz4"), "{text}");
        assert_eq!(lines[7], "Found 30 invalid bytes at the end of 00000000000000000000-00000001.log");
        assert!(faults.gaps.is_empty());
    }

    #[test]
    fn gaps_damage_and_bounds_are_told() {
        let mut damaged = batch(5, Codec::None);
        let at = damaged.len() - 1;
        damaged[at] ^= 1;
        let (text, faults) =
            dumped(&damaged, "00000000000000000005.log", &["--deep-iteration", "--skip-record-metadata"]);
        assert!(text.contains("isvalid: false"), "{text}");
        assert_eq!(faults.gaps.into_values().next(), Some(vec![(-1, 5)]));
        let (text, _) = dumped(&batch(0, Codec::None), "0.log", &["--max-bytes", "50"]);
        assert_eq!(text, "Log starting offset: 0\n");
    }
}
