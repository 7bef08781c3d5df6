//! Kafka Streams with `exactly_once_v2`: a word count through a repartition topic and a changelog, whose application and
//! brokers are killed, counts every word of what was acknowledged exactly once.

use super::{
    Tally, Told, read_committed,
    scene::{INPUT, OUTPUT, Scene, on_a_cluster},
};
use crate::{
    Transformer,
    cluster::{Cluster, Event, History, Value, load},
    stack::small_java,
};
use anyhow::{Context, ensure};
use std::{collections::BTreeMap, fmt, path::Path};

/// Words that are wrong and told; one record is several of them.
const WRONG_MAX: usize = 20;

/// How often, and by which seed.
#[derive(Clone, Copy, Debug)]
pub struct WordCountSettings {
    /// Kills.
    pub rounds: u32,
    /// For victims and moments; what they meet is the machine's.
    pub seed: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub struct WordCountReport {
    tally: Tally,
    words: usize,
}

impl fmt::Display for WordCountReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Kafka Streams: {}, and each of their {} words counted exactly once",
            self.tally, self.words
        )
    }
}

/// Runs it.
///
/// # Errors
/// With each word whose count is wrong; when nodes or clients do not go on.
pub fn run(settings: &WordCountSettings) -> anyhow::Result<WordCountReport> {
    on_a_cluster(|cluster, directory| play(settings, cluster, directory))
        .with_context(|| format!("{settings:?}"))
}

fn play(
    settings: &WordCountSettings,
    cluster: &mut Cluster,
    directory: &Path,
) -> anyhow::Result<WordCountReport> {
    let addresses = cluster.bootstrap();
    let scratch = directory.join("streams");
    std::fs::create_dir(&scratch)?;
    let mut java = small_java("WordCount.java", &[&format!("-Djava.io.tmpdir={}", scratch.display())])?;
    java.args([&addresses, INPUT, OUTPUT, "exactly_once_v2"]);
    let application = Transformer::start_command("Kafka Streams".to_owned(), &java)?;
    let mut scene = Scene::new(cluster, application, settings.seed)?;
    scene.goal = |history| words(history).values().sum();
    let counted = || Ok(counts(&addresses)?.into_iter().collect::<BTreeMap<_, _>>().values().sum());
    scene.rounds(settings.rounds, counted)?;
    let (input, tally) = scene.end(counted)?;
    let told = counts(&addresses)?;
    let lines = told.iter().map(|(word, count)| format!("{word} {count}\n")).collect::<String>();
    std::fs::write(directory.join("counts"), lines)?;
    let expected = words(&input);
    let wrong = wrong(&expected, &told);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(WordCountReport { tally, words: expected.values().sum() })
}

/// How often each word is in what was acknowledged: a record's identity and its filler are its words, as the application
/// splits them.
fn words(input: &History) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for event in input.events() {
        let Event::Acknowledged { value, .. } = event else { continue };
        let Value { producer, partition, number } = *value;
        let mut count = |word: String| *words.entry(word).or_default() += 1;
        count(producer.to_string());
        count(partition.to_string());
        count(number.to_string());
        let filler = load::filler(number);
        if filler > 0 {
            count("x".repeat(filler));
        }
    }
    words
}

/// All counts that were ever committed, each word's in their order: eight bytes each.
fn counts(addresses: &str) -> anyhow::Result<Vec<(String, usize)>> {
    let count = |told: Told| Ok((told.key, told.value.parse()?));
    read_committed(addresses, OUTPUT, &["-s", "value=q"])?.into_iter().map(count).collect()
}

/// What is wrong with these counts. Not every count is told; those that are grow, and the last is right.
fn wrong(expected: &BTreeMap<String, usize>, told: &[(String, usize)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    for (word, count) in told {
        let before = latest.insert(word, *count).unwrap_or(0);
        if *count <= before {
            wrong.push(format!("{} was counted {before} times, and then {count}", short(word)));
        }
    }
    for (word, count) in expected {
        let found = latest.remove(word.as_str()).unwrap_or(0);
        if found != *count {
            wrong.push(format!("{} is there {count} times and was counted {found} times", short(word)));
        }
    }
    wrong.extend(latest.keys().map(|word| format!("{} was counted and is not there", short(word))));
    wrong.truncate(WRONG_MAX);
    wrong
}

/// A filler by its length.
fn short(word: &str) -> String {
    if word.starts_with('x') { format!("a filler of {}", word.len()) } else { format!("{word:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn input() -> History {
        let mut history = History::default();
        for (partition, number) in [(0, 0), (1, 0), (0, 1)] {
            let value = Value { producer: 7, partition, number };
            history.add(Event::Acknowledged { value, offset: None, at: Duration::ZERO });
        }
        history
    }

    fn told(counts: &[(&str, usize)]) -> Vec<(String, usize)> {
        counts.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
    }

    #[test]
    fn the_words_of_a_record_are_the_parts_of_its_value() {
        let filler = "x".repeat(919);
        let counts = told(&[("0", 4), ("1", 2), ("7", 3), (&filler, 1)]);
        assert_eq!(words(&input()), counts.into_iter().collect());
    }

    #[test]
    fn counts_that_grow_to_what_is_there_are_right_and_no_others() {
        let expected = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 1)]);
        let found = |counts: &[(&str, usize)]| wrong(&expected, &told(counts));
        assert_eq!(found(&[("a", 1), ("b", 1), ("a", 3)]), [""; 0]);
        assert_eq!(found(&[("a", 3)]), ["\"b\" is there 1 times and was counted 0 times"]);
        assert_eq!(found(&[("a", 3), ("b", 2)]), ["\"b\" is there 1 times and was counted 2 times"]);
        assert_eq!(found(&[("a", 2), ("b", 1)]), ["\"a\" is there 3 times and was counted 2 times"]);
        assert_eq!(
            found(&[("a", 2), ("a", 1), ("a", 3), ("b", 1)]),
            ["\"a\" was counted 2 times, and then 1"],
            "a count that was committed is gone"
        );
        assert_eq!(found(&[("a", 3), ("a", 3), ("b", 1)]), ["\"a\" was counted 3 times, and then 3"]);
        assert_eq!(found(&[("a", 3), ("b", 1), ("c", 1)]), ["\"c\" was counted and is not there"]);
    }
}
