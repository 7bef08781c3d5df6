use super::*;
use crate::records::{BatchBuilder, NewRecord};
use proptest::prelude::*;

type Field = Option<Vec<u8>>;
type Owned = (i64, Field, Field, Vec<(Vec<u8>, Field)>);

fn build(codec: Codec, records: &[Owned]) -> bytes::Bytes {
    let mut builder = BatchBuilder::new().codec(codec).base_offset(Offset(50));
    for (timestamp_ms, key, value, headers) in records {
        let headers: Vec<RecordHeader<'_>> =
            headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        builder.push(NewRecord {
            timestamp_ms: *timestamp_ms,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        });
    }
    builder.build()
}

fn read(bytes: &[u8]) -> Vec<(i64, Owned)> {
    let (batch, _) = Batch::split_from(bytes).expect("whole");
    let decoded = DecodedBatch::new(batch, &mut Scratch::new()).expect("decompresses");
    decoded
        .records()
        .map(|record| {
            let record = record.expect("readable");
            let headers = record.headers.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
            let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
            let fields = (record.timestamp_ms, owned(record.key), owned(record.value), headers.collect());
            (record.offset.0, fields)
        })
        .collect()
}

#[test]
fn repeated_header_keys_keep_their_order() {
    let headers: Vec<(Vec<u8>, Field)> = vec![
        (b"k".to_vec(), Some(b"1".to_vec())),
        (b"\xff".to_vec(), None),
        (b"k".to_vec(), Some(b"2".to_vec())),
        (b"k".to_vec(), Some(Vec::new())),
    ];
    let record: Owned = (5, None, Some(b"v".to_vec()), headers);
    assert_eq!(read(&build(Codec::None, std::slice::from_ref(&record))), [(50, record)]);
}

#[test]
fn after_a_damaged_record_there_are_no_more() {
    let record: Owned = (5, None, Some(b"v".to_vec()), Vec::new());
    let mut bytes = build(Codec::None, &[record.clone(), record]).to_vec();
    let at = crate::records::header::HEADER_BYTES;
    bytes[at] = 0x7f;
    let (batch, _) = Batch::split_from(&bytes).expect("whole");
    let decoded = DecodedBatch::new(batch, &mut Scratch::new()).expect("uncompressed");
    let all: Vec<_> = decoded.records().collect();
    assert_eq!(all, [Err(WalkFault::Record { index: 0, what: "has a negative length" })]);
}

fn field() -> impl Strategy<Value = Field> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..200))
}

proptest! {
    #[test]
    fn what_is_built_is_read(
        codec in 0_usize..5,
        records in prop::collection::vec(
            (-1_i64..i64::MAX, field(), field(), prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), field()), 0..4)),
            0..20,
        ),
    ) {
        let expected: Vec<(i64, Owned)> = (50..).zip(records.iter().cloned()).collect();
        prop_assert_eq!(read(&build(Codec::ALL[codec], &records)), expected);
    }

    #[test]
    fn no_body_makes_reading_panic(body in prop::collection::vec(any::<u8>(), 0..200), count in any::<i32>(), codec in 0_u8..8) {
        let mut bytes = build(Codec::None, &[(1, None, None, Vec::new())]).to_vec();
        bytes.truncate(crate::records::header::HEADER_BYTES);
        bytes.extend_from_slice(&body);
        bytes[22] = codec;
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        crate::records::header::seal(&mut bytes);
        let (batch, _) = Batch::split_from(&bytes).expect("whole");
        if let Ok(decoded) = DecodedBatch::new(batch, &mut Scratch::new()) {
            for record in decoded.records().flatten() {
                let _ = record.headers.count();
            }
        }
    }
}
