//! Whole brokers of engines, without a kernel and without a quorum: what a client sees.

mod administration;
mod broker;
mod clients;
mod cluster;
mod compaction;
mod consumer_groups;
mod enlistment;
mod failing_disks;
mod failover;
mod files;
mod front;
mod groups;
mod log_start;
mod nearest;
mod produce_fetch;
mod producers;
mod replication;
mod requests;
mod stale_leaders;
mod throttles;
mod transactions;
mod waiting;
