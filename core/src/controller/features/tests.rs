use super::{
    super::tests::{committed, settings},
    *,
};
use crate::metadata::{Batch, Image};

#[test]
fn a_new_cluster_has_its_id_and_kafka_4_3s_levels() {
    let mut controller = Controller::new(settings(), Image::new());
    let decision = controller.form_cluster("abc");
    assert_eq!(
        decision.batch,
        Some(Batch {
            preconditions: vec![Precondition::ClusterIdUnset],
            records: vec![
                Record::ClusterId { id: "abc".to_owned() },
                Record::FeatureLevel { name: "group.version".to_owned(), level: 1 },
                Record::FeatureLevel { name: "metadata.version".to_owned(), level: 30 },
                Record::FeatureLevel { name: "transaction.version".to_owned(), level: 2 },
            ],
        })
    );
    assert_eq!(committed(&mut controller, decision), Ok("abc".to_owned()));
    assert_eq!(controller.committed().feature("metadata.version"), 30);
    assert!(consumer_groups_are_finalized(controller.committed()));
    assert_eq!(controller.committed().feature("transaction.version"), 2);
}

#[test]
fn a_cluster_is_formed_once() {
    let mut controller = Controller::new(settings(), Image::new());
    let decision = controller.form_cluster("abc");
    committed(&mut controller, decision).expect("first");
    assert_eq!(controller.form_cluster("abc").batch, None);
    let other = controller.form_cluster("def");
    assert_eq!(other.reply.expect_err("another").code, ErrorCode::InconsistentClusterId);
}
