//! `kafka-dump-log` in both editions, on log directories that Apache Kafka's own classes have written.

use corelane_client_tests::{Pair, jars, run};
use std::{fs, path::Path};

/// As `java/Segments.java` describes it.
fn directories() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/java/Segments.java");
    let fixed = ["-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"];
    run("java", &[&fixed[..], &[&jars(), program, text(directory.path())]].concat());
    directory
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// All files of a folder, by name.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<String> =
        entries.map(|entry| text(&entry.expect("an entry").path()).to_owned()).collect();
    files.sort();
    files
}

#[test]
fn kafkas_files_are_printed_as_by_kafka() {
    let directories = directories();
    let records = directories.path().join("records");
    let files = files(&records);
    assert_eq!(files.len(), 5, "a log, three indexes and a snapshot: {files:?}");
    let all = files.join(",");
    let mut pair = Pair::start();
    let tool = "kafka-dump-log";
    let plain = pair.same(tool, &["--files", &all]);
    assert!(plain.out.contains("firstOffset: 19"), "an aborted transaction: {plain:?}");
    for arguments in [
        &["--print-data-log"][..],
        &["--deep-iteration"],
        &["--deep-iteration", "--skip-record-metadata"],
        &["--print-data-log", "--skip-record-metadata"],
        &["--index-sanity-check"],
        &["--verify-index-only"],
        &["--max-bytes", "400"],
        &["--max-bytes", "400", "--print-data-log"],
        &["--key-decoder-class", "org.apache.kafka.tools.api.StringDecoder"],
    ] {
        pair.same(tool, &[&["--files", &all], arguments].concat());
    }
    damage(&mut pair, &records);
    pair.finish();
}

#[test]
fn what_coordinators_keep_is_told_field_by_field_as_by_kafka() {
    let directories = directories();
    let log = |name: &str| text(&directories.path().join(name).join("00000000000000000000.log")).to_owned();
    let (groups, transactions) = (log("groups"), log("transactions"));
    let mut pair = Pair::start();
    let tool = "kafka-dump-log";
    let told = pair.same(tool, &["--files", &groups, "--offsets-decoder"]);
    for part in [
        r#""type":"23""#,
        r#""ownedPartitions":[{"topic":"t""#,
        "Unknown record type 9 at offset",
        "<DELETE>",
    ] {
        assert!(told.out.contains(part), "{part} in {}", told.out);
    }
    pair.same(tool, &["--files", &groups, "--offsets-decoder", "--skip-record-metadata"]);
    let told = pair.same(tool, &["--files", &transactions, "--transaction-log-decoder"]);
    assert!(told.out.contains(r#""clientTransactionVersion""#), "{}", told.out);
    pair.finish();
}

#[test]
fn messages_of_before_kafka_0_11_are_told_as_by_kafka() {
    let directories = directories();
    let mut pair = Pair::start();
    for folder in ["old0", "old1"] {
        let files = files(&directories.path().join(folder)).join(",");
        for arguments in [
            &[][..],
            &["--deep-iteration"],
            &["--print-data-log"],
            &["--print-data-log", "--skip-record-metadata"],
            &["--max-bytes", "500", "--deep-iteration"],
        ] {
            pair.same("kafka-dump-log", &[&["--files", &files], arguments].concat());
        }
    }
    let log = directories.path().join("old1/00000000000000000000.log");
    let mut bytes = fs::read(&log).expect("written");
    // The last byte of the first value.
    bytes[12 + 22 + 3 + 299] ^= 1;
    fs::write(&log, bytes).expect("written");
    let told = pair.same("kafka-dump-log", &["--files", text(&log), "--deep-iteration"]);
    assert!(told.out.contains("isValid: false"), "{told:?}");
    pair.finish();
}

#[test]
fn what_controllers_and_share_groups_and_remote_storage_keep_is_told_as_by_kafka() {
    let directories = directories();
    let log = |name: &str| text(&directories.path().join(name)).to_owned();
    let segment = |name: &str| log(&format!("{name}/00000000000000000000.log"));
    let mut pair = Pair::start();
    let tool = "kafka-dump-log";
    for (file, decoder) in [
        (segment("shares"), "--share-group-state-decoder"),
        (segment("metadata"), "--cluster-metadata-decoder"),
        (log("metadata/00000000000000000042-0000000007.checkpoint"), "--cluster-metadata-decoder"),
        (log("metadata/bootstrap.checkpoint"), "--deep-iteration"),
        (segment("remote"), "--remote-log-metadata-decoder"),
    ] {
        let told = pair.same(tool, &["--files", &file, decoder]);
        assert!(told.out.lines().count() > 5, "{told:?}");
        pair.same(tool, &["--files", &file, decoder, "--skip-record-metadata"]);
    }
    pair.finish();
}

/// What a power cut or a bad disk leaves.
fn damage(pair: &mut Pair, records: &Path) {
    let tool = "kafka-dump-log";
    let path = |ending: &str| records.join(format!("00000000000000000000.{ending}"));
    let all = ["log", "index", "timeindex"].map(|ending| text(&path(ending)).to_owned()).join(",");
    let bytes = fs::read(path("log")).expect("written");
    // A batch that is not whole, behind one whose checksum is wrong.
    let mut damaged = bytes.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    damaged.extend_from_slice(&bytes[..30]);
    fs::write(path("log"), &damaged).expect("written");
    let told = pair.same(tool, &["--files", &all]);
    assert!(told.out.contains("isvalid: false") && told.out.contains("Found 30 invalid bytes"), "{told:?}");
    fs::write(path("log"), &bytes).expect("written");
    // Entries that say something else than the log.
    for (ending, at) in [("index", 11), ("timeindex", 19), ("timeindex", 23)] {
        let whole = fs::read(path(ending)).expect("written");
        let mut changed = whole.clone();
        changed[at] ^= 2;
        fs::write(path(ending), &changed).expect("written");
        let told = pair.same(tool, &["--files", &all]);
        assert!(!told.err.is_empty(), "{ending} at {at}: {told:?}");
        fs::write(path(ending), whole).expect("written");
    }
    fs::write(path("index"), []).expect("written");
    pair.same(tool, &["--files", &all]);
    let moved = records.join("00000000000000000003.log");
    fs::rename(path("log"), &moved).expect("moved");
    pair.same(tool, &["--files", text(&moved), "--deep-iteration"]);
}
