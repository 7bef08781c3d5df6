use super::{
    super::tests::{committed, controller, id, with_topic},
    *,
};
use crate::{ids::NodeId, metadata::Batch};
use ConfigOpKind::{Append, Delete, Set, Subtract};

fn topic(name: &str) -> ConfigResource {
    ConfigResource::Topic(name.into())
}

fn ask(resource: ConfigResource, ops: &[(&str, ConfigOpKind, Option<&str>)]) -> AlterConfigsRequest {
    let op = |(key, kind, value): &(&str, ConfigOpKind, Option<&str>)| ConfigOp {
        key: (*key).to_owned(),
        kind: *kind,
        value: value.map(str::to_owned),
    };
    let resources = vec![AlterResource { resource, ops: ops.iter().map(op).collect(), replaces: false }];
    AlterConfigsRequest { resources, validate_only: false }
}

fn refusal(controller: &mut Controller, request: &AlterConfigsRequest) -> (ErrorCode, String) {
    let decision = controller.alter_configs(request);
    assert_eq!(decision.batch, None);
    let error = decision.reply[0].result.clone().expect_err("refused");
    (error.code, error.message)
}

#[test]
fn set_and_delete_write_what_changed_and_only_that() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    let set = ask(topic("a"), &[("retention.ms", Set, Some("5")), ("cleanup.policy", Delete, None)]);
    let decision = controller.alter_configs(&set);
    let config = |value: Option<&str>| Record::Config {
        resource: topic("a"),
        key: "retention.ms".to_owned(),
        value: value.map(str::to_owned),
    };
    let batch = |record| {
        Some(Batch { preconditions: vec![Precondition::TopicExists(id(0x100))], records: vec![record] })
    };
    assert_eq!(decision.batch, batch(config(Some("5"))));
    assert_eq!(decision.reply, [ResourceResult { resource: topic("a"), result: Ok(()) }]);
    committed(&mut controller, decision);
    let again = controller.alter_configs(&set);
    assert_eq!((again.batch, again.reply[0].result.clone()), (None, Ok(())));
    let delete = controller.alter_configs(&ask(topic("a"), &[("retention.ms", Delete, None)]));
    assert_eq!(delete.batch, batch(config(None)));
    committed(&mut controller, delete);
    assert!(controller.committed().configs(&topic("a")).is_empty());
}

#[test]
fn append_starts_from_the_default_and_subtract_takes_away() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    for (kind, value, expected) in [
        (Append, "compact", "delete,compact"),
        (Append, "delete,x", "delete,compact,x"),
        (Subtract, "delete,absent", "compact,x"),
    ] {
        let decision = controller.alter_configs(&ask(topic("a"), &[("cleanup.policy", kind, Some(value))]));
        committed(&mut controller, decision);
        let configs = controller.committed().configs(&topic("a"));
        assert_eq!(configs.get("cleanup.policy").map(String::as_str), Some(expected));
    }
    assert_eq!(
        refusal(&mut controller, &ask(topic("a"), &[("retention.ms", Subtract, Some("1"))])),
        (
            ErrorCode::InvalidConfig,
            "Can't SUBTRACT to key retention.ms because its type is not LIST.".to_owned()
        )
    );
}

