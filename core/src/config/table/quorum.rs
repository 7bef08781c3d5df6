//! The metadata quorum, replication, metrics, policies.

use super::reason::{LINES, MARKS, METADATA_LOG, METRICS, OTHER_QUORUM, OTHER_SOCKETS, THREADS};

rows! {
    "alter.config.policy.class.name": Class = None, Any, ReadOnly, Refused("policy classes") =>
        "A class that must agree to configuration changes.";
    "auto.leader.rebalance.enable": Boolean = Some("true"), Any, ReadOnly, Honoured =>
        "Whether leaderships go back to the preferred replicas by themselves.";
    "broker.heartbeat.interval.ms": Int = Some("2000"), AtLeast(1), ReadOnly, Honoured =>
        "How often a broker tells the quorum that it lives.";
    "broker.session.timeout.ms": Int = Some("9000"), AtLeast(1), ReadOnly, Honoured =>
        "After how long without a heartbeat a broker is fenced; one whose connection breaks is fenced sooner.";
    "controller.performance.always.log.threshold.ms": Long = Some("2000"),
        AtLeast(0),
        Internal, Without(METRICS) =>
        "From which duration on every slow event of the controller is logged.";
    "controller.performance.sample.period.ms": Long = Some("60000"),
        AtLeast(100),
        Internal, Without(METRICS) =>
        "How often the controller logs its slowest events.";
    "controller.quorum.append.linger.ms": Int = Some("25"), AtLeast(0), ReadOnly, Without(OTHER_QUORUM) =>
        "How long the quorum's leader gathers records before it writes them.";
    "controller.quorum.auto.join.enable": Boolean = Some("false"), Any, ReadOnly, Honoured =>
        "Whether a controller without a vote asks for one by itself.";
    "controller.quorum.bootstrap.servers": List = Some(""), Any, ReadOnly, Honoured =>
        "Where a node without a vote finds controllers, host:port each.";
    "controller.quorum.election.backoff.max.ms": Int = Some("1000"),
        AtLeast(0),
        ReadOnly, Without(OTHER_QUORUM) =>
        "The longest wait between two elections of the quorum.";
    "controller.quorum.election.timeout.ms": Int = Some("1000"),
        AtLeast(0),
        ReadOnly, Without(OTHER_QUORUM) =>
        "How long a candidate waits for votes.";
    "controller.quorum.fetch.max.bytes": Int = Some("1048576"),
        AtLeast(1),
        ReadOnly, Without(OTHER_QUORUM) =>
        "The most bytes of one fetch of the metadata log.";
    "controller.quorum.fetch.snapshot.max.bytes": Int = Some("1048576"),
        AtLeast(1),
        ReadOnly, Without(OTHER_QUORUM) =>
        "The most bytes of one fetch of a metadata snapshot.";
    "controller.quorum.fetch.timeout.ms": Int = Some("500"), AtLeast(50), ReadOnly, Honoured =>
        "How long a voter goes without hearing from the leader before it stands for election, and up to twice as \
         long, at random; Kafka's default is 2000.";
    "controller.quorum.request.timeout.ms": Int = Some("2000"),
        AtLeast(0),
        ReadOnly, Without(OTHER_QUORUM) =>
        "How long a request between voters may take.";
    "controller.quorum.retry.backoff.ms": Int = Some("20"), AtLeast(0), ReadOnly, Without(OTHER_QUORUM) =>
        "How long a failed request between voters waits before its repetition.";
    "controller.quorum.voters": List = Some(""), Any, ReadOnly, Honoured =>
        "The voters of the metadata quorum, id@host:port, the same on every node; a controller is among them.";
    "controller.socket.timeout.ms": Int = Some("30000"), Any, ReadOnly, Without(LINES) =>
        "How long a connection to a controller waits for an answer.";
    "create.topic.policy.class.name": Class = None, Any, ReadOnly, Refused("policy classes") =>
        "A class that must agree to the creation of topics.";
    "follower.fetch.last.tiered.offset.enable": Boolean = Some("false"),
        Any,
        ClusterWide, Refused("tiered storage") =>
        "Whether a new follower begins at the last tiered offset.";
    "internal.metadata.delete.delay.millis": Long = Some("60000"), Any, Internal, Without(METADATA_LOG) =>
        "How long after its removal a file of the metadata log is deleted.";
    "internal.metadata.log.segment.bytes": Int = None, Any, Internal, Without(METADATA_LOG) =>
        "The size of a segment of the metadata log, for tests.";
    "internal.metadata.max.batch.size.in.bytes": Int = Some("8388608"),
        Any,
        Internal, Without(METADATA_LOG) =>
        "The largest batch of the metadata log.";
    "kafka.metrics.polling.interval.secs": Int = Some("10"), AtLeast(1), ReadOnly, Without(METRICS) =>
        "How often metrics reporters are asked.";
    "kafka.metrics.reporters": List = Some(""), Any, ReadOnly, Without(METRICS) =>
        "Classes that report metrics.";
    "leader.imbalance.check.interval.seconds": Long = Some("300"), AtLeast(1), ReadOnly, Honoured =>
        "How often leaderships away from their preferred replica are looked for.";
    "metadata.log.max.record.bytes.between.snapshots": Long = Some("20971520"),
        AtLeast(1),
        ReadOnly, Without(METADATA_LOG) =>
        "After how many bytes of records the metadata log makes a snapshot.";
    "metadata.log.max.snapshot.interval.ms": Long = Some("3600000"),
        AtLeast(0),
        ReadOnly, Without(METADATA_LOG) =>
        "After how long the metadata log makes a snapshot.";
    "metadata.log.segment.bytes": Int = Some("1073741824"),
        AtLeast(8388608),
        ReadOnly, Without(METADATA_LOG) =>
        "The size of a segment of the metadata log.";
    "metadata.log.segment.ms": Long = Some("604800000"), Any, ReadOnly, Without(METADATA_LOG) =>
        "After how long the metadata log begins a new segment.";
    "metadata.max.idle.interval.ms": Int = Some("500"), AtLeast(0), ReadOnly, Without(METADATA_LOG) =>
        "How often the quorum's leader writes a no-op record while nothing else is written.";
    "metadata.max.retention.bytes": Long = Some("104857600"), Any, ReadOnly, Without(METADATA_LOG) =>
        "The bytes of metadata log and snapshots beyond which old ones are deleted.";
    "metadata.max.retention.ms": Long = Some("604800000"), Any, ReadOnly, Without(METADATA_LOG) =>
        "How long old metadata log and snapshots are kept.";
    "metric.reporters": List = Some("org.apache.kafka.common.metrics.JmxReporter"),
        Any,
        ClusterWide, Without(METRICS) =>
        "Classes that report metrics.";
    "metrics.num.samples": Int = Some("2"), AtLeast(1), ReadOnly, Without(METRICS) =>
        "How many samples a metric is computed from.";
    "metrics.recording.level": String = Some("INFO"), Any, ReadOnly, Without(METRICS) =>
        "Which metrics are recorded.";
    "metrics.sample.window.ms": Long = Some("30000"), AtLeast(1), ReadOnly, Without(METRICS) =>
        "How long a metric's sample lasts.";
    "num.replica.fetchers": Int = Some("1"), AtLeast(1), ClusterWide, Without(THREADS) =>
        "How many threads fetch from each leader.";
    "replica.fetch.backoff.ms": Int = Some("1000"), AtLeast(0), ReadOnly, Honoured =>
        "How long a follower waits after a failed fetch.";
    "replica.fetch.max.bytes": Int = Some("1048576"), AtLeast(0), ReadOnly, Honoured =>
        "The bytes a follower asks for per partition.";
    "replica.fetch.min.bytes": Int = Some("1"), Any, ReadOnly, Honoured =>
        "The bytes a follower's fetch waits for.";
    "replica.fetch.response.max.bytes": Int = Some("10485760"), AtLeast(0), ReadOnly, Honoured =>
        "The bytes a follower asks for in one fetch.";
    "replica.fetch.wait.max.ms": Int = Some("500"), Any, ReadOnly, Honoured =>
        "How long a follower's fetch waits for new records.";
    "replica.high.watermark.checkpoint.interval.ms": Long = Some("5000"), Any, ReadOnly, Without(MARKS) =>
        "How often high watermarks are recorded on disk.";
    "replica.lag.time.max.ms": Long = Some("30000"), Any, ReadOnly, Honoured =>
        "After how long a follower that has not caught up leaves the ISR.";
    "replica.selector.class": String = None, Any, ReadOnly, Honoured =>
        "A class that sends consumers to the nearest replica: org.apache.kafka.common.replica.RackAwareReplicaSelector, or none.";
    "replica.socket.receive.buffer.bytes": Int = Some("65536"), Any, ReadOnly, Without(OTHER_SOCKETS) =>
        "The kernel's receive buffer of a follower's connection.";
    "replica.socket.timeout.ms": Int = Some("30000"), Any, ReadOnly, Without(LINES) =>
        "How long a follower's connection waits for an answer.";
}
