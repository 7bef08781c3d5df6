//! Replays the fuzzers' corpora (tests/fuzz/corpus, a folder per target) through the very functions that the fuzz
//! targets call.

#[path = "wire_support/allocation.rs"]
mod allocation;
#[path = "../../tests/fuzz/exercise/batch.rs"]
mod batch;
#[path = "../../tests/fuzz/exercise/config.rs"]
mod config;
#[path = "../../tests/fuzz/exercise/recovery.rs"]
mod recovery;
#[path = "wire_support/values.rs"]
mod values;

use allocation::{Counting, INCIDENTALS_BYTES, allocated_by};
use bytes::Bytes;
use corelane_core::{
    ids::Offset,
    wire::{encode_request, fuzz_frame, guard, try_frame},
};
use kafka_protocol::protocol::Request;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use values::{Values, Visitor, visit_served};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target)
}

/// Name and content of each file, sorted by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder(target))
        .expect("the corpus is part of the repository")
        .map(|entry| {
            let path = entry.expect("the folder can be listed").path();
            let content = fs::read(&path).expect("the file can be read");
            (path.display().to_string(), content)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn no_frame_of_the_corpus_is_too_much_for_guard_or_decoder() {
    for (name, frame) in corpus("frame") {
        let ((), allocated) = allocated_by(|| fuzz_frame(&frame));
        // The copy of the frame that `fuzz_frame` makes is not decoding's.
        let budget = frame.len() + guard::decode_budget_bytes(frame.len()) + INCIDENTALS_BYTES;
        assert!(allocated <= budget, "{name}: {allocated} bytes for {}", frame.len());
    }
}

#[test]
fn every_batch_of_the_corpus_is_read_or_refused() {
    corpus("batch").iter().for_each(|(_, bytes)| batch::exercise(bytes));
}

#[test]
fn every_configuration_of_the_corpus_is_taken_or_refused_with_reasons() {
    corpus("config").iter().for_each(|(_, text)| config::exercise(text));
}

#[test]
fn every_data_directory_of_the_corpus_is_refused_or_recovered_twice_to_the_same() {
    for (_, files) in corpus("recovery") {
        recovery::exercise(&files);
    }
}

#[test]
fn the_seeds_of_the_recovery_corpus_are_recovered_with_their_logs() {
    for (name, end) in [("one-open-segment-killed", 3), ("closed-segments-killed", 9), ("clean-stop", 11)] {
        let seed = fs::read(folder("recovery").join(name)).expect("it is part of the repository");
        assert_eq!(recovery::exercise(&seed), [(Offset(0), Offset(end))], "{name}");
    }
}

#[test]
fn the_corpus_has_an_accepted_frame_of_every_served_key_and_version() {
    let accepted: BTreeSet<(i16, i16)> = corpus("frame")
        .into_iter()
        .filter_map(|(_, frame)| try_frame(&Bytes::from(frame)).ok())
        .map(|header| (header.api_key, header.api_version))
        .collect();
    struct Demand(BTreeSet<(i16, i16)>);
    impl Visitor for Demand {
        fn request<T: Request>(&mut self, _: fn(&mut Values) -> T) {
            for version in T::VERSIONS.min..=T::VERSIONS.max {
                assert!(
                    self.0.contains(&(T::KEY, version)),
                    "run the ignored test below: {} v{version}",
                    T::KEY
                );
            }
        }
    }
    visit_served(&mut Demand(accepted));
}

/// Not a test: writes the seeds of the corpus. `cargo test -p corelane-core --test fuzz_corpus -- --ignored`
#[test]
#[ignore = "writes files; run it when a key or version is added"]
fn write_the_seeds_of_the_frame_corpus() {
    struct Write;
    impl Visitor for Write {
        fn request<T: Request>(&mut self, random: fn(&mut Values) -> T) {
            for version in T::VERSIONS.min..=T::VERSIONS.max {
                let frame_of = |seed| {
                    let request = random(&mut Values::new(seed, version));
                    encode_request(1, Some("fuzz"), version, &request)
                        .expect("fields suit the version")
                        .slice(4..)
                };
                // The largest of the small ones has most of the fields.
                let frame = (0..100).map(frame_of).filter(|frame| frame.len() <= 500).max_by_key(Bytes::len);
                let name = format!("key{:03}-v{version:02}", T::KEY);
                fs::write(folder("frame").join(name), frame.expect("some are small"))
                    .expect("the folder exists");
            }
        }
    }
    visit_served(&mut Write);
}
