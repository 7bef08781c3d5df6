//! Segments: batches and their records.

use super::{Faults, base_offset};
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

/// What is printed of a segment.
pub struct Options {
    records: bool,
    contents: bool,
    metadata: bool,
    max_bytes: u64,
    parser: Parser,
}

/// What reads keys and values.
enum Parser {
    /// Each by itself.
    Apart { key: Decoder, value: Decoder },
    /// As a coordinator's record.
    Entries(Coordinator),
}

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
        let parser = if command.has("offsets-decoder") {
            Parser::Entries(Coordinator::Groups)
        } else if command.has("transaction-log-decoder") {
            Parser::Entries(Coordinator::Transactions)
        } else {
            Parser::Apart { value: decoder("value-decoder-class")?, key: decoder("key-decoder-class")? }
        };
        let contents = [
            "print-data-log",
            "value-decoder-class",
            "key-decoder-class",
            "offsets-decoder",
            "transaction-log-decoder",
        ]
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

impl Parser {
    /// Key and value as texts, where they are to be told.
    fn parse(&self, record: &Record<'_>) -> io::Result<(Option<String>, Option<String>)> {
        let coordinator = match self {
            Parser::Apart { key, value } => {
                return Ok((record.key.map(|it| key.text(it)), record.value.map(|it| value.text(it))));
            }
            Parser::Entries(coordinator) => coordinator,
        };
        let Some(key) = record.key else {
            let text = format!(
                "Failed to decode message at offset {} using the specified decoder (message had a missing key)",
                record.offset
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        let of = |name, number: i16, data| {
            Json::Object(vec![(name, Json::Text(number.to_string())), ("data", data)]).to_string()
        };
        Ok(match coordinator.read(key, record.value) {
            Ok(entry) => {
                let entry = entry.with_members_read();
                let value = entry.value.map(|(version, data)| of("version", version, data));
                (Some(of("type", entry.kind, entry.key)), Some(value.unwrap_or_else(|| "<DELETE>".into())))
            }
            Err(Fault::Type(number)) => {
                (Some(format!("Unknown record type {number} at offset {}, skipping.", record.offset)), None)
            }
            Err(fault) => (Some(format!("Error at offset {}, skipping. {fault}", record.offset)), None),
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

    /// The next whole v2 batch; `None` at the end, or where there is no such batch.
    pub fn next(&mut self) -> io::Result<Option<Batch<'_>>> {
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
        match Batch::split_from(&self.batch) {
            Ok((batch, _)) => {
                self.position += batch.bytes().len() as u64;
                Ok(Some(batch))
            }
            Err(_) => Ok(None),
        }
    }
}

/// Prints a segment.
pub fn dump(path: &Path, options: &Options, console: &mut Console, faults: &mut Faults) -> io::Result<()> {
    writeln!(console.out, "Log starting offset: {}", base_offset(path)?)?;
    let mut reader = Reader::open(path, 0, options.max_bytes)?;
    let mut scratch = Scratch::new();
    let mut last = -1;
    loop {
        let position = reader.position;
        let Some(batch) = reader.next()? else { break };
        writeln!(console.out, "{}", batch_line(batch, position))?;
        if options.records {
            let mut printer = Printer { path, options, faults, last: &mut last };
            printer.records(batch, &mut scratch, &mut *console.out)?;
        }
    }
    let rest = reader.end - reader.position;
    if rest > 0 && options.max_bytes == u64::from(i32::MAX.unsigned_abs()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(console.out, "Found {rest} invalid bytes at the end of {name}")?;
    }
    Ok(())
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
    let codec = header.codec().map_or_else(
        |number| format!("unknown ({number})"),
        |codec| match codec {
            corelane_core::records::Codec::None => "none".into(),
            codec => codec.name().into(),
        },
    );
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
            let offset = record.offset.0;
            if offset != *self.last + 1 {
                let path = std::path::absolute(self.path)?.display().to_string();
                self.faults.gaps.entry(path).or_default().push((*self.last, offset));
            }
            *self.last = offset;
            if self.options.metadata {
                out.write_all(metadata(batch.header(), &record).as_bytes())?;
            }
            if self.options.contents && !batch.header().is_control() {
                self.contents(&record, out)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn contents(&self, record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut before = if self.options.metadata { " " } else { "| " };
        let (key, value) = self.options.parser.parse(record)?;
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

fn metadata(header: &BatchHeader, record: &Record<'_>) -> String {
    let size =
        |field: Option<&[u8]>| field.map_or(-1, |field| i64::try_from(field.len()).unwrap_or(i64::MAX));
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
        line.push_str(&control(record));
    }
    line
}

/// What a control record says (`ControlRecordType`): its key is a version and a type; of markers of transactions the value
/// is a version and the coordinator's epoch.
fn control(record: &Record<'_>) -> String {
    let key = record.key.and_then(|key| <[u8; 2]>::try_from(key.get(2..4)?).ok()).map(i16::from_be_bytes);
    let epoch =
        record.value.and_then(|value| <[u8; 4]>::try_from(value.get(2..6)?).ok()).map(i32::from_be_bytes);
    match (key, epoch) {
        (Some(0), Some(epoch)) => format!(" endTxnMarker: ABORT coordinatorEpoch: {epoch}"),
        (Some(1), Some(epoch)) => format!(" endTxnMarker: COMMIT coordinatorEpoch: {epoch}"),
        (Some(number), _) => format!(" controlType: {}({number})", control_name(number)),
        (None, _) => " controlType: UNKNOWN(-1)".into(),
    }
}

fn control_name(number: i16) -> &'static str {
    match number {
        2 => "LEADER_CHANGE",
        3 => "SNAPSHOT_HEADER",
        4 => "SNAPSHOT_FOOTER",
        5 => "KRAFT_VERSION",
        6 => "KRAFT_VOTERS",
        _ => "UNKNOWN",
    }
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
