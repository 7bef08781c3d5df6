//! Whole brokers of engines, without a kernel and without a quorum: what a client sees.

mod administration;
mod broker;
mod clients;
mod compaction;
mod consumer_groups;
mod cost;
mod files;
mod groups;
mod produce_fetch;
mod requests;
mod waiting;
