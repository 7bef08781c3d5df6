//! What Kafka's Java client calls each error, and says of it.

/// `org.apache.kafka.common.protocol.Errors`: code, exception, sentence.
pub(super) const ERRORS: &[(i16, &str, &str)] = &[
    (
        -1,
        "org.apache.kafka.common.errors.UnknownServerException",
        "The server experienced an unexpected error when processing the request.",
    ),
    (
        1,
        "org.apache.kafka.common.errors.OffsetOutOfRangeException",
        "The requested offset is not within the range of offsets maintained by the server.",
    ),
    (
        2,
        "org.apache.kafka.common.errors.CorruptRecordException",
        "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt.",
    ),
    (
        3,
        "org.apache.kafka.common.errors.UnknownTopicOrPartitionException",
        "This server does not host this topic-partition.",
    ),
    (4, "org.apache.kafka.common.errors.InvalidFetchSizeException", "The requested fetch size is invalid."),
    (
        5,
        "org.apache.kafka.common.errors.LeaderNotAvailableException",
        "There is no leader for this topic-partition as we are in the middle of a leadership election.",
    ),
    (
        6,
        "org.apache.kafka.common.errors.NotLeaderOrFollowerException",
        "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition.",
    ),
    (7, "org.apache.kafka.common.errors.TimeoutException", "The request timed out."),
    (8, "org.apache.kafka.common.errors.BrokerNotAvailableException", "The broker is not available."),
    (
        9,
        "org.apache.kafka.common.errors.ReplicaNotAvailableException",
        "The replica is not available for the requested topic-partition. Produce/Fetch requests and other requests intended only for the leader or follower return NOT_LEADER_OR_FOLLOWER if the broker is not a replica of the topic-partition.",
    ),
    (
        10,
        "org.apache.kafka.common.errors.RecordTooLargeException",
        "The request included a message larger than the max message size the server will accept.",
    ),
    (
        11,
        "org.apache.kafka.common.errors.ControllerMovedException",
        "The controller moved to another broker.",
    ),
    (
        12,
        "org.apache.kafka.common.errors.OffsetMetadataTooLarge",
        "The metadata field of the offset request was too large.",
    ),
    (
        13,
        "org.apache.kafka.common.errors.NetworkException",
        "The server disconnected before a response was received.",
    ),
    (
        14,
        "org.apache.kafka.common.errors.CoordinatorLoadInProgressException",
        "The coordinator is loading and hence can't process requests.",
    ),
    (
        15,
        "org.apache.kafka.common.errors.CoordinatorNotAvailableException",
        "The coordinator is not available.",
    ),
    (16, "org.apache.kafka.common.errors.NotCoordinatorException", "This is not the correct coordinator."),
    (
        17,
        "org.apache.kafka.common.errors.InvalidTopicException",
        "The request attempted to perform an operation on an invalid topic.",
    ),
    (
        18,
        "org.apache.kafka.common.errors.RecordBatchTooLargeException",
        "The request included message batch larger than the configured segment size on the server.",
    ),
    (
        19,
        "org.apache.kafka.common.errors.NotEnoughReplicasException",
        "Messages are rejected since there are fewer in-sync replicas than required.",
    ),
    (
        20,
        "org.apache.kafka.common.errors.NotEnoughReplicasAfterAppendException",
        "Messages are written to the log, but to fewer in-sync replicas than required.",
    ),
    (
        21,
        "org.apache.kafka.common.errors.InvalidRequiredAcksException",
        "Produce request specified an invalid value for required acks.",
    ),
    (
        22,
        "org.apache.kafka.common.errors.IllegalGenerationException",
        "Specified group generation id is not valid.",
    ),
    (
        23,
        "org.apache.kafka.common.errors.InconsistentGroupProtocolException",
        "The group member's supported protocols are incompatible with those of existing members or first group member tried to join with empty protocol type or empty protocol list.",
    ),
    (24, "org.apache.kafka.common.errors.InvalidGroupIdException", "The group id is invalid."),
    (
        25,
        "org.apache.kafka.common.errors.UnknownMemberIdException",
        "The coordinator is not aware of this member.",
    ),
    (
        26,
        "org.apache.kafka.common.errors.InvalidSessionTimeoutException",
        "The session timeout is not within the range allowed by the broker (as configured by group.min.session.timeout.ms and group.max.session.timeout.ms).",
    ),
    (
        27,
        "org.apache.kafka.common.errors.RebalanceInProgressException",
        "The group is rebalancing, so a rejoin is needed.",
    ),
    (
        28,
        "org.apache.kafka.common.errors.InvalidCommitOffsetSizeException",
        "The committing offset data size is not valid.",
    ),
    (29, "org.apache.kafka.common.errors.TopicAuthorizationException", "Topic authorization failed."),
    (30, "org.apache.kafka.common.errors.GroupAuthorizationException", "Group authorization failed."),
    (31, "org.apache.kafka.common.errors.ClusterAuthorizationException", "Cluster authorization failed."),
    (
        32,
        "org.apache.kafka.common.errors.InvalidTimestampException",
        "The timestamp of the message is out of acceptable range.",
    ),
    (
        33,
        "org.apache.kafka.common.errors.UnsupportedSaslMechanismException",
        "The broker does not support the requested SASL mechanism.",
    ),
    (
        34,
        "org.apache.kafka.common.errors.IllegalSaslStateException",
        "Request is not valid given the current SASL state.",
    ),
    (
        35,
        "org.apache.kafka.common.errors.UnsupportedVersionException",
        "The version of API is not supported.",
    ),
    (36, "org.apache.kafka.common.errors.TopicExistsException", "Topic with this name already exists."),
    (37, "org.apache.kafka.common.errors.InvalidPartitionsException", "Number of partitions is below 1."),
    (
        38,
        "org.apache.kafka.common.errors.InvalidReplicationFactorException",
        "Replication factor is below 1 or larger than the number of available brokers.",
    ),
    (
        39,
        "org.apache.kafka.common.errors.InvalidReplicaAssignmentException",
        "Replica assignment is invalid.",
    ),
    (40, "org.apache.kafka.common.errors.InvalidConfigurationException", "Configuration is invalid."),
    (
        41,
        "org.apache.kafka.common.errors.NotControllerException",
        "This is not the correct controller for this cluster.",
    ),
    (
        42,
        "org.apache.kafka.common.errors.InvalidRequestException",
        "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.",
    ),
    (
        43,
        "org.apache.kafka.common.errors.UnsupportedForMessageFormatException",
        "The message format version on the broker does not support the request.",
    ),
    (
        44,
        "org.apache.kafka.common.errors.PolicyViolationException",
        "Request parameters do not satisfy the configured policy.",
    ),
    (
        45,
        "org.apache.kafka.common.errors.OutOfOrderSequenceException",
        "The broker received an out of order sequence number.",
    ),
    (
        46,
        "org.apache.kafka.common.errors.DuplicateSequenceException",
        "The broker received a duplicate sequence number.",
    ),
    (
        47,
        "org.apache.kafka.common.errors.InvalidProducerEpochException",
        "Producer attempted to produce with an old epoch.",
    ),
    (
        48,
        "org.apache.kafka.common.errors.InvalidTxnStateException",
        "The producer attempted a transactional operation in an invalid state.",
    ),
    (
        49,
        "org.apache.kafka.common.errors.InvalidPidMappingException",
        "The producer attempted to use a producer id which is not currently assigned to its transactional id.",
    ),
    (
        50,
        "org.apache.kafka.common.errors.InvalidTxnTimeoutException",
        "The transaction timeout is larger than the maximum value allowed by the broker (as configured by transaction.max.timeout.ms).",
    ),
    (
        51,
        "org.apache.kafka.common.errors.ConcurrentTransactionsException",
        "The producer attempted to update a transaction while another concurrent operation on the same transaction was ongoing.",
    ),
    (
        52,
        "org.apache.kafka.common.errors.TransactionCoordinatorFencedException",
        "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current coordinator for a given producer.",
    ),
    (
        53,
        "org.apache.kafka.common.errors.TransactionalIdAuthorizationException",
        "Transactional Id authorization failed.",
    ),
    (54, "org.apache.kafka.common.errors.SecurityDisabledException", "Security features are disabled."),
    (
        55,
        "org.apache.kafka.common.errors.OperationNotAttemptedException",
        "The broker did not attempt to execute this operation. This may happen for batched RPCs where some operations in the batch failed, causing the broker to respond without trying the rest.",
    ),
    (
        56,
        "org.apache.kafka.common.errors.KafkaStorageException",
        "Disk error when trying to access log file on the disk.",
    ),
    (
        57,
        "org.apache.kafka.common.errors.LogDirNotFoundException",
        "The user-specified log directory is not found in the broker config.",
    ),
    (58, "org.apache.kafka.common.errors.SaslAuthenticationException", "SASL Authentication failed."),
    (
        59,
        "org.apache.kafka.common.errors.UnknownProducerIdException",
        "This exception is raised by the broker if it could not locate the producer metadata associated with the producerId in question. This could happen if, for instance, the producer's records were deleted because their retention time had elapsed. Once the last records of the producerId are removed, the producer's metadata is removed from the broker, and future appends by the producer will return this exception.",
    ),
    (
        60,
        "org.apache.kafka.common.errors.ReassignmentInProgressException",
        "A partition reassignment is in progress.",
    ),
    (
        61,
        "org.apache.kafka.common.errors.DelegationTokenDisabledException",
        "Delegation Token feature is not enabled.",
    ),
    (
        62,
        "org.apache.kafka.common.errors.DelegationTokenNotFoundException",
        "Delegation Token is not found on server.",
    ),
    (
        63,
        "org.apache.kafka.common.errors.DelegationTokenOwnerMismatchException",
        "Specified Principal is not valid Owner/Renewer.",
    ),
    (
        64,
        "org.apache.kafka.common.errors.UnsupportedByAuthenticationException",
        "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels.",
    ),
    (
        65,
        "org.apache.kafka.common.errors.DelegationTokenAuthorizationException",
        "Delegation Token authorization failed.",
    ),
    (66, "org.apache.kafka.common.errors.DelegationTokenExpiredException", "Delegation Token is expired."),
    (
        67,
        "org.apache.kafka.common.errors.InvalidPrincipalTypeException",
        "Supplied principalType is not supported.",
    ),
    (68, "org.apache.kafka.common.errors.GroupNotEmptyException", "The group is not empty."),
    (69, "org.apache.kafka.common.errors.GroupIdNotFoundException", "The group id does not exist."),
    (
        70,
        "org.apache.kafka.common.errors.FetchSessionIdNotFoundException",
        "The fetch session ID was not found.",
    ),
    (
        71,
        "org.apache.kafka.common.errors.InvalidFetchSessionEpochException",
        "The fetch session epoch is invalid.",
    ),
    (
        72,
        "org.apache.kafka.common.errors.ListenerNotFoundException",
        "There is no listener on the leader broker that matches the listener on which metadata request was processed.",
    ),
    (73, "org.apache.kafka.common.errors.TopicDeletionDisabledException", "Topic deletion is disabled."),
    (
        74,
        "org.apache.kafka.common.errors.FencedLeaderEpochException",
        "The leader epoch in the request is older than the epoch on the broker.",
    ),
    (
        75,
        "org.apache.kafka.common.errors.UnknownLeaderEpochException",
        "The leader epoch in the request is newer than the epoch on the broker.",
    ),
    (
        76,
        "org.apache.kafka.common.errors.UnsupportedCompressionTypeException",
        "The requesting client does not support the compression type of given partition.",
    ),
    (77, "org.apache.kafka.common.errors.StaleBrokerEpochException", "Broker epoch has changed."),
    (
        78,
        "org.apache.kafka.common.errors.OffsetNotAvailableException",
        "The leader high watermark has not caught up from a recent leader election so the offsets cannot be guaranteed to be monotonically increasing.",
    ),
    (
        79,
        "org.apache.kafka.common.errors.MemberIdRequiredException",
        "The group member needs to have a valid member id before actually entering a consumer group.",
    ),
    (
        80,
        "org.apache.kafka.common.errors.PreferredLeaderNotAvailableException",
        "The preferred leader was not available.",
    ),
    (
        81,
        "org.apache.kafka.common.errors.GroupMaxSizeReachedException",
        "The group has reached its maximum size.",
    ),
    (
        82,
        "org.apache.kafka.common.errors.FencedInstanceIdException",
        "The broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id.",
    ),
    (
        83,
        "org.apache.kafka.common.errors.EligibleLeadersNotAvailableException",
        "Eligible topic partition leaders are not available.",
    ),
    (
        84,
        "org.apache.kafka.common.errors.ElectionNotNeededException",
        "Leader election not needed for topic partition.",
    ),
    (
        85,
        "org.apache.kafka.common.errors.NoReassignmentInProgressException",
        "No partition reassignment is in progress.",
    ),
    (
        86,
        "org.apache.kafka.common.errors.GroupSubscribedToTopicException",
        "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.",
    ),
    (
        87,
        "org.apache.kafka.common.errors.InvalidRecordException",
        "This record has failed the validation on broker and hence will be rejected.",
    ),
    (
        88,
        "org.apache.kafka.common.errors.UnstableOffsetCommitException",
        "There are unstable offsets that need to be cleared.",
    ),
    (
        89,
        "org.apache.kafka.common.errors.ThrottlingQuotaExceededException",
        "The throttling quota has been exceeded.",
    ),
    (
        90,
        "org.apache.kafka.common.errors.ProducerFencedException",
        "There is a newer producer with the same transactionalId which fences the current one.",
    ),
    (
        91,
        "org.apache.kafka.common.errors.ResourceNotFoundException",
        "A request illegally referred to a resource that does not exist.",
    ),
    (
        92,
        "org.apache.kafka.common.errors.DuplicateResourceException",
        "A request illegally referred to the same resource twice.",
    ),
    (
        93,
        "org.apache.kafka.common.errors.UnacceptableCredentialException",
        "Requested credential would not meet criteria for acceptability.",
    ),
    (
        94,
        "org.apache.kafka.common.errors.InconsistentVoterSetException",
        "Indicates that the either the sender or recipient of a voter-only request is not one of the expected voters.",
    ),
    (
        95,
        "org.apache.kafka.common.errors.InvalidUpdateVersionException",
        "The given update version was invalid.",
    ),
    (
        96,
        "org.apache.kafka.common.errors.FeatureUpdateFailedException",
        "Unable to update finalized features due to an unexpected server error.",
    ),
    (
        97,
        "org.apache.kafka.common.errors.PrincipalDeserializationException",
        "Request principal deserialization failed during forwarding. This indicates an internal error on the broker cluster security setup.",
    ),
    (98, "org.apache.kafka.common.errors.SnapshotNotFoundException", "Requested snapshot was not found."),
    (
        99,
        "org.apache.kafka.common.errors.PositionOutOfRangeException",
        "Requested position is not greater than or equal to zero, and less than the size of the snapshot.",
    ),
    (
        100,
        "org.apache.kafka.common.errors.UnknownTopicIdException",
        "This server does not host this topic ID.",
    ),
    (
        101,
        "org.apache.kafka.common.errors.DuplicateBrokerRegistrationException",
        "This broker ID is already in use.",
    ),
    (
        102,
        "org.apache.kafka.common.errors.BrokerIdNotRegisteredException",
        "The given broker ID was not registered.",
    ),
    (
        103,
        "org.apache.kafka.common.errors.InconsistentTopicIdException",
        "The log's topic ID did not match the topic ID in the request.",
    ),
    (
        104,
        "org.apache.kafka.common.errors.InconsistentClusterIdException",
        "The clusterId in the request does not match that found on the server.",
    ),
    (
        105,
        "org.apache.kafka.common.errors.TransactionalIdNotFoundException",
        "The transactionalId could not be found.",
    ),
    (
        106,
        "org.apache.kafka.common.errors.FetchSessionTopicIdException",
        "The fetch session encountered inconsistent topic ID usage.",
    ),
    (
        107,
        "org.apache.kafka.common.errors.IneligibleReplicaException",
        "The new ISR contains at least one ineligible replica.",
    ),
    (
        108,
        "org.apache.kafka.common.errors.NewLeaderElectedException",
        "The AlterPartition request successfully updated the partition state but the leader has changed.",
    ),
    (
        109,
        "org.apache.kafka.common.errors.OffsetMovedToTieredStorageException",
        "The requested offset is moved to tiered storage.",
    ),
    (
        110,
        "org.apache.kafka.common.errors.FencedMemberEpochException",
        "The member epoch is fenced by the group coordinator. The member must abandon all its partitions and rejoin.",
    ),
    (
        111,
        "org.apache.kafka.common.errors.UnreleasedInstanceIdException",
        "The instance ID is still used by another member in the consumer group. That member must leave first.",
    ),
    (
        112,
        "org.apache.kafka.common.errors.UnsupportedAssignorException",
        "The assignor or its version range is not supported by the consumer group.",
    ),
    (
        113,
        "org.apache.kafka.common.errors.StaleMemberEpochException",
        "The member epoch is stale. The member must retry after receiving its updated member epoch via the ConsumerGroupHeartbeat API.",
    ),
    (
        114,
        "org.apache.kafka.common.errors.MismatchedEndpointTypeException",
        "The request was sent to an endpoint of the wrong type.",
    ),
    (
        115,
        "org.apache.kafka.common.errors.UnsupportedEndpointTypeException",
        "This endpoint type is not supported yet.",
    ),
    (116, "org.apache.kafka.common.errors.UnknownControllerIdException", "This controller ID is not known."),
    (
        117,
        "org.apache.kafka.common.errors.UnknownSubscriptionIdException",
        "Client sent a push telemetry request with an invalid or outdated subscription ID.",
    ),
    (
        118,
        "org.apache.kafka.common.errors.TelemetryTooLargeException",
        "Client sent a push telemetry request larger than the maximum size the broker will accept.",
    ),
    (
        119,
        "org.apache.kafka.common.errors.InvalidRegistrationException",
        "The controller has considered the broker registration to be invalid.",
    ),
    (
        120,
        "org.apache.kafka.common.errors.TransactionAbortableException",
        "The server encountered an error with the transaction. The client can abort the transaction to continue using this transactional ID.",
    ),
    (
        121,
        "org.apache.kafka.common.errors.InvalidRecordStateException",
        "The record state is invalid. The acknowledgement of delivery could not be completed.",
    ),
    (122, "org.apache.kafka.common.errors.ShareSessionNotFoundException", "The share session was not found."),
    (
        123,
        "org.apache.kafka.common.errors.InvalidShareSessionEpochException",
        "The share session epoch is invalid.",
    ),
    (
        124,
        "org.apache.kafka.common.errors.FencedStateEpochException",
        "The share coordinator rejected the request because the share-group state epoch did not match.",
    ),
    (
        125,
        "org.apache.kafka.common.errors.InvalidVoterKeyException",
        "The voter key doesn't match the receiving replica's key.",
    ),
    (
        126,
        "org.apache.kafka.common.errors.DuplicateVoterException",
        "The voter is already part of the set of voters.",
    ),
    (
        127,
        "org.apache.kafka.common.errors.VoterNotFoundException",
        "The voter is not part of the set of voters.",
    ),
    (128, "org.apache.kafka.common.errors.InvalidRegularExpression", "The regular expression is not valid."),
    (
        129,
        "org.apache.kafka.common.errors.RebootstrapRequiredException",
        "Client metadata is stale. The client should rebootstrap to obtain new metadata.",
    ),
    (
        130,
        "org.apache.kafka.common.errors.StreamsInvalidTopologyException",
        "The supplied topology is invalid.",
    ),
    (
        131,
        "org.apache.kafka.common.errors.StreamsInvalidTopologyEpochException",
        "The supplied topology epoch is invalid.",
    ),
    (
        132,
        "org.apache.kafka.common.errors.StreamsTopologyFencedException",
        "The supplied topology epoch is outdated.",
    ),
    (
        133,
        "org.apache.kafka.common.errors.ShareSessionLimitReachedException",
        "The limit of share sessions has been reached.",
    ),
];
