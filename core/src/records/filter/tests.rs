use super::*;
use crate::{
    ids::{Offset, ProducerEpoch, ProducerId},
    records::{Batch, BatchBuilder, NewRecord, Scratch},
};
use bytes::Bytes;

const HORIZON: Filter =
    Filter { keeps_header: false, delete_horizon_ms: Some(1_000_000), is_spent_marker: false };

type Plain = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// Records 10 to 14 with keys 0 to 4; the fourth is a tombstone. Times descend.
fn batch(codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec).base_offset(Offset(10)).producer(
        ProducerId(7),
        ProducerEpoch(1),
        40,
    );
    for index in 0..5_u8 {
        let header: (&[u8], Option<&[u8]>) = (b"h", Some(b"v"));
        builder.push(NewRecord {
            timestamp_ms: 500 - i64::from(index) * 100,
            key: Some(&[index]),
            value: (index != 3).then_some(b"value".as_slice()),
            headers: &[header],
        });
    }
    builder.build()
}

fn whole(bytes: &[u8]) -> Batch<'_> {
    let (batch, rest) = Batch::split_from(bytes).expect("a whole batch");
    assert!(rest.is_empty() && batch.checksum_matches());
    batch
}

fn records(bytes: &[u8]) -> Vec<Plain> {
    let mut scratch = Scratch::default();
    let decoded = DecodedBatch::new(whole(bytes), &mut scratch).expect("readable");
    let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
    let plain = decoded.records().map(|record| {
        let record = record.expect("readable");
        assert_eq!(record.headers.count(), 1, "headers stay");
        (record.offset.0, record.timestamp_ms, owned(record.key), owned(record.value))
    });
    plain.collect()
}

fn filtered(bytes: &[u8], how: Filter, keep: &[i64]) -> Filtered {
    let decoded = DecodedBatch::new(whole(bytes), &mut Scratch::default()).expect("decompresses");
    filter(&decoded, how, |record| keep.contains(&record.offset.0)).expect("readable")
}

fn rewritten(bytes: &[u8], how: Filter, keep: &[i64]) -> Vec<u8> {
    match filtered(bytes, how, keep) {
        Filtered::Rewritten(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_stays_keeps_offset_time_key_value_and_headers_under_every_codec() {
    for codec in Codec::ALL {
        let bytes = batch(codec);
        let all = records(&bytes);
        let left = rewritten(&bytes, Filter::default(), &[11, 14]);
        assert_eq!(records(&left), [all[1].clone(), all[4].clone()], "{codec:?}");
        let header = whole(&left).header();
        assert_eq!(header.codec(), Ok(codec));
        assert_eq!((header.base_offset(), header.last_offset()), (Offset(10), Offset(14)));
        assert_eq!((header.record_count(), header.max_timestamp_ms()), (2, 400));
        assert_eq!(header.producer().map(|it| (it.base_sequence, it.last_sequence)), Some((40, 44)));
    }
}

#[test]
fn a_batch_that_loses_nothing_is_not_touched() {
    let bytes = batch(Codec::Zstd);
    assert_eq!(filtered(&bytes, Filter::default(), &[10, 11, 12, 13, 14]), Filtered::Unchanged);
}

#[test]
fn a_tombstone_that_stays_gives_its_batch_a_horizon_and_changes_no_time() {
    for codec in Codec::ALL {
        let bytes = batch(codec);
        let dated = rewritten(&bytes, HORIZON, &[10, 11, 12, 13, 14]);
        assert_eq!(records(&dated), records(&bytes));
        assert_eq!(whole(&dated).header().delete_horizon_ms(), Some(1_000_000));
        assert_eq!(whole(&dated).header().max_timestamp_ms(), 500);
        let again = Filter { delete_horizon_ms: Some(2_000_000), ..HORIZON };
        assert_eq!(
            filtered(&dated, again, &[10, 11, 12, 13, 14]),
            Filtered::Unchanged,
            "the first horizon counts"
        );
        let fewer = rewritten(&dated, again, &[13]);
        assert_eq!(records(&fewer), records(&bytes)[3..4]);
        assert_eq!(whole(&fewer).header().delete_horizon_ms(), Some(1_000_000));
    }
}

#[test]
fn without_a_tombstone_there_is_no_horizon_but_for_a_spent_marker() {
    let bytes = batch(Codec::None);
    let values = rewritten(&bytes, HORIZON, &[10, 11]);
    assert_eq!(whole(&values).header().delete_horizon_ms(), None);
    let marker = rewritten(&bytes, Filter { is_spent_marker: true, ..HORIZON }, &[10, 11]);
    assert_eq!(whole(&marker).header().delete_horizon_ms(), Some(1_000_000));
}

#[test]
fn a_time_too_far_from_the_horizon_stays_as_it_is() {
    let mut builder = BatchBuilder::new();
    builder.push(NewRecord { timestamp_ms: i64::MIN + 5, key: Some(b"k"), ..NewRecord::default() });
    let bytes = builder.build();
    assert_eq!(filtered(&bytes, HORIZON, &[0]), Filtered::Unchanged);
}

#[test]
fn an_emptied_batch_keeps_its_header_if_it_must_and_is_empty_for_good() {
    let bytes = batch(Codec::Gzip);
    assert_eq!(filtered(&bytes, Filter::default(), &[]), Filtered::Removed);
    let keeps = Filter { keeps_header: true, ..HORIZON };
    let empty = rewritten(&bytes, keeps, &[]);
    assert_eq!(empty.len(), HEADER_BYTES);
    let header = whole(&empty).header();
    assert_eq!(
        (header.record_count(), header.last_offset(), header.codec()),
        (0, Offset(14), Ok(Codec::None))
    );
    assert_eq!(header.producer().map(|it| it.last_sequence), Some(44));
    assert_eq!(filtered(&empty, keeps, &[]), Filtered::Unchanged);
    assert_eq!(filtered(&empty, Filter::default(), &[]), Filtered::Removed);
}

#[test]
fn records_that_cannot_be_read_are_an_error_and_not_gone() {
    let mut bytes = batch(Codec::None).to_vec();
    let end = bytes.len() - 1;
    bytes.truncate(end);
    seal(&mut bytes);
    let decoded = DecodedBatch::new(whole(&bytes), &mut Scratch::default()).expect("not compressed");
    let result = filter(&decoded, Filter::default(), |_| false);
    assert!(result.is_err(), "{result:?}");
}
