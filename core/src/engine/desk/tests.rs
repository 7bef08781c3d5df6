use super::*;
use crate::{controller::AlterPartition, ids::NodeId};

#[test]
fn what_travels_between_nodes_is_read_back_and_anything_else_is_an_error() {
    let request = ControllerRequest::AlterPartitions(AlterPartitionsRequest {
        broker: NodeId(2),
        broker_epoch: 7,
        partitions: vec![AlterPartition { isr: vec![(NodeId(2), 7), (NodeId(3), -1)], ..Default::default() }],
    });
    let bytes = request.encode();
    assert_eq!(ControllerRequest::decode(&bytes), Ok(request));
    let response = ControllerResponse::Heartbeat(Err(ApiError::new(ErrorCode::StaleBrokerEpoch, "old")));
    assert_eq!(ControllerResponse::decode(&response.encode()), Ok(response));
    for cut in 0..bytes.len() {
        assert!(ControllerRequest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(ControllerRequest::decode(&longer), Err("bytes after the end".to_owned()));
    for other in [BODY_VERSION - 1, BODY_VERSION + 1] {
        let written = [&[other], &bytes[1..]].concat();
        let unknown = format!("layout version {other} is unknown");
        assert_eq!(ControllerRequest::decode(&written), Err(unknown));
    }
    assert!(ControllerRequest::decode(&vec![0; CONTROLLER_BODY_BYTES_MAX + 1]).is_err());
    for byte in 0..=255 {
        let _ = ControllerResponse::decode(&[BODY_VERSION, byte, 0xff, 0xff, 0xff, 0x7f]);
    }
}
