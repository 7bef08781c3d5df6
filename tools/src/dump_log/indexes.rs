//! Kafka's files beside a segment: indexes by offset, time and transaction, and snapshots of producers.

use super::{Faults, base_offset, log::Reader};
use crate::{args::Command, console::Console};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// Bytes of an entry: offset from the base, and position.
const OFFSET_ENTRY: usize = 8;
/// Bytes of an entry: time, and offset from the base.
const TIME_ENTRY: usize = 12;
/// Bytes of an entry: version, producer, first and last offset, last stable offset.
const TRANSACTION_ENTRY: usize = 34;
/// Bytes of a producer in a snapshot.
const PRODUCER_ENTRY: usize = 46;

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    bytes.get(at..at + 2).and_then(|it| it.try_into().ok()).map_or(0, i16::from_be_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).and_then(|it| it.try_into().ok()).map_or(0, i32::from_be_bytes)
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    bytes.get(at..at + 8).and_then(|it| it.try_into().ok()).map_or(0, i64::from_be_bytes)
}

/// The file of this segment with another ending.
fn sibling(path: &Path, extension: &str) -> PathBuf {
    path.with_extension(extension)
}

fn absolute(path: &Path) -> io::Result<String> {
    Ok(std::path::absolute(path)?.display().to_string())
}

/// Offset and position of each entry up to the zeros that follow the last.
fn offsets(path: &Path) -> io::Result<Vec<(i64, u64)>> {
    let base = base_offset(path)?;
    let bytes = fs::read(path)?;
    let mut entries = Vec::new();
    for (index, entry) in bytes.chunks_exact(OFFSET_ENTRY).enumerate() {
        let (offset, position) = (i32_at(entry, 0), i32_at(entry, 4));
        if offset == 0 && index > 0 {
            break;
        }
        entries.push((base + i64::from(offset), u64::try_from(position).unwrap_or(0)));
    }
    Ok(entries)
}

