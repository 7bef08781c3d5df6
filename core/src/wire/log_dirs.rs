//! DescribeLogDirs in version 5, which tells whether a directory is cordoned (KIP-1066): the protocol crate's codec of it
//! stops at 4. The request is that of version 4; a result of the response has one field more, the last.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse, describe_log_dirs_response::DescribeLogDirsResult,
    },
    protocol::{Decodable, Encodable, Message},
};

/// The version.
pub(super) const VERSION: i16 = 5;

/// The one before, which the crate has.
const BEFORE: i16 = VERSION - 1;

const _: () = assert!(DescribeLogDirsRequest::VERSIONS.max == BEFORE, "the crate has the version by now");

/// The body of a request.
pub(super) fn request(body: &mut Bytes) -> Result<DescribeLogDirsRequest, String> {
    DescribeLogDirsRequest::decode(body, BEFORE).map_err(|error| error.to_string())
}

/// The body of a response, none of whose directories is cordoned.
pub(super) fn response(response: &DescribeLogDirsResponse) -> Result<BytesMut, String> {
    let mut out = BytesMut::new();
    out.put_i32(response.throttle_time_ms);
    out.put_i16(response.error_code);
    put_length(&mut out, response.results.len());
    for result in &response.results {
        put_result(&mut out, result)?;
    }
    // No tagged fields.
    out.put_u8(0);
    Ok(out)
}

fn put_result(out: &mut BytesMut, result: &DescribeLogDirsResult) -> Result<(), String> {
    if !result.unknown_tagged_fields.is_empty() {
        return Err("no tagged field of a directory is known".to_owned());
    }
    result.encode(out, BEFORE).map_err(|error| error.to_string())?;
    // The new field stands before the count of tagged fields, which is the last byte and 0.
    let cordoned = out.len() - 1;
    out[cordoned] = 0;
    out.put_u8(0);
    Ok(())
}

/// The length of an array: one more than it has, seven bits to the byte (KIP-482).
fn put_length(out: &mut BytesMut, elements: usize) {
    let mut rest = elements + 1;
    while rest >= 0x80 {
        out.put_u8(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    out.put_u8(u8::try_from(rest).expect("seven bits"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::{
        messages::describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsTopic},
        protocol::StrBytes,
    };

    #[test]
    fn a_directory_is_told_of_as_before_and_then_that_it_is_not_cordoned() {
        let partition = DescribeLogDirsPartition::default().with_partition_index(3).with_partition_size(99);
        let topic = DescribeLogDirsTopic::default()
            .with_name(StrBytes::from_static_str("t").into())
            .with_partitions(vec![partition]);
        let result = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_static_str("/data"))
            .with_topics(vec![topic])
            .with_total_bytes(7)
            .with_usable_bytes(5);
        let told = DescribeLogDirsResponse::default().with_results(vec![result]);
        let mut before = BytesMut::new();
        told.encode(&mut before, BEFORE).expect("encoded");
        let body = response(&told).expect("encoded");
        // The crate's bytes of version 4 end with the counts of tagged fields of the result and of the response.
        let (same, end) = body.split_at(before.len() - 2);
        assert_eq!((same, end), (&before[..before.len() - 2], &[0, 0, 0][..]));
    }

    #[test]
    fn lengths_of_arrays_take_seven_bits_to_the_byte() {
        for (elements, bytes) in [(0, &[1][..]), (126, &[127]), (127, &[128, 1]), (300, &[173, 2])] {
            let mut out = BytesMut::new();
            put_length(&mut out, elements);
            assert_eq!(&out[..], bytes, "{elements}");
        }
    }
}
