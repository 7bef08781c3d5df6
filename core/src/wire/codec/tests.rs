use super::*;
use kafka_protocol::{
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, ProduceRequest,
        produce_request,
    },
    protocol::StrBytes,
};

fn parsed(frame: &Bytes) -> RequestHeader {
    RequestHeader::parse(frame).expect("it is whole")
}

#[test]
fn a_response_starts_with_its_length_and_the_header_of_its_version() {
    for (version, header) in [(8, &[0, 0, 0, 7][..]), (9, &[0, 0, 0, 7, 0])] {
        let frame = encode_response(7, version, &MetadataResponse::default()).expect("it has defaults only");
        let length = i32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
        assert_eq!(usize::try_from(length).expect("positive"), frame.len() - 4);
        assert!(frame[4..].starts_with(header));
        let back = decode_response::<MetadataResponse>(version, &frame.slice(4..));
        assert_eq!(back, Ok((7, MetadataResponse::default())));
    }
}

#[test]
fn responses_to_api_versions_never_have_tagged_fields_in_their_header() {
    for version in 0..=4 {
        let response = ApiVersionsResponse::default().with_error_code(35);
        let frame = encode_response(7, version, &response).expect("fields suit the version");
        assert_eq!(frame[4..10], [0, 0, 0, 7, 0, 35], "v{version}");
    }
}

#[test]
fn a_field_that_the_version_lacks_does_not_encode() {
    let request =
        ApiVersionsRequest::default().with_client_software_name(StrBytes::from_static_str("corelane"));
    assert!(encode_request(1, None, 3, &request).is_ok());
    // ApiVersions is one of the few that lose it silently; Metadata is not.
    assert!(encode_request(1, None, 2, &request).is_ok());
    let request = MetadataRequest::default().with_allow_auto_topic_creation(false);
    assert!(encode_request(1, None, 4, &request).is_ok());
    assert!(matches!(encode_request(1, None, 3, &request), Err(WireError::Encode(_))));
}

#[test]
fn a_client_id_too_long_for_its_length_does_not_encode() {
    let id = "i".repeat(32_768);
    let request = MetadataRequest::default();
    assert!(encode_request(1, Some(&id[1..]), 0, &request).is_ok());
    assert!(matches!(encode_request(1, Some(&id), 0, &request), Err(WireError::Encode(_))));
}

#[test]
fn decoded_records_are_a_slice_of_the_frame() {
    let partition = produce_request::PartitionProduceData::default()
        .with_records(Some(Bytes::from_static(b"some record batches")));
    let topic = produce_request::TopicProduceData::default().with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_topic_data(vec![topic]);
    for version in 3..=13 {
        let frame =
            encode_request(1, Some("c"), version, &request).expect("fields suit the version").slice(4..);
        let decoded: ProduceRequest = decode_request(&parsed(&frame), &frame).expect("it is whole");
        let records = decoded.topic_data[0].partition_data[0].records.clone().expect("they are there");
        assert!(frame.as_ptr_range().contains(&records.as_ptr()), "v{version}");
    }
}

#[test]
#[should_panic(expected = "decoded as another")]
fn a_request_decoded_as_another_is_a_bug() {
    let frame =
        encode_request(1, None, 0, &MetadataRequest::default()).expect("it has defaults only").slice(4..);
    let _ = decode_request::<ApiVersionsRequest>(&parsed(&frame), &frame);
}

#[test]
fn a_response_that_is_cut_or_padded_is_an_error() {
    let frame =
        encode_response(7, 12, &MetadataResponse::default()).expect("it has defaults only").slice(4..);
    for cut in 0..frame.len() {
        assert!(decode_response::<MetadataResponse>(12, &frame.slice(..cut)).is_err(), "{cut}");
    }
    let padded: Bytes = frame.iter().copied().chain([0]).collect();
    assert!(matches!(decode_response::<MetadataResponse>(12, &padded), Err(WireError::Decode(_))));
}
