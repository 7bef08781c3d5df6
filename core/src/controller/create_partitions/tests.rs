use super::{
    super::tests::{committed, controller, id, with_topic},
    *,
};

fn ask(name: &str, count: i32, assignments: Option<Vec<Vec<NodeId>>>) -> CreatePartitionsRequest {
    let topics = vec![MorePartitions { name: name.to_owned(), count, assignments }];
    CreatePartitionsRequest { topics, validate_only: false }
}

fn refusal(controller: &mut Controller, request: &CreatePartitionsRequest) -> (ErrorCode, String) {
    let decision = controller.create_partitions(request);
    assert_eq!(decision.batch, None);
    let error = decision.reply[0].result.clone().expect_err("refused");
    (error.code, error.message)
}

#[test]
fn new_partitions_go_on_where_the_old_ones_ended() {
    let mut controller = controller(3);
    with_topic(&mut controller, "a", 2, 0x300);
    let decision = controller.create_partitions(&ask("a", 4, None));
    let batch = decision.batch.clone().expect("grows");
    assert_eq!(batch.preconditions, [Precondition::PartitionCount { topic: id(0x300), count: 2 }]);
    assert_eq!(batch.records.len(), 2);
    committed(&mut controller, decision);
    let topic = controller.committed().topic("a").expect("exists");
    let leaders: Vec<i32> = topic.partitions.values().map(|it| it.leader.expect("active").0).collect();
    assert_eq!(leaders, [1, 2, 3, 1]);
}

#[test]
fn counts_that_do_not_grow_are_refused_in_kafkas_words() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 2, 0x100);
    let invalid = |text: &str| (ErrorCode::InvalidPartitions, text.to_owned());
    assert_eq!(refusal(&mut controller, &ask("a", 2, None)), invalid("Topic already has 2 partition(s)."));
    assert_eq!(
        refusal(&mut controller, &ask("a", -1, None)),
        invalid("The topic a currently has 2 partition(s); -1 would not be an increase.")
    );
    assert_eq!(refusal(&mut controller, &ask("b", 3, None)).0, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(refusal(&mut controller, &ask("a", i32::MAX, None)).0, ErrorCode::PolicyViolation);
}

#[test]
fn assignments_must_be_as_many_as_partitions_are_added_and_as_wide_as_the_others() {
    let mut controller = controller(2);
    with_topic(&mut controller, "a", 1, 0x100);
    let invalid = |text: &str| (ErrorCode::InvalidReplicaAssignment, text.to_owned());
    assert_eq!(
        refusal(&mut controller, &ask("a", 3, Some(vec![vec![NodeId(1)]]))),
        invalid("Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.")
    );
    assert_eq!(
        refusal(&mut controller, &ask("a", 2, Some(vec![vec![NodeId(1), NodeId(2)]]))),
        invalid(
            "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 replica(s)."
        )
    );
    let decision = controller.create_partitions(&ask("a", 2, Some(vec![vec![NodeId(2)]])));
    committed(&mut controller, decision);
    let added = controller.committed().partition(id(0x100), 1).expect("added");
    assert_eq!((&added.replicas, added.leader), (&vec![NodeId(2)], Some(NodeId(2))));
}

#[test]
fn validation_and_duplicates_change_nothing() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    let validate = CreatePartitionsRequest { validate_only: true, ..ask("a", 2, None) };
    let decision = controller.create_partitions(&validate);
    assert_eq!((decision.batch, decision.reply[0].result.clone()), (None, Ok(())));
    let mut twice = ask("a", 2, None);
    twice.topics.push(twice.topics[0].clone());
    assert_eq!(
        refusal(&mut controller, &twice),
        (ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())
    );
}
