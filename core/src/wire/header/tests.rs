use super::*;
use bytes::BufMut;
use kafka_protocol::{messages::RequestHeader as CratesHeader, protocol::Encodable};

fn frame(api_key: i16, api_version: i16, client_id: Option<&'static str>, header_version: i16) -> Bytes {
    let mut frame = Vec::new();
    CratesHeader::default()
        .with_request_api_key(api_key)
        .with_request_api_version(api_version)
        .with_correlation_id(0x0102_0304)
        .with_client_id(client_id.map(StrBytes::from_static_str))
        .encode(&mut frame, header_version)
        .expect("it is short");
    frame.into()
}

#[test]
fn both_header_versions_are_read_as_the_crate_writes_them() {
    for (api_key, api_version, header_version) in [(0, 8, 1), (0, 9, 2), (17, 1, 1), (18, 2, 1), (18, 3, 2)] {
        for client_id in [None, Some(""), Some("client-日本")] {
            let frame = frame(api_key, api_version, client_id, header_version);
            let header = RequestHeader::parse(&frame).expect("it is whole");
            assert_eq!((header.api_key, header.api_version), (api_key, api_version));
            assert_eq!(header.correlation_id, 0x0102_0304);
            assert_eq!(header.client_id.as_deref(), client_id);
            assert_eq!(header.body_offset, frame.len());
        }
    }
}

#[test]
fn tagged_fields_of_the_header_are_passed_over() {
    let mut bytes = frame(18, 3, Some("c"), 1).to_vec();
    bytes.extend([2, 0, 3, 9, 9, 9, 200, 1, 0, b'b']);
    let header = RequestHeader::parse(&bytes.clone().into()).expect("it is whole");
    assert_eq!(header.body_offset, bytes.len() - 1);
}

#[test]
fn every_truncation_of_a_header_is_an_error() {
    let whole = frame(18, 3, Some("client"), 2);
    for cut in 0..whole.len() {
        let error = RequestHeader::parse(&whole.slice(..cut)).expect_err("it is cut");
        if cut < 8 {
            assert_eq!(error, WireError::TooShort { bytes: cut });
        } else {
            assert!(matches!(error, WireError::Malformed { .. }), "{cut}: {error}");
        }
    }
}

#[test]
fn an_unknown_version_tells_what_is_needed_to_answer_it() {
    // Beyond the known versions nothing past the first eight bytes may be looked at.
    let mut bytes = frame(18, 99, None, 1).to_vec();
    bytes.truncate(8);
    let error = RequestHeader::parse(&bytes.into()).expect_err("no such version");
    let prefix = HeaderPrefix { api_key: 18, api_version: 99, correlation_id: 0x0102_0304 };
    assert_eq!(error, WireError::UnsupportedVersion(prefix));
    assert_eq!(error.to_string(), "ApiVersions does not come in version 99");
    for version in [-1, 2, 14, i16::MIN, i16::MAX] {
        let error = RequestHeader::parse(&frame(0, version, None, 1)).expect_err("no such version");
        assert!(matches!(error, WireError::UnsupportedVersion(_)), "{version}: {error}");
    }
}

#[test]
fn an_unknown_key_is_another_error() {
    for key in [-1, 4, 9999, i16::MIN, i16::MAX] {
        let error = RequestHeader::parse(&frame(key, 0, None, 1)).expect_err("no such key");
        assert!(matches!(error, WireError::UnknownApiKey(HeaderPrefix { api_key, .. }) if api_key == key));
    }
}

#[test]
fn a_client_id_is_utf8_of_a_possible_length() {
    let with_client_id = |id: &[u8]| {
        let mut bytes = frame(0, 3, None, 1)[..8].to_vec();
        bytes.put_slice(id);
        match RequestHeader::parse(&bytes.into()) {
            Err(WireError::Malformed { field: "client_id", fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with_client_id(&[0, 1, 0xff]), Fault::Utf8);
    assert_eq!(with_client_id(&[0x7f, 0xff, b'a']), Fault::Length);
    assert_eq!(with_client_id(&[0xff, 0xfe]), Fault::Negative);
    assert_eq!(with_client_id(&[0]), Fault::Truncated);
}
