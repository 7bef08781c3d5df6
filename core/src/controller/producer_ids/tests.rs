use super::{
    super::tests::{committed, controller},
    *,
};
use crate::metadata::{Batch, Image};

fn ask(controller: &Controller) -> AllocateProducerIdsRequest {
    let broker_epoch = controller.speculative().broker(NodeId(1)).expect("registered").epoch;
    AllocateProducerIdsRequest { broker: NodeId(1), broker_epoch }
}

#[test]
fn blocks_follow_each_other_even_in_flight() {
    let mut controller = controller(1);
    let request = ask(&controller);
    let first = controller.allocate_producer_ids(request);
    let second = controller.allocate_producer_ids(request);
    let block = |first| Ok(ProducerIdBlock { first: ProducerId(first), count: 1000 });
    assert_eq!((first.reply.clone(), second.reply.clone()), (block(0), block(1000)));
    assert_eq!(
        first.batch,
        Some(Batch {
            preconditions: vec![
                Precondition::BrokerEpoch { id: NodeId(1), epoch: Some(request.broker_epoch) },
                Precondition::ProducerIdsNext(0),
            ],
            records: vec![Record::ProducerIds { broker: NodeId(1), next: 1000 }],
        })
    );
    committed(&mut controller, first).expect("given");
    committed(&mut controller, second).expect("given");
    assert_eq!(controller.committed().next_producer_id(), 2000);
}

#[test]
fn an_earlier_registration_gets_no_block() {
    let mut controller = controller(1);
    let stale = AllocateProducerIdsRequest { broker_epoch: 0, ..ask(&controller) };
    let error = controller.allocate_producer_ids(stale).reply.expect_err("stale");
    assert_eq!(error.code, ErrorCode::StaleBrokerEpoch);
    let unknown = AllocateProducerIdsRequest { broker: NodeId(9), broker_epoch: 0 };
    let error = controller.allocate_producer_ids(unknown).reply.expect_err("unknown");
    assert_eq!(error.message, "No broker registration found for broker id 9");
}

#[test]
fn ids_that_are_used_up_are_an_error_and_no_overflow() {
    let mut controller = controller(1);
    let mut image: Image = controller.committed().clone();
    let record = Record::ProducerIds { broker: NodeId(1), next: i64::MAX - 10 };
    image.speculate(&Batch::of(vec![record])).expect("goes up");
    controller.reset(image);
    let request = ask(&controller);
    let error = controller.allocate_producer_ids(request).reply.expect_err("none left");
    assert_eq!(error.code, ErrorCode::UnknownServerError);
}
