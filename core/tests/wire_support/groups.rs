//! The keys of groups, and of each a random request.

use super::{Values, Visitor};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest, DescribeGroupsRequest,
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, consumer_group_heartbeat_request,
    join_group_request, leave_group_request, offset_commit_request, offset_delete_request,
    offset_fetch_request, sync_group_request,
};

/// Every served key of groups beside FindCoordinator.
pub fn visit(visitor: &mut impl Visitor) {
    visitor.request::<OffsetCommitRequest>(offset_commit);
    visitor.request::<OffsetFetchRequest>(offset_fetch);
    visitor.request::<JoinGroupRequest>(join_group);
    visitor.request::<HeartbeatRequest>(heartbeat);
    visitor.request::<LeaveGroupRequest>(leave_group);
    visitor.request::<SyncGroupRequest>(sync_group);
    visitor.request::<DescribeGroupsRequest>(describe_groups);
    visitor.request::<ListGroupsRequest>(list_groups);
    visitor.request::<DeleteGroupsRequest>(delete_groups);
    visitor.request::<OffsetDeleteRequest>(offset_delete);
    visitor.request::<ConsumerGroupHeartbeatRequest>(consumer_group_heartbeat);
    visitor.request::<ConsumerGroupDescribeRequest>(consumer_group_describe);
}

