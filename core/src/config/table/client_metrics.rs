//! A subscription of client metrics (KIP-714; Kafka's `ClientMetricsConfigs`).

use super::reason::TELEMETRY;

rows! {
    "interval.ms": Int = Some("300000"), Any, ClusterWide, Without(TELEMETRY) =>
        "How often the clients that match push their metrics, 100 ms to an hour.";
    "match": List = Some(""), Any, ClusterWide, Without(TELEMETRY) =>
        "Which clients the subscription is for: property=pattern, for instance client_id=app-.*; empty is all.";
    "metrics": List = Some(""), Any, ClusterWide, Without(TELEMETRY) =>
        "The beginnings of the names of the metrics to push; * is all.";
}
