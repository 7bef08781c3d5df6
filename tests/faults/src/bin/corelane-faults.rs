//! The scenarios of this crate for as long as wanted. `--help` tells of each.

use anyhow::ensure;
use clap::{Parser, Subcommand};
use corelane_fault_tests::{
    Stack, backlog,
    cluster::{
        FailoverSettings, RoundsSettings, Software,
        disturbance::Disturbance,
        exactly_once::{
            transform::{self, TransformSettings},
            word_count::{self, WordCountSettings},
        },
        failover, rounds,
    },
    crowd,
    kill::{self, KillSettings},
    kill_groups::{self, KillGroupsSettings},
    many_offsets::{self, ManyOffsetsSettings},
    many_topics::{self, ManyTopicsSettings},
    power_cut::{self, PowerCutFault, PowerCutSettings},
};
use std::time::Duration;

/// Faults on the real broker. Each scenario ends with one line of figures, or fails and says what was lost.
#[derive(Parser)]
#[command(name = "corelane-faults")]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// `kill -9` under load, of starts and of stops; restarts with other numbers of shards.
    Kill {
        /// Kills under load.
        #[arg(long, default_value_t = 200)]
        rounds: u32,
        /// For moments, shards and sizes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Kills, pauses, cuts and a full disk in a cluster of three, with clients of two stacks.
    Cluster {
        /// Disturbances.
        #[arg(long, default_value_t = 100)]
        rounds: u32,
        /// For kinds, nodes and durations.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only this kind; may be given several times.
        #[arg(long)]
        only: Vec<Disturbance>,
    },
    /// Consume, transform, produce in transactions, while brokers of a cluster of three and the application are killed.
    Transform {
        /// Kills, of each stack.
        #[arg(long, default_value_t = 50)]
        rounds: u32,
        /// Whose client transforms; may be given several times. Without, all in turn.
        #[arg(long)]
        stack: Vec<Stack>,
        /// For victims and moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The same with Kafka Streams, which counts words.
    WordCount {
        /// Kills.
        #[arg(long, default_value_t = 50)]
        rounds: u32,
        /// For victims and moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// How long producers with defaults wait for an acknowledgement when a leader is gone, here and with Apache Kafka.
    Failover {
        /// How often each kind.
        #[arg(long, default_value_t = 5)]
        repeats: u32,
        /// Only of this one; without, one after the other.
        #[arg(long)]
        software: Vec<Software>,
        /// What is done to the leader.
        #[arg(long, value_delimiter = ',', default_value = "kill,pause,isolate,stop")]
        kinds: Vec<Disturbance>,
    },
    /// `kill -9` while groups commit; members go on from where they were.
    KillGroups {
        /// Kills while groups commit.
        #[arg(long, default_value_t = 100)]
        rounds: u32,
        /// For moments and shards.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Images of what a disk may hold after a power cut, of load and of recovery.
    PowerCut {
        /// Loads to record, each with a seed of its own.
        #[arg(long, default_value_t = 10)]
        rounds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Images of each load.
        #[arg(long, default_value_t = 100)]
        images: usize,
    },
    /// Very many partitions, each written once and left alone.
    Topics {
        /// Topics.
        #[arg(long, default_value_t = 1000)]
        topics: usize,
        /// Partitions of each.
        #[arg(long, default_value_t = 10)]
        partitions: i32,
    },
    /// Very many committed offsets: a kill, and they are loaded again.
    Offsets {
        /// Groups.
        #[arg(long, default_value_t = 1000)]
        groups: usize,
        /// Partitions that each of them has committed.
        #[arg(long, default_value_t = 1000)]
        partitions: i32,
    },
    /// A backlog read while producing.
    Backlog {
        /// Its size.
        #[arg(long, default_value_t = 1024)]
        mib: usize,
    },
    /// Connections opened and left idle.
    Connections {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().scenario {
        Scenario::Kill { rounds, seed } => println!("{}", kill::run(KillSettings { rounds, seed })?),
        Scenario::Cluster { rounds, seed, only } => {
            println!("{}", rounds::run(&RoundsSettings { rounds, seed, only })?)
        }
        Scenario::Transform { rounds, mut stack, seed } => {
            if stack.is_empty() {
                stack = Stack::ALL.to_vec();
            }
            for stack in stack {
                println!("{}", transform::run(&TransformSettings { stack, rounds, seed })?);
            }
        }
        Scenario::WordCount { rounds, seed } => {
            println!("{}", word_count::run(&WordCountSettings { rounds, seed })?);
        }
        Scenario::Failover { repeats, mut software, kinds } => {
            if software.is_empty() {
                software = vec![Software::Corelane, Software::ApacheKafka];
            }
            let measured = software
                .into_iter()
                .map(|software| failover::run(&FailoverSettings { software, repeats, kinds: kinds.clone() }));
            let reports = measured.collect::<anyhow::Result<Vec<_>>>()?;
            reports.iter().for_each(|report| println!("{report}"));
        }
        Scenario::KillGroups { rounds, seed } => {
            println!("{}", kill_groups::run(KillGroupsSettings { rounds, seed })?);
        }
        Scenario::PowerCut { rounds, seed, images } => {
            for seed in seed..seed.saturating_add(rounds) {
                let report = power_cut::run(PowerCutSettings {
                    seed,
                    images,
                    recoveries: images / 10,
                    images_of_recovery: 10,
                    load: Duration::from_secs(3),
                    fault: PowerCutFault::None,
                })?;
                println!("seed {seed}: {report}");
                ensure!(report.wrong.is_empty(), "acknowledged records were lost");
            }
        }
        Scenario::Topics { topics, partitions } => {
            let report = many_topics::run(ManyTopicsSettings {
                topics,
                partitions,
                journal_bytes: 128 << 20,
                hot_bytes: 1 << 30,
            })?;
            println!("{report}");
        }
        Scenario::Offsets { groups, partitions } => {
            println!("{}", many_offsets::run(ManyOffsetsSettings { groups, partitions })?);
        }
        Scenario::Backlog { mib } => println!("{}", backlog::run(mib << 20, 1 << 30)?),
        Scenario::Connections { connections } => println!("{}", crowd::run(connections)?),
    }
    Ok(())
}
