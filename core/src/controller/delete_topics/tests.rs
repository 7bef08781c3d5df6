use super::{
    super::tests::{committed, controller, id, with_topic},
    *,
};
use crate::metadata::Batch;

fn refused(name: Option<&str>, id: TopicId, code: ErrorCode, text: &str) -> DeletedTopicResult {
    DeletedTopicResult { name: name.map(str::to_owned), id, result: Err(ApiError::new(code, text)) }
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    with_topic(&mut controller, "b", 1, 0x101);
    let topics = vec![TopicRef::Name("a".to_owned()), TopicRef::Id(id(0x101))];
    let decision = controller.delete_topics(&DeleteTopicsRequest { topics });
    assert_eq!(
        decision.batch,
        Some(Batch {
            preconditions: vec![Precondition::TopicExists(id(0x100)), Precondition::TopicExists(id(0x101))],
            records: vec![Record::RemoveTopic { id: id(0x100) }, Record::RemoveTopic { id: id(0x101) }],
        })
    );
    let deleted = |name: &str, id| DeletedTopicResult { name: Some(name.to_owned()), id, result: Ok(()) };
    assert_eq!(decision.reply, [deleted("a", id(0x100)), deleted("b", id(0x101))]);
    committed(&mut controller, decision);
    assert_eq!(controller.committed().topic_count(), 0);
}

#[test]
fn what_does_not_exist_or_is_named_twice_is_refused() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    with_topic(&mut controller, "b", 1, 0x101);
    let name = |name: &str| TopicRef::Name(name.to_owned());
    let topics = vec![
        name("gone"),
        TopicRef::Id(id(0x999)),
        TopicRef::Id(TopicId::ZERO),
        name("a"),
        name("a"),
        name("b"),
        TopicRef::Id(id(0x101)),
    ];
    let decision = controller.delete_topics(&DeleteTopicsRequest { topics });
    assert_eq!(decision.batch, None);
    let invalid = ErrorCode::InvalidRequest;
    let same = "The provided topic name maps to an ID that was already supplied.";
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(
        decision.reply,
        [
            refused(Some("a"), TopicId::ZERO, invalid, "Duplicate topic name."),
            refused(Some("b"), TopicId::ZERO, invalid, same),
            refused(Some("gone"), TopicId::ZERO, unknown, "This server does not host this topic-partition."),
            refused(None, TopicId::ZERO, invalid, "Neither topic name nor id were specified."),
            refused(None, id(0x101), invalid, same),
            refused(None, id(0x999), ErrorCode::UnknownTopicId, "This server does not host this topic ID."),
        ]
    );
}

#[test]
fn a_name_is_free_again_after_its_topic_is_deleted() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a.b", 1, 0x100);
    let topics = vec![TopicRef::Name("a.b".to_owned())];
    let decision = controller.delete_topics(&DeleteTopicsRequest { topics });
    committed(&mut controller, decision);
    with_topic(&mut controller, "a_b", 1, 0x101);
}
