//! The node itself: identity, listeners, connections, and Corelane's own keys.

use super::reason::{INTERNAL, LINES, OTHER_QUORUM, OTHER_SOCKETS, PURGATORY, TELEMETRY, THREADS};

rows! {
    "advertised.listeners": List = None, Any, ReadOnly, Honoured =>
        "What clients are told to connect to, NAME://host:port; without it they are told what listeners \
         says, with this machine's canonical host name for every interface.";
    "auto.create.topics.enable": Boolean = Some("true"), Any, ReadOnly, Honoured =>
        "Whether asking for the metadata of a topic that does not exist creates it.";
    "background.threads": Int = Some("10"), AtLeast(1), ClusterWide, Without(THREADS) =>
        "How many threads do background work.";
    "broker.id": Int = Some("-1"), Any, ReadOnly, Honoured =>
        "The old name of node.id; if both are given they must agree.";
    "broker.rack": String = None, Any, ReadOnly, Honoured =>
        "The rack this broker stands in, told to clients and used to spread replicas.";
    "config.providers": List = Some(""), Any, ClusterWide, Refused("configuration providers") =>
        "Classes that fetch settings from elsewhere.";
    "connections.max.idle.ms": Long = Some("600000"), Any, ReadOnly, Honoured =>
        "A connection on which nothing was said for this long is closed; below zero never.";
    "controlled.shutdown.enable": Boolean = Some("true"), Any, ReadOnly, Honoured =>
        "Whether a stopping broker first hands its leaderships to others.";
    "controller.listener.names": List = Some("CONTROLLER"), Any, ReadOnly, Honoured =>
        "Which of the listeners belong to the metadata quorum rather than to clients.";
    "cordoned.log.dirs": List = Some(""), Any, PerBroker, Refused("several log directories") =>
        "Log directories that take no new partitions.";
    "corelane.cluster.id": String = None, Any, ReadOnly, Honoured =>
        "The cluster's id (CLUSTER_ID in the environment); a data directory of another cluster is refused.";
    "corelane.cpu.pin": String = Some("auto"), OneOf(&["auto", "true", "false"]), ReadOnly, Honoured =>
        "Whether each shard is bound to its core; auto does so where the cores are this process's alone.";
    "corelane.disk.reserve.bytes": Long = Some("268435456"), AtLeast(0), ReadOnly, Honoured =>
        "Free space of the data's file system below which produce is refused, so that the disk never fills; it is at \
         least what the next start needs, 17 MiB a shard, unless it is 0.";
    "corelane.journal.bytes.max": Long = Some("1073741824"), AtLeast(16777216), ReadOnly, Honoured =>
        "The largest size of one shard's journal; a full one delays produce. Where it is not set and the disk was measured \
         (`corelane tune measure`) it is as much of that as all shards' journals take ten seconds to read at a start.";
    "corelane.journal.dir": String = None, Any, ReadOnly, Honoured =>
        "The directory of the shards' journals, where it is not that of the data; the fastest disk to flush.";
    "corelane.shard.memory.bytes": Long = Some("268435456"), AtLeast(16777216), ReadOnly, Honoured =>
        "What the requests and responses under way on one shard may hold; past it connections are not read.";
    "corelane.shards": Int = Some("0"), Between(0, 1024), ReadOnly, Honoured =>
        "How many data shards there are; 0 is one for each core that affinity and the cgroup's quota allow.";
    "corelane.tail.cache.bytes": Long = Some("268435456"), AtLeast(0), ReadOnly, Honoured =>
        "How much of the recent log one shard keeps in memory for consumers.";
    "default.replication.factor": Int = Some("1"), Any, ReadOnly, Honoured =>
        "Replicas of a topic that is created without a number of its own.";
    "delete.records.purgatory.purge.interval.requests": Int = Some("1"), Any, ReadOnly, Without(PURGATORY) =>
        "After how many DeleteRecords requests finished waiters are dropped.";
    "delete.topic.enable": Boolean = Some("true"), Any, ReadOnly, Honoured =>
        "Whether topics may be deleted.";
    "early.start.listeners": List = None, Any, ReadOnly, Refused("early start listeners") =>
        "Listeners that open before the broker is ready.";
    "fetch.max.bytes": Int = Some("57671680"), AtLeast(1024), ReadOnly, Honoured =>
        "The most bytes of records that one fetch response holds.";
    "fetch.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly, Without(PURGATORY) =>
        "After how many fetches finished waiters are dropped.";
    "initial.broker.registration.timeout.ms": Int = Some("60000"), Any, ReadOnly, Without(OTHER_QUORUM) =>
        "How long a starting broker waits to be registered by the quorum.";
    "inter.broker.listener.name": String = None, Any, ReadOnly, Honoured =>
        "The listener over which brokers speak to each other.";
    "listener.security.protocol.map": String = Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any,
        PerBroker, Honoured =>
        "Which security protocol each listener name stands for; only PLAINTEXT is served.";
    "listeners": List = Some("PLAINTEXT://127.0.0.1:9092"), Any, PerBroker, Honoured =>
        "Where the broker listens: NAME://host:port, separated by commas; an empty host or 0.0.0.0 is \
         every interface.";
    "log.dir": List = Some("./corelane-data"), Any, ReadOnly, Honoured =>
        "The directory of the data, where log.dirs is not given.";
    "log.dirs": List = None, Any, ReadOnly, Honoured =>
        "The directory of the data; one, for the time being.";
    "max.connection.creation.rate": Int = Some("2147483647"), AtLeast(0), ClusterWide, Refused("quotas") =>
        "The most connections per second the broker accepts.";
    "max.connections": Int = Some("2147483647"), AtLeast(0), ClusterWide, Honoured =>
        "The most connections the broker holds open at once.";
    "max.connections.per.ip": Int = Some("2147483647"), AtLeast(0), ClusterWide, Honoured =>
        "The most connections the broker holds open at once from one address.";
    "max.connections.per.ip.overrides": String = Some(""), Any, ClusterWide, Refused("quotas") =>
        "Bounds of max.connections.per.ip for single addresses.";
    "max.incremental.fetch.session.cache.slots": Int = Some("1000"), AtLeast(0), ReadOnly, Without(OTHER_SOCKETS) =>
        "How many incremental fetch sessions (KIP-227) are remembered.";
    "max.request.partition.size.limit": Int = Some("2000"), AtLeast(1), ReadOnly, Honoured =>
        "The most partitions one DescribeTopicPartitions response describes.";
    "message.max.bytes": Int = Some("1048588"), AtLeast(0), ClusterWide, Honoured =>
        "The largest record batch, as stored, that a topic accepts where it has no max.message.bytes of \
         its own.";
    "metadata.log.dir": String = None, Any, ReadOnly, Honoured =>
        "The directory of the metadata quorum's log, where it is not that of the data.";
    "node.id": Int = Some("1"), AtLeast(0), ReadOnly, Honoured =>
        "This node's number in the cluster.";
    "num.io.threads": Int = Some("8"), AtLeast(1), ClusterWide, Without(THREADS) =>
        "How many threads process requests.";
    "num.network.threads": Int = Some("3"), AtLeast(1), ClusterWide, Without(THREADS) =>
        "How many threads read and write sockets.";
    "num.partitions": Int = Some("1"), AtLeast(1), ReadOnly, Honoured =>
        "Partitions of a topic that is created without a number of its own.";
    "num.recovery.threads.per.data.dir": Int = Some("2"), AtLeast(1), ClusterWide, Without(THREADS) =>
        "How many threads recover logs at the start.";
    "num.replica.alter.log.dirs.threads": Int = None, Any, ReadOnly, Without(THREADS) =>
        "How many threads move replicas between directories.";
    "process.roles": List = Some("broker,controller"),
        ListOf(&["broker", "controller"]),
        ReadOnly, Honoured =>
        "What this node is: broker, controller, or both.";
    "producer.id.expiration.check.interval.ms": Int = Some("600000"), AtLeast(1), Internal, Honoured =>
        "How often idle idempotent producers are looked for.";
    "producer.id.expiration.ms": Int = Some("86400000"), AtLeast(1), ClusterWide, Honoured =>
        "How long the sequence state of an idempotent producer that went quiet is kept.";
    "producer.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly, Without(PURGATORY) =>
        "After how many produce requests finished waiters are dropped.";
    "queued.max.request.bytes": Long = Some("-1"), Any, ReadOnly, Without(THREADS) =>
        "How many bytes of requests may queue before connections are no longer read.";
    "queued.max.requests": Int = Some("500"), AtLeast(1), ReadOnly, Without(THREADS) =>
        "How many requests may queue before connections are no longer read.";
    "request.timeout.ms": Int = Some("30000"), Any, ReadOnly, Without(LINES) =>
        "How long a request of this broker to another may take.";
    "server.max.startup.time.ms": Long = Some("9223372036854775807"),
        AtLeast(0),
        Internal, Without(OTHER_QUORUM) =>
        "How long the start may take before it is given up.";
    "share.fetch.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly, Without(PURGATORY) =>
        "After how many share fetches finished waiters are dropped.";
    "socket.connection.setup.timeout.max.ms": Long = Some("30000"), Any, ReadOnly, Without(LINES) =>
        "The longest wait for an outgoing connection after repeated failures.";
    "socket.connection.setup.timeout.ms": Long = Some("10000"), Any, ReadOnly, Without(LINES) =>
        "How long an outgoing connection may take to open.";
    "socket.listen.backlog.size": Int = Some("50"), AtLeast(1), ReadOnly, Without(OTHER_SOCKETS) =>
        "How many connections the kernel holds until they are accepted.";
    "socket.receive.buffer.bytes": Int = Some("102400"), Any, ReadOnly, Without(OTHER_SOCKETS) =>
        "The kernel's receive buffer of a connection; -1 leaves it to the kernel.";
    "socket.request.max.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly, Honoured =>
        "The largest request that is read; a longer one closes its connection.";
    "socket.send.buffer.bytes": Int = Some("102400"), Any, ReadOnly, Without(OTHER_SOCKETS) =>
        "The kernel's send buffer of a connection; -1 leaves it to the kernel.";
    "telemetry.max.bytes": Int = Some("1048576"), AtLeast(1), ReadOnly, Without(TELEMETRY) =>
        "The largest telemetry push of a client (KIP-714).";
    "unstable.api.versions.enable": Boolean = Some("false"), Any, Internal, Without(INTERNAL) =>
        "Whether API versions under development are served.";
    "unstable.feature.versions.enable": Boolean = Some("false"), Any, Internal, Without(INTERNAL) =>
        "Whether feature versions under development are offered.";
}