#[test]
fn what_is_wrong_is_refused_in_kafkas_words() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    let long = "1".repeat(limits::CONFIG_VALUE_BYTES_MAX + 1);
    let cases = [
        (ask(topic("b"), &[]), ErrorCode::UnknownTopicOrPartition, "The topic 'b' does not exist."),
        (
            ask(ConfigResource::Broker(NodeId(9)), &[]),
            ErrorCode::BrokerIdNotRegistered,
            "No node with id 9 found.",
        ),
        (ask(topic("a"), &[("x", Set, Some("1"))]), ErrorCode::InvalidConfig, "Unknown topic config name: x"),
        (
            ask(topic("a"), &[("x", Set, None), ("y", Append, None)]),
            ErrorCode::InvalidRequest,
            "Null value not supported for : x, y",
        ),
        (
            ask(topic("a"), &[("x", Set, Some("1")), ("x", Delete, None)]),
            ErrorCode::InvalidRequest,
            "Error due to duplicate config keys",
        ),
        (
            ask(topic("a"), &[("cleanup.policy", Set, Some(&long))]),
            ErrorCode::InvalidConfig,
            "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
        ),
        (
            ask(topic("a"), &[("cleanup.policy", Set, Some("none")), ("retention.ms", Set, Some("1"))]),
            ErrorCode::InvalidConfig,
            "none has no retention",
        ),
    ];
    for (request, code, text) in cases {
        assert_eq!(refusal(&mut controller, &request), (code, text.to_owned()));
    }
}

#[test]
fn one_refused_resource_does_not_stop_another_but_twice_the_same_does() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    let mut request = ask(topic("a"), &[("retention.ms", Set, Some("5"))]);
    request.resources.extend(ask(topic("b"), &[]).resources);
    let decision = controller.alter_configs(&request);
    assert_eq!(decision.reply.iter().map(|it| it.result.is_ok()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(decision.batch.expect("one changes").records.len(), 1);
    request.resources[1] = request.resources[0].clone();
    assert_eq!(refusal(&mut controller, &request).1, "Each resource must appear at most once.");
}

#[test]
fn what_replaces_a_resources_configurations_takes_away_what_it_does_not_name() {
    let mut controller = controller(1);
    with_topic(&mut controller, "a", 1, 0x100);
    let both = [("cleanup.policy", Set, Some("delete")), ("retention.ms", Set, Some("5"))];
    let decision = controller.alter_configs(&ask(topic("a"), &both));
    committed(&mut controller, decision);
    let mut request = ask(topic("a"), &[("retention.ms", Set, Some("6"))]);
    request.resources[0].replaces = true;
    let record = |key: &str, value: Option<&str>| Record::Config {
        resource: topic("a"),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    };
    let decision = controller.alter_configs(&request);
    let records = decision.batch.as_ref().expect("two change").records.clone();
    assert_eq!(records, [record("cleanup.policy", None), record("retention.ms", Some("6"))]);
    committed(&mut controller, decision);
    // What is wrong takes nothing away.
    request.resources[0].ops[0].value = Some("x".to_owned());
    assert_eq!(refusal(&mut controller, &request).0, ErrorCode::InvalidConfig);
    request.resources[0].ops.clear();
    let decision = controller.alter_configs(&request);
    committed(&mut controller, decision);
    assert!(controller.committed().configs(&topic("a")).is_empty());
}

#[test]
fn a_group_and_a_subscription_of_client_metrics_need_not_exist_to_be_configured() {
    let mut controller = controller(1);
    for resource in [ConfigResource::Group("g".into()), ConfigResource::ClientMetrics("m".into())] {
        let decision = controller.alter_configs(&ask(resource.clone(), &[("retention.ms", Set, Some("5"))]));
        assert_eq!(decision.batch.as_ref().expect("it changes").preconditions, []);
        committed(&mut controller, decision);
        assert_eq!(controller.committed().configs(&resource).len(), 1);
    }
}

#[test]
fn a_brokers_configuration_and_the_default_of_all_are_kept_apart() {
    let mut controller = controller(1);
    for resource in [ConfigResource::Broker(NodeId(1)), ConfigResource::BrokerDefault] {
        let request = ask(resource.clone(), &[("retention.ms", Set, Some("5"))]);
        let validated =
            controller.alter_configs(&AlterConfigsRequest { validate_only: true, ..request.clone() });
        assert_eq!((validated.batch, validated.reply[0].result.clone()), (None, Ok(())));
        let decision = controller.alter_configs(&request);
        committed(&mut controller, decision);
        assert_eq!(controller.committed().configs(&resource).len(), 1);
    }
    assert_eq!(controller.committed().configured().count(), 2);
}
