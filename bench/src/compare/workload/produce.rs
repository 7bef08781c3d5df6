//! Producing: (a), (b), (c), (f), (g).

use crate::{
    compare::{
        brokers::Brokers,
        load::{self, Times, producers, rate},
        model::System,
        session::Session,
    },
    payload::Payload,
    produce::{ProduceSettings, flow::Spread},
    schedule::Rate,
};
use anyhow::Result;
use corelane_core::records::Codec;

/// Below this part of what was offered a system counts as saturated, and is not offered more.
pub const KEPT_UP: f64 = 0.9;

/// (a): a closed loop, one with large batches, and fixed loads until one from the half on is not kept up with.
///
/// # Errors
/// The connections', or the broker's.
pub fn rising_load(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    session.measure(("a", "saturation"), brokers, system, 16, &producers(4, Rate::Max), 0)?;
    let large = ProduceSettings { batch_bytes: 1_000_000, request_bytes: 4 << 20, ..producers(4, Rate::Max) };
    session.measure(("a", "large batches"), brokers, system, 16, &large, 0)?;
    for part in session.plan.loads {
        let settings = producers(4, rate(part * session.base.records_per_s));
        let outcome = session.measure(("a", &load_name(*part)), brokers, system, 16, &settings, 0)?;
        let offered = part * session.base.records_per_s * outcome.timeline.measured_seconds();
        // Half of it is what latencies are compared at.
        if *part >= 0.5 && (outcome.sent.acknowledged_measured as f64) < KEPT_UP * offered {
            break;
        }
    }
    Ok(())
}

/// What a fixed load is called.
pub fn load_name(part: f64) -> String {
    format!("load {part}")
}

/// Records of 100 B, each a request of its own.
pub fn small_records(count: usize, rate: Rate) -> ProduceSettings {
    // So small that no batch and no request takes two.
    let bytes = 100;
    ProduceSettings {
        record_bytes: 100,
        batch_bytes: bytes,
        request_bytes: bytes,
        linger_ns: 0,
        ..producers(count, rate)
    }
}

/// (b): closed loops, and 16 producers at half of what Kafka can do.
///
/// # Errors
/// The connections', or the broker's.
pub fn small_requests(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    for count in [1, 16, 64] {
        let case = format!("{count} producers");
        session.measure(("b", &case), brokers, system, 16, &small_records(count, Rate::Max), 0)?;
    }
    let settings = small_records(16, rate(0.5 * session.base.requests_per_s));
    session.measure(("b", "fixed"), brokers, system, 16, &settings, 0)?;
    Ok(())
}

/// (c): a quarter of Kafka's saturation, a record to each partition in turn; and the same bytes as in (a). Both without
/// linger, too: batches of one record wait it out, where those of 16 partitions are full before.
///
/// # Errors
/// The connections', or the broker's.
pub fn many_partitions(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let few = producers(4, rate(0.25 * session.base.records_per_s));
    let many = ProduceSettings { spread: Spread::RoundRobin, ..few.clone() };
    // Long enough that each partition has its first records, and files, before it counts.
    let times = Times { warmup: 2.0 * session.plan.seconds, ..session.times() };
    let at_once = |settings: &ProduceSettings| ProduceSettings { linger_ns: 0, ..settings.clone() };
    let cases = [
        ("16 partitions, no linger", 16, at_once(&few)),
        ("1000 partitions, no linger", 1000, at_once(&many)),
        ("16 partitions", 16, few),
        ("1000 partitions", 1000, many),
    ];
    for (case, partitions, settings) in cases {
        let outcome = session.with_topic(brokers, system, partitions, &[], |topic| {
            load::run(topic, &settings, 0, times, &brokers.pids())
        })?;
        session.keep(outcome.measurement("c", case, system, session.round));
    }
    Ok(())
}

/// (f): an eighth of Kafka's saturation, which the generator can compress.
///
/// # Errors
/// The connections', or the broker's.
pub fn compressed(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let all = [Codec::None, Codec::Lz4, Codec::Zstd, Codec::Snappy, Codec::Gzip];
    let codecs = if session.plan.quick { &all[..3] } else { &all[..] };
    for codec in codecs {
        let plain = producers(4, rate(0.125 * session.base.records_per_s));
        let settings = ProduceSettings { codec: *codec, payload: Payload::Text, ..plain };
        session.measure(("f", codec.name()), brokers, system, 16, &settings, 0)?;
    }
    Ok(())
}

/// (g): a quarter of Kafka's saturation.
///
/// # Errors
/// The connections', or the broker's.
pub fn keyed(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let without = producers(4, rate(0.25 * session.base.records_per_s));
    let with = ProduceSettings { key_bytes: 16, spread: Spread::RoundRobin, ..without.clone() };
    session.measure(("g", "without keys"), brokers, system, 16, &without, 0)?;
    session.measure(("g", "with keys"), brokers, system, 16, &with, 0)?;
    Ok(())
}