fn damaged(path: &Path, bytes: u64, entry: usize) -> io::Error {
    let text = format!(
        "Index file {} is corrupt, found {bytes} bytes which is neither positive nor a multiple of {entry}.",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

pub fn dump_offsets(
    path: &Path,
    command: &Command,
    console: &mut Console,
    faults: &mut Faults,
) -> io::Result<()> {
    let length = fs::metadata(path)?.len();
    if length < OFFSET_ENTRY as u64 {
        return writeln!(console.out, "{} is empty.", path.display());
    }
    if command.has("index-sanity-check") {
        if length % OFFSET_ENTRY as u64 != 0 {
            return Err(damaged(path, length, OFFSET_ENTRY));
        }
        return writeln!(console.out, "{} passed sanity check.", path.display());
    }
    let log = sibling(path, "log");
    for (offset, position) in offsets(path)? {
        let found = Reader::open(&log, position, u64::MAX)?.next()?.map_or(-1, |unit| unit.last_offset());
        if found != offset {
            faults.mismatches.entry(absolute(path)?).or_default().insert(0, (offset, found));
        }
        if !command.has("verify-index-only") {
            writeln!(console.out, "offset: {offset} position: {position}")?;
        }
    }
    Ok(())
}

pub fn dump_times(
    path: &Path,
    command: &Command,
    console: &mut Console,
    faults: &mut Faults,
) -> io::Result<()> {
    let base = base_offset(path)?;
    let bytes = fs::read(path)?;
    if command.has("index-sanity-check") {
        if bytes.len() % TIME_ENTRY != 0 {
            return Err(damaged(path, bytes.len() as u64, TIME_ENTRY));
        }
        return writeln!(console.out, "{} passed sanity check.", path.display());
    }
    let log = sibling(path, "log");
    let index = offsets(&sibling(path, "index"))?;
    let file = absolute(path)?;
    let mut before = -1;
    for (number, entry) in bytes.chunks_exact(TIME_ENTRY).enumerate() {
        let (timestamp, relative) = (i64_at(entry, 0), i32_at(entry, 8));
        if relative == 0 && number > 0 {
            break;
        }
        let offset = base + i64::from(relative);
        let position =
            index.iter().rev().find(|(indexed, _)| *indexed <= offset).map_or(0, |(_, position)| *position);
        let mut reader = Reader::open(&log, position, u64::MAX)?;
        let mut found = None;
        while let Some(unit) = reader.next()? {
            if unit.last_offset() >= offset {
                found = Some((unit.last_offset(), unit.max_timestamp_ms()));
                break;
            }
        }
        match found {
            Some((last, latest)) if last == offset => {
                if latest != timestamp {
                    faults.time_mismatches.entry(file.clone()).or_default().push((timestamp, latest));
                }
                if before >= timestamp {
                    faults.times_out_of_order.entry(file.clone()).or_default().push((timestamp, before));
                }
            }
            other => {
                let last = other.map_or(-1, |(last, _)| last);
                faults.offsets_not_found.entry(file.clone()).or_default().push((offset, last));
            }
        }
        if !command.has("verify-index-only") {
            writeln!(console.out, "timestamp: {timestamp} offset: {offset}")?;
        }
        before = timestamp;
    }
    Ok(())
}

pub fn dump_transactions(path: &Path, console: &mut Console) -> io::Result<()> {
    for entry in fs::read(path)?.chunks_exact(TRANSACTION_ENTRY) {
        writeln!(
            console.out,
            "version: {} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            i16_at(entry, 0),
            i64_at(entry, 2),
            i64_at(entry, 10),
            i64_at(entry, 18),
            i64_at(entry, 26)
        )?;
    }
    Ok(())
}

pub fn dump_producers(path: &Path, console: &mut Console) -> io::Result<()> {
    // Version, checksum and count stand before the producers.
    const HEADER: usize = 10;
    let bytes = fs::read(path)?;
    let count = usize::try_from(i32_at(&bytes, 6)).unwrap_or(0);
    let entries = bytes.get(HEADER..).unwrap_or_default();
    if entries.len() != count * PRODUCER_ENTRY {
        let text = format!("Snapshot failed CRC validation or has an unexpected length: {}", path.display());
        return writeln!(console.err, "{text}");
    }
    for entry in entries.chunks_exact(PRODUCER_ENTRY) {
        let (last_sequence, delta) = (i32_at(entry, 10), i32_at(entry, 22));
        write!(
            console.out,
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {}",
            i64_at(entry, 0),
            i16_at(entry, 8),
            i32_at(entry, 34),
            optional(i64_at(entry, 38)),
            i64_at(entry, 26)
        )?;
        if last_sequence >= 0 {
            // Sequences go around at the largest i32.
            let first = (i64::from(last_sequence) - i64::from(delta)).rem_euclid(1 << 31);
            write!(
                console.out,
                " firstSequence: {first} lastSequence: {last_sequence} lastOffset: {} offsetDelta: {delta} timestamp: {}",
                i64_at(entry, 14),
                i64_at(entry, 26)
            )?;
        }
        writeln!(console.out)?;
    }
    Ok(())
}

fn optional(offset: i64) -> String {
    if offset < 0 { "OptionalLong.empty".into() } else { format!("OptionalLong[{offset}]") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::{
        ids::Offset,
        records::{BatchBuilder, NewRecord},
    };

    #[test]
    fn an_index_is_compared_with_its_log() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |ending: &str| directory.path().join(format!("00000000000000000100.{ending}"));
        let batch = |base, timestamp_ms| {
            let mut builder = BatchBuilder::new().base_offset(Offset(base));
            builder.push(NewRecord { timestamp_ms, ..NewRecord::default() });
            builder.build()
        };
        let (first, second) = (batch(100, 5), batch(101, 6));
        fs::write(path("log"), [&first[..], &second].concat()).expect("written");
        let position = i32::try_from(first.len()).expect("small");
        let entry = |offset: i32, position: i32| [offset.to_be_bytes(), position.to_be_bytes()].concat();
        fs::write(path("index"), [entry(0, 0), entry(1, position), entry(0, 0)].concat()).expect("written");
        let time =
            |timestamp: i64, offset: i32| [&timestamp.to_be_bytes()[..], &offset.to_be_bytes()].concat();
        fs::write(path("timeindex"), [time(5, 0), time(4, 1)].concat()).expect("written");
        let command = Command::parse(super::super::TOOL.options, &[]).expect("nothing");
        let (mut console, out) = crate::console::testing();
        let mut faults = Faults::default();
        dump_offsets(&path("index"), &command, &mut console, &mut faults).expect("dumped");
        dump_times(&path("timeindex"), &command, &mut console, &mut faults).expect("dumped");
        let expected = format!(
            "offset: 100 position: 0\noffset: 101 position: {position}\ntimestamp: 5 offset: 100\ntimestamp: 4 offset: 101\n"
        );
        assert_eq!(out.text(), expected);
        assert!(faults.mismatches.is_empty() && faults.offsets_not_found.is_empty());
        assert_eq!(faults.time_mismatches.into_values().next(), Some(vec![(4, 6)]));
        assert_eq!(faults.times_out_of_order.into_values().next(), Some(vec![(4, 5)]));
    }
}
