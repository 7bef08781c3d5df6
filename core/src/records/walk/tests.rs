use super::*;
use crate::records::header::{HEADER_BYTES, seal};

/// A batch whose only record has exactly these bytes behind its length.
fn with_record(record: &[u8]) -> Vec<u8> {
    let mut builder = crate::records::BatchBuilder::new();
    builder.push(crate::records::NewRecord { timestamp_ms: 10, ..Default::default() });
    let mut bytes = builder.build()[..HEADER_BYTES].to_vec();
    let length = u8::try_from(record.len() * 2).expect("one varint byte");
    bytes.push(length);
    bytes.extend_from_slice(record);
    seal(&mut bytes);
    bytes
}

fn walked(record: &[u8]) -> Result<RecordFacts, WalkFault> {
    let bytes = with_record(record);
    let (batch, _) = Batch::split_from(&bytes).expect("whole");
    let mut seen = None;
    walk(&batch, &mut Scratch::new(), |facts| {
        seen = Some(facts);
        ControlFlow::Continue(())
    })
    .map(|()| seen.expect("one record"))
}

fn fault(record: &[u8]) -> &'static str {
    match walked(record) {
        Err(WalkFault::Record { index: 0, what }) => what,
        other => panic!("{other:?}"),
    }
}

// attributes, timestamp delta 3, offset delta 0, key "k", value null, one header "h": null
const GOOD: [u8; 9] = [0, 6, 0, 2, b'k', 1, 2, 2, b'h'];

#[test]
fn a_record_is_its_fields_and_nothing_more() {
    let record = [&GOOD[..], &[1]].concat();
    let facts = RecordFacts { index: 0, offset_delta: 0, timestamp_ms: 13, has_key: true };
    assert_eq!(walked(&record), Ok(facts));
    assert_eq!(fault(&[&record[..], &[0]].concat()), "is shorter than its length says");
    for length in 0..record.len() {
        assert!(walked(&record[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn impossible_fields_are_named() {
    assert_eq!(fault(&[0, 6, 0, 3, 1, 0]), "has a field of negative length");
    assert_eq!(fault(&[0, 6, 0, 100, 1, 0]), "is longer than its length says");
    assert_eq!(fault(&[0, 6, 0, 1, 1, 1]), "has an impossible number of headers");
    assert_eq!(fault(&[0, 6, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]), "has an impossible number of headers");
    assert_eq!(fault(&[0, 6, 0, 1, 1, 2, 1, 1]), "has a header with a null key");
    assert_eq!(fault(&[0, 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), "has a varint of more than 5 bytes");
    // The base timestamp is 10: the largest delta leads beyond 64 bits.
    let delta = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(
        fault(&[&[0][..], &delta, &[0, 1, 1, 0]].concat()),
        "has a timestamp beyond what 64 bits hold"
    );
}
