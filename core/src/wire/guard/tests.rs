//! The whole table, row by row, against the protocol crate: bodies are made at random *from the table*, and must
//! come out of the crate's decoder and encoder as they went in. (core/tests/wire_guard.rs goes the other way for the
//! served keys: from the crate's values to the table.)

use super::{rows, schema::*};
use crate::wire::{Fault, WireError, try_frame};
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiKey;
use std::collections::BTreeSet;

#[test]
fn no_key_has_two_rows() {
    let keys: Vec<i16> = rows().map(|row| row.key).collect();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[test]
fn names_and_header_versions_are_those_of_the_crate() {
    for row in rows() {
        let key = ApiKey::try_from(row.key).expect("the crate knows it");
        assert_eq!(row.name, format!("{key:?}"));
        for version in row.versions.min..=row.versions.max {
            assert_eq!(
                row.header_version(version),
                key.request_header_version(version),
                "{} v{version}",
                row.name
            );
        }
    }
}

#[test]
fn every_body_that_a_row_describes_survives_the_crates_decoder_and_encoder() {
    for row in rows() {
        for version in row.versions.min..=row.versions.max {
            for seed in 0..200 {
                let mut writer = Writer {
                    out: Vec::new(),
                    version,
                    flexible: row.is_flexible(version),
                    state: seed * 0x9e37_79b9,
                };
                writer.structure(row.fields);
                let body = writer.out;
                let context = format!("{} v{version} seed {seed}", row.name);
                row.check(version, &body, 0).unwrap_or_else(|error| panic!("{context}: {error}"));
                let mut rest = Bytes::from(body.clone());
                let recoded = (row.recode)(&mut rest, version);
                assert_eq!(recoded, Ok(body), "{context}");
                assert!(rest.is_empty(), "{context}");
            }
        }
    }
}

/// Writes random bodies as the crate would: what has two encodings (a tagged field at its default, a boolean of
/// neither 0 nor 1) is written in the crate's.
struct Writer {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
    state: u64,
}

impl Writer {
    fn below(&mut self, bound: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % bound
    }

    fn structure(&mut self, fields: &'static [Field]) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.exists_in(version)) {
            self.value(field);
        }
        if self.flexible {
            self.tagged_fields(fields);
        }
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) {
        let mut tagged: Vec<(u64, Vec<u8>)> = Vec::new();
        for field in fields {
            let Some(tag) = field.tag.filter(|_| field.exists_in(self.version)) else { continue };
            if self.below(2) == 0 {
                let mut value = Writer {
                    out: Vec::new(),
                    version: self.version,
                    flexible: true,
                    state: self.below(1 << 30),
                };
                match field.kind {
                    Kind::String => value.string_of(7),
                    Kind::Bytes => value.bytes_of(7),
                    Kind::Fixed(_) | Kind::Struct(_) | Kind::Array(_) => value.value(field),
                }
                tagged.push((u64::from(tag), value.out));
            }
        }
        for unknown in 0..self.below(8).saturating_sub(5) {
            tagged.push((1000 + unknown, vec![7; self.below(5) as usize]));
        }
        self.varint(tagged.len() as u64);
        for (tag, value) in tagged {
            self.varint(tag);
            self.varint(value.len() as u64);
            self.out.extend(value);
        }
    }

    fn value(&mut self, field: &'static Field) {
        let null = field.nullable && self.below(4) == 0;
        match field.kind {
            Kind::Fixed(bytes) => self.fixed(bytes),
            Kind::String if null => self.length_of_string(None),
            Kind::String => {
                let length = self.below(9);
                self.string_of(length);
            }
            Kind::Bytes | Kind::Array(_) if null => self.length(None),
            Kind::Bytes => {
                let length = self.below(200);
                self.bytes_of(length);
            }
            Kind::Struct(_) if null => self.out.push(0xff),
            Kind::Struct(fields) => {
                if field.nullable {
                    self.out.push(1);
                }
                self.structure(fields);
            }
            Kind::Array(element) => {
                let count = self.below(4);
                self.length(Some(count));
                for _ in 0..count {
                    match element.shape {
                        Shape::Fixed(bytes) => self.fixed(bytes),
                        Shape::String => self.string_of(3),
                        Shape::Struct(fields) => self.structure(fields),
                    }
                }
            }
        }
    }

    fn fixed(&mut self, bytes: usize) {
        if bytes == 1 {
            // Perhaps a boolean.
            let byte = self.below(2) as u8;
            self.out.push(byte);
        } else {
            for _ in 0..bytes {
                let byte = self.below(256) as u8;
                self.out.push(byte);
            }
        }
    }

    fn string_of(&mut self, length: u64) {
        self.length_of_string(Some(length));
        self.out.extend(std::iter::repeat_n(b's', length as usize));
    }

    fn bytes_of(&mut self, length: u64) {
        self.length(Some(length));
        self.out.extend(std::iter::repeat_n(0xfe, length as usize));
    }

    fn length_of_string(&mut self, length: Option<u64>) {
        if self.flexible {
            self.varint(length.map_or(0, |length| length + 1));
        } else {
            self.out.put_i16(length.map_or(-1, |length| length as i16));
        }
    }

    fn length(&mut self, length: Option<u64>) {
        if self.flexible {
            self.varint(length.map_or(0, |length| length + 1));
        } else {
            self.out.put_i32(length.map_or(-1, |length| length as i32));
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

/// What becomes of a frame of this key and version, with a null client id, no tagged fields, and this body.
fn fault(key: i16, version: i16, flexible: bool, body: &[u8]) -> (&'static str, Fault) {
    let mut frame = Vec::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(1);
    frame.put_i16(-1);
    if flexible {
        frame.put_u8(0);
    }
    frame.extend(body);
    match try_frame(&Bytes::from(frame)) {
        Err(WireError::Malformed { field, fault, .. }) => (field, fault),
        other => panic!("{other:?}"),
    }
}

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

#[test]
fn null_is_refused_where_it_may_not_stand() {
    assert_eq!(fault(API_VERSIONS, 3, true, &[0]), ("client_software_name", Fault::Null));
    let topics_null = [0xff, 0xff, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(fault(PRODUCE, 3, false, &topics_null), ("topic_data", Fault::Null));
}

#[test]
fn lengths_below_minus_one_are_refused() {
    assert_eq!(fault(PRODUCE, 3, false, &[0xff, 0xfe]), ("transactional_id", Fault::Negative));
    assert_eq!(fault(METADATA, 1, false, &[0x80, 0, 0, 0]), ("topics", Fault::Negative));
}

#[test]
fn a_presence_byte_is_one_or_minus_one() {
    // No topics, a limit, and a cursor that is neither there nor absent (the crate would take it for absent).
    assert_eq!(
        fault(DESCRIBE_TOPIC_PARTITIONS, 0, true, &[1, 0, 0, 0, 9, 2, 0]),
        ("cursor", Fault::Negative)
    );
}

#[test]
fn lengths_and_counts_beyond_the_frame_are_refused() {
    assert_eq!(fault(PRODUCE, 3, false, &[0, 5, b'a']), ("transactional_id", Fault::Length));
    assert_eq!(fault(METADATA, 1, false, &[0, 0, 0, 3, 0, 0, 0, 0]), ("topics", Fault::Count));
    assert_eq!(fault(METADATA, 9, true, &[0xff, 0xff, 0xff, 0xff, 0x0f]), ("topics", Fault::Count));
    assert_eq!(fault(API_VERSIONS, 3, true, &[1, 1, 9, 0]), ("tagged fields", Fault::Count));
    assert_eq!(fault(API_VERSIONS, 3, true, &[1, 1, 1, 0, 9]), ("tagged fields", Fault::Length));
}

#[test]
fn a_varint_of_more_than_32_bits_is_refused() {
    let too_large = [0x80, 0x80, 0x80, 0x80, 0x10];
    assert_eq!(fault(API_VERSIONS, 3, true, &too_large), ("client_software_name", Fault::Varint));
    let unending = [0xff; 10];
    assert_eq!(fault(API_VERSIONS, 3, true, &unending), ("client_software_name", Fault::Varint));
}

#[test]
fn strings_are_utf8() {
    assert_eq!(fault(API_VERSIONS, 3, true, &[2, 0xff, 1, 0]), ("client_software_name", Fault::Utf8));
}

#[test]
fn a_known_tagged_field_fills_its_size_and_belongs_to_the_version() {
    // Fetch v15 without topics; in front of the tags: wait, min, max, isolation, session id and epoch, empty arrays
    // and rack.
    let mut body = vec![0; 21];
    body.extend([1, 1, 1]);
    let with_tags = |tags: &[u8]| [&body[..], tags].concat();
    // cluster_id "ab", of declared size 4 instead of 3.
    assert_eq!(fault(FETCH, 15, true, &with_tags(&[1, 0, 4, 3, b'a', b'b', 0])).1, Fault::Tag);
    // cluster_id "ab", of declared size 2.
    assert_eq!(fault(FETCH, 15, true, &with_tags(&[1, 0, 2, 3, b'a', b'b', 0])).1, Fault::Tag);
    // replica_state exists from version 15, and in version 14 the tag is taken by nothing.
    let mut older = vec![0xff; 4];
    older.extend(&body);
    older.extend([1, 1, 0]);
    assert_eq!(fault(FETCH, 14, true, &older), ("tagged fields", Fault::Tag));
}
