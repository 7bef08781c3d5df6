//! Exactly once, by real clients, on a cluster: brokers and the application are killed while it works.

use anyhow::Result;
use corelane_fault_tests::{
    Stack,
    cluster::exactly_once::{
        transform::{self, TransformSettings},
        word_count::{self, WordCountSettings},
    },
};

/// Of every stack and of Streams: more is a soak.
const ROUNDS: u32 = 2;

/// `CORELANE_FAULTS_SEED` repeats a run's decisions; the moments within the brokers' work are the machine's.
fn seed() -> u64 {
    std::env::var("CORELANE_FAULTS_SEED")
        .map_or(1, |seed| seed.parse().expect("CORELANE_FAULTS_SEED is a number"))
}

fn transforms(stack: Stack) -> Result<()> {
    println!("{}", transform::run(&TransformSettings { stack, rounds: ROUNDS, seed: seed() })?);
    Ok(())
}

#[test]
fn java_on_a_cluster_transforms_every_record_exactly_once_and_in_order() -> Result<()> {
    transforms(Stack::Java)
}

#[test]
fn librdkafka_on_a_cluster_transforms_every_record_exactly_once_and_in_order() -> Result<()> {
    transforms(Stack::Librdkafka)
}

#[test]
fn kafka_python_on_a_cluster_transforms_every_record_exactly_once_and_in_order() -> Result<()> {
    transforms(Stack::KafkaPython)
}

#[test]
fn aiokafka_on_a_cluster_transforms_every_record_exactly_once_and_in_order() -> Result<()> {
    transforms(Stack::Aiokafka)
}

#[test]
fn franz_go_on_a_cluster_transforms_every_record_exactly_once_and_in_order() -> Result<()> {
    transforms(Stack::FranzGo)
}

#[test]
fn kafka_streams_on_a_cluster_counts_every_word_exactly_once() -> Result<()> {
    println!("{}", word_count::run(&WordCountSettings { rounds: ROUNDS, seed: seed() })?);
    Ok(())
}
