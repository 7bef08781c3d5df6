//! Exactly once on a cluster, while brokers and the application are killed: a producer writes on and on, idempotently and
//! with acks=all, an application makes something of it in transactions, and the result, as an independent reader of
//! committed records finds it, is held against what was acknowledged.
//!
//! - `strike`: who is killed, and when.
//! - `scene`: the cluster, the producer and the application under strikes.
//! - `transform`: consume, transform, produce, by five stacks.
//! - `word_count`: Kafka Streams, with `exactly_once_v2`.

mod scene;
mod strike;
pub mod transform;
pub mod word_count;

pub use scene::Tally;
pub use strike::Victim;

use anyhow::{Context, ensure};
use std::process::Command;

/// Seconds that reading a topic to its end may take.
const READ_LIMIT: &str = "120";

/// A record as kcat tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    partition: i32,
    offset: i64,
    key: String,
    value: String,
}

/// Reads what is committed of a topic, to its end, by kcat, which comes with a librdkafka of its own. `how` are further
/// arguments.
fn read_committed(addresses: &str, topic: &str, how: &[&str]) -> anyhow::Result<Vec<Told>> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", READ_LIMIT, "kcat", "-C", "-e", "-q", "-o", "beginning"]);
    command.args(["-b", addresses, "-t", topic, "-X", "isolation.level=read_committed"]);
    let output = command.args(["-f", "%p %o %k %s\n"]).args(how).output().context("cannot run kcat")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kcat ended with {}: {said}", output.status);
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| told(line).with_context(|| format!("kcat said {line:?}"))).collect()
}

/// A line of it; a null key is empty.
fn told(line: &str) -> anyhow::Result<Told> {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().context("a word is missing");
    Ok(Told {
        partition: word()?.parse()?,
        offset: word()?.parse()?,
        key: word()?.to_owned(),
        value: word()?.to_owned(),
    })
}