fn offset_commit(g: &mut Values) -> OffsetCommitRequest {
    let mut value = OffsetCommitRequest::default();
    value.group_id = g.text().into();
    value.generation_id_or_member_epoch = g.i32();
    value.member_id = g.text();
    if g.version >= 7 {
        value.group_instance_id = g.nullable(Values::text);
    }
    if g.version <= 4 {
        value.retention_time_ms = g.i64();
    }
    value.topics = g.list(committed_topic);
    if g.version >= 8 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn committed_topic(g: &mut Values) -> offset_commit_request::OffsetCommitRequestTopic {
    let mut value = offset_commit_request::OffsetCommitRequestTopic::default();
    value.name = g.text().into();
    value.partitions = g.list(committed_partition);
    if g.version >= 8 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn committed_partition(g: &mut Values) -> offset_commit_request::OffsetCommitRequestPartition {
    let mut value = offset_commit_request::OffsetCommitRequestPartition::default();
    value.partition_index = g.i32();
    value.committed_offset = g.i64();
    if g.version >= 6 {
        value.committed_leader_epoch = g.i32();
    }
    value.committed_metadata = g.nullable(Values::text);
    if g.version >= 8 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn offset_fetch(g: &mut Values) -> OffsetFetchRequest {
    let mut value = OffsetFetchRequest::default();
    if g.version <= 7 {
        value.group_id = g.text().into();
        let topics = g.list(fetched_topic);
        value.topics = if g.version >= 2 { g.nullable(|_| topics) } else { Some(topics) };
    } else {
        value.groups = g.list(fetched_group);
    }
    if g.version >= 7 {
        value.require_stable = g.boolean();
    }
    if g.version >= 6 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn fetched_topic(g: &mut Values) -> offset_fetch_request::OffsetFetchRequestTopic {
    let mut value = offset_fetch_request::OffsetFetchRequestTopic::default();
    value.name = g.text().into();
    value.partition_indexes = g.list(Values::i32);
    if g.version >= 6 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn fetched_group(g: &mut Values) -> offset_fetch_request::OffsetFetchRequestGroup {
    let mut value = offset_fetch_request::OffsetFetchRequestGroup::default();
    value.group_id = g.text().into();
    if g.version >= 9 {
        value.member_id = g.nullable(Values::text);
        value.member_epoch = g.i32();
    }
    value.topics = g.nullable(|g| {
        g.list(|g| {
            let mut value = offset_fetch_request::OffsetFetchRequestTopics::default();
            value.name = g.text().into();
            value.partition_indexes = g.list(Values::i32);
            value.unknown_tagged_fields = g.tagged_fields(0);
            value
        })
    });
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn join_group(g: &mut Values) -> JoinGroupRequest {
    let mut value = JoinGroupRequest::default();
    value.group_id = g.text().into();
    value.session_timeout_ms = g.i32();
    if g.version >= 1 {
        value.rebalance_timeout_ms = g.i32();
    }
    value.member_id = g.text();
    if g.version >= 5 {
        value.group_instance_id = g.nullable(Values::text);
    }
    value.protocol_type = g.text();
    value.protocols = g.list(|g| {
        let mut value = join_group_request::JoinGroupRequestProtocol::default();
        value.name = g.text();
        value.metadata = g.bytes();
        if g.version >= 6 {
            value.unknown_tagged_fields = g.tagged_fields(0);
        }
        value
    });
    if g.version >= 8 {
        value.reason = g.nullable(Values::text);
    }
    if g.version >= 6 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn heartbeat(g: &mut Values) -> HeartbeatRequest {
    let mut value = HeartbeatRequest::default();
    value.group_id = g.text().into();
    value.generation_id = g.i32();
    value.member_id = g.text();
    if g.version >= 3 {
        value.group_instance_id = g.nullable(Values::text);
    }
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn leave_group(g: &mut Values) -> LeaveGroupRequest {
    let mut value = LeaveGroupRequest::default();
    value.group_id = g.text().into();
    if g.version <= 2 {
        value.member_id = g.text();
    } else {
        value.members = g.list(leaving_member);
    }
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn leaving_member(g: &mut Values) -> leave_group_request::MemberIdentity {
    let mut value = leave_group_request::MemberIdentity::default();
    value.member_id = g.text();
    value.group_instance_id = g.nullable(Values::text);
    if g.version >= 5 {
        value.reason = g.nullable(Values::text);
    }
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn sync_group(g: &mut Values) -> SyncGroupRequest {
    let mut value = SyncGroupRequest::default();
    value.group_id = g.text().into();
    value.generation_id = g.i32();
    value.member_id = g.text();
    if g.version >= 3 {
        value.group_instance_id = g.nullable(Values::text);
    }
    if g.version >= 5 {
        value.protocol_type = g.nullable(Values::text);
        value.protocol_name = g.nullable(Values::text);
    }
    value.assignments = g.list(|g| {
        let mut value = sync_group_request::SyncGroupRequestAssignment::default();
        value.member_id = g.text();
        value.assignment = g.bytes();
        if g.version >= 4 {
            value.unknown_tagged_fields = g.tagged_fields(0);
        }
        value
    });
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn describe_groups(g: &mut Values) -> DescribeGroupsRequest {
    let mut value = DescribeGroupsRequest::default();
    value.groups = g.list(|g| g.text().into());
    if g.version >= 3 {
        value.include_authorized_operations = g.boolean();
    }
    if g.version >= 5 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn list_groups(g: &mut Values) -> ListGroupsRequest {
    let mut value = ListGroupsRequest::default();
    if g.version >= 4 {
        value.states_filter = g.list(Values::text);
    }
    if g.version >= 5 {
        value.types_filter = g.list(Values::text);
    }
    if g.version >= 3 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn delete_groups(g: &mut Values) -> DeleteGroupsRequest {
    let mut value = DeleteGroupsRequest::default();
    value.groups_names = g.list(|g| g.text().into());
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn offset_delete(g: &mut Values) -> OffsetDeleteRequest {
    let mut value = OffsetDeleteRequest::default();
    value.group_id = g.text().into();
    value.topics = g.list(|g| {
        let mut value = offset_delete_request::OffsetDeleteRequestTopic::default();
        value.name = g.text().into();
        value.partitions = g.list(|g| {
            let mut value = offset_delete_request::OffsetDeleteRequestPartition::default();
            value.partition_index = g.i32();
            value
        });
        value
    });
    value
}

fn consumer_group_heartbeat(g: &mut Values) -> ConsumerGroupHeartbeatRequest {
    let mut value = ConsumerGroupHeartbeatRequest::default();
    value.group_id = g.text().into();
    value.member_id = g.text();
    value.member_epoch = g.i32();
    value.instance_id = g.nullable(Values::text);
    value.rack_id = g.nullable(Values::text);
    value.rebalance_timeout_ms = g.i32();
    value.subscribed_topic_names = g.nullable(|g| g.list(|g| g.text().into()));
    if g.version >= 1 {
        value.subscribed_topic_regex = g.nullable(Values::text);
    }
    value.server_assignor = g.nullable(Values::text);
    value.topic_partitions = g.nullable(|g| {
        g.list(|g| {
            let mut value = consumer_group_heartbeat_request::TopicPartitions::default();
            value.topic_id = g.uuid();
            value.partitions = g.list(Values::i32);
            value.unknown_tagged_fields = g.tagged_fields(0);
            value
        })
    });
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn consumer_group_describe(g: &mut Values) -> ConsumerGroupDescribeRequest {
    let mut value = ConsumerGroupDescribeRequest::default();
    value.group_ids = g.list(|g| g.text().into());
    value.include_authorized_operations = g.boolean();
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}
