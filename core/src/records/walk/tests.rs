use super::*;
use crate::records::{
    compress::compress,
    header::{HEADER_BYTES, seal},
};
use proptest::{prelude::*, sample::Index};
use std::io::Read;

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

#[test]
fn nothing_lies_whole_in_a_window_of_one_byte() {
    for byte in 0..=u8::MAX {
        assert_eq!(window::record(&[byte], 0), None);
        assert_eq!(window::headers(&[byte], 1), (0, 0));
    }
    assert_eq!(window::record(&[], 0), None);
    assert_eq!(window::headers(&[], 1), (0, 0));
}

#[test]
fn a_window_is_left_before_the_header_that_is_not_whole() {
    let two = [0, 1, 4, b'a', b'b', 2, b'c'];
    assert_eq!(window::headers(&two, 2), (2, 7));
    assert_eq!(window::headers(&two, 1), (1, 2));
    for end in 2..7 {
        assert_eq!(window::headers(&two[..end], 2), (1, 2), "{end} bytes");
    }
    // A null key, and a length of five bytes that says nothing.
    assert_eq!(window::headers(&[0, 0, 1, 0], 2), (1, 2));
    assert_eq!(window::headers(&[0x80, 0x80, 0x80, 0x80, 0, 0], 1), (1, 6));
}

/// Gives what `inner` holds in windows of `sizes`, again and again.
struct Windows<'a, R> {
    inner: R,
    sizes: &'a [usize],
    next: usize,
    left: usize,
}

impl<R: BufRead> BufRead for Windows<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let there = self.inner.fill_buf()?;
        if self.left == 0 {
            self.left = self.sizes[self.next % self.sizes.len()].min(there.len());
            self.next += 1;
        }
        Ok(&there[..self.left])
    }

    fn consume(&mut self, bytes: usize) {
        self.left -= bytes;
        self.inner.consume(bytes);
    }
}

impl<R: BufRead> Read for Windows<'_, R> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("a walk looks at windows only")
    }
}

type Outcome = (Vec<RecordFacts>, Result<(), WalkFault>);

/// Goes over `batch` until `visits` records were seen: in windows of `sizes`, or in those of the decompressor.
fn outcome(batch: &Batch<'_>, visits: usize, sizes: Option<&[usize]>) -> Outcome {
    let mut seen = Vec::new();
    let mut scratch = Scratch::new();
    let visit = |facts| {
        seen.push(facts);
        if seen.len() < visits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let codec = batch.header().codec().expect("known");
    let result = match sizes {
        None => walk(batch, &mut scratch, visit),
        Some(sizes) => {
            match scratch.decompress(codec, batch.body(), decompressed_bytes_max(batch.body().len())) {
                Ok(inner) => {
                    let mut windows = Windows { inner, sizes, next: 0, left: 0 };
                    walk_plain(batch.header(), codec, &mut windows, visit)
                }
                Err(fault) => Err(fault.into()),
            }
        }
    };
    (seen, result)
}

/// As a varint of any width: bytes that add nothing may follow, up to `width`. A reader must take them while they are
/// 5 at most, or 10 in a timestamp.
fn put(out: &mut Vec<u8>, value: i64, width: usize) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let from = out.len();
    while zigzag >= 0x80 || out.len() - from + 1 < width {
        out.push(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag.to_le_bytes()[0]);
}

fn put_field(out: &mut Vec<u8>, field: Option<usize>, width: usize) {
    put(out, field.map_or(-1, |length| i64::try_from(length).expect("small")), width);
    out.resize(out.len() + field.unwrap_or(0), b'x');
}

/// A record behind its length.
fn raw_record() -> impl Strategy<Value = Vec<u8>> {
    let length = || prop_oneof![4 => 0_usize..3, 2 => 0_usize..100, 1 => 100_usize..400];
    let field = move || prop::option::of(length());
    let width = || prop_oneof![4 => Just(1_usize), 1 => 2_usize..8];
    let timestamp = prop_oneof![8 => -3_i64..3, 1 => any::<i64>(), 1 => Just(i64::MAX)];
    let headers = prop::collection::vec((length(), field(), width()), 0..12);
    (timestamp, any::<i32>(), field(), field(), headers, width()).prop_map(
        |(timestamp_delta, offset_delta, key, value, headers, width)| {
            let mut fields = vec![0];
            put(&mut fields, timestamp_delta, width);
            put(&mut fields, i64::from(offset_delta), width);
            put_field(&mut fields, key, width);
            put_field(&mut fields, value, width);
            put(&mut fields, i64::try_from(headers.len()).expect("few"), width);
            for (key, value, width) in headers {
                put_field(&mut fields, Some(key), width);
                put_field(&mut fields, value, width);
            }
            let mut record = Vec::new();
            put(&mut record, i64::try_from(fields.len()).expect("small"), width);
            [record, fields].concat()
        },
    )
}

fn edited(mut bytes: Vec<u8>, edits: &[(Index, u8)], cut: Option<Index>) -> Vec<u8> {
    if !bytes.is_empty() {
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
    }
    bytes.truncate(cut.map_or(usize::MAX, |cut| cut.index(bytes.len() + 1)));
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(Index, u8)>> {
    let byte = prop_oneof![0_u8..4, Just(0x80), Just(0x7f), Just(0xff), any::<u8>()];
    prop_oneof![Just(Vec::new()), prop::collection::vec((any::<Index>(), byte), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// One byte at a time leaves nothing to the quick way, so that is what all others are held against.
    #[test]
    fn the_windows_make_no_difference(
        codec in 0_usize..5,
        records in prop::collection::vec(raw_record(), 0..8),
        lie in prop_oneof![6 => Just(0_i32), 1 => -1_i32..2],
        plain_edits in edits(),
        packed_edits in prop_oneof![3 => Just(Vec::new()), 1 => edits()],
        plain_cut in prop_oneof![4 => Just(None), 1 => any::<Index>().prop_map(Some)],
        packed_cut in prop_oneof![8 => Just(None), 1 => any::<Index>().prop_map(Some)],
        visits in prop_oneof![4 => Just(usize::MAX), 1 => 1_usize..8],
        sizes in prop_oneof![
            prop::collection::vec(1_usize..64, 1..5),
            (1_usize..64).prop_map(|size| vec![size]),
        ],
    ) {
        let codec = Codec::ALL[codec];
        let mut builder = crate::records::BatchBuilder::new().codec(codec);
        builder.push(crate::records::NewRecord { timestamp_ms: 10, ..Default::default() });
        let count = i32::try_from(records.len()).expect("few") + lie;
        let plain = edited(records.concat(), &plain_edits, plain_cut);
        let mut packed = Vec::new();
        compress(codec, &mut &plain[..], &mut packed).expect("memory to memory");
        let packed = edited(packed, &packed_edits, packed_cut);
        let mut bytes = [&builder.build()[..HEADER_BYTES], &packed[..]].concat();
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        seal(&mut bytes);
        let (batch, _) = Batch::split_from(&bytes).expect("whole");

        let expected = outcome(&batch, visits, Some(&[1]));
        prop_assert_eq!(&outcome(&batch, visits, Some(&sizes)), &expected, "in windows of {:?}", sizes);
        prop_assert_eq!(&outcome(&batch, visits, None), &expected);
    }
}
