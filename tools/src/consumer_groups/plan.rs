//! Which partitions, and the CSV of `--export` and `--from-file`.

use super::{Done, Failure};
use crate::client::TopicPartition;
use std::collections::BTreeMap;

/// New offsets by group.
pub type Plan = BTreeMap<String, BTreeMap<TopicPartition, i64>>;

/// The partitions of `topic:0,1`.
pub fn partitions_of(text: &str) -> Done<Vec<TopicPartition>> {
    let parts: Vec<&str> = text.split(':').collect();
    let &[topic, partitions] = parts.as_slice() else {
        return Err(Failure::Usage(format!(
            "Invalid topic arg '{text}', expected topic name and partitions"
        )));
    };
    let mut places = Vec::new();
    for partition in partitions.split(',') {
        let number = partition.parse().map_err(|_| {
            Failure::Usage(format!("Invalid partition '{partition}' specified in topic arg '{text}''"))
        })?;
        places.push(TopicPartition::new(topic, number));
    }
    Ok(places)
}

/// A plan as CSV: `topic,partition,offset`, with the group first where `with_group`.
pub fn to_csv(plan: &Plan, with_group: bool) -> String {
    let mut text = String::new();
    for (group, offsets) in plan {
        for (place, offset) in offsets {
            if with_group {
                text.push_str(&quoted(group));
                text.push(',');
            }
            text.push_str(&format!("{},{},{offset}\n", quoted(&place.topic), place.partition));
        }
    }
    text
}

/// Quotes what could be misread, as Jackson's CSV does.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r', ' ']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

/// A plan from CSV. Without a group in its lines it is for `group`.
pub fn from_csv(text: &str, group: Option<&str>) -> Result<Plan, String> {
    let mut plan = Plan::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let cells = cells(line);
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let (group, topic, partition, offset) = match (cells.as_slice(), group) {
            (&[topic, partition, offset], Some(group)) => (group, topic, partition, offset),
            (&[group, topic, partition, offset], _) => (group, topic, partition, offset),
            _ => return Err(format!("not a line of a reset plan: {line}")),
        };
        let number =
            |text: &str| text.trim().parse::<i64>().map_err(|_| format!("not a number: {text} in {line}"));
        let partition = i32::try_from(number(partition)?)
            .map_err(|_| format!("not a partition: {partition} in {line}"))?;
        let offsets = plan.entry(group.to_owned()).or_default();
        offsets.insert(TopicPartition::new(topic, partition), number(offset)?);
    }
    Ok(plan)
}

fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.trim_end_matches('\r').chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => last(&mut cells).push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            letter => last(&mut cells).push(letter),
        }
    }
    cells
}

fn last(cells: &mut [String]) -> &mut String {
    cells.last_mut().expect("there is always one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let offsets = [(TopicPartition::new("t", 0), 5), (TopicPartition::new("a,\"b", 1), 6)];
        Plan::from([("g".into(), BTreeMap::from(offsets))])
    }

    #[test]
    fn a_plan_survives_its_csv_with_and_without_groups() {
        let csv = to_csv(&plan(), false);
        assert_eq!(csv, "\"a,\"\"b\",1,6\nt,0,5\n");
        assert_eq!(from_csv(&csv, Some("g")), Ok(plan()));
        let csv = to_csv(&plan(), true);
        assert!(csv.ends_with("g,t,0,5\n"), "{csv}");
        assert_eq!(from_csv(&csv, None), Ok(plan()));
    }

    #[test]
    fn a_line_that_is_none_is_told() {
        for csv in ["t,0", "t,x,1", "t,0,1"] {
            assert!(from_csv(csv, None).is_err(), "{csv}");
        }
    }

    #[test]
    fn partitions_are_named_behind_their_topic() {
        let places = partitions_of("t:0,2").unwrap_or_default();
        assert_eq!(places, [TopicPartition::new("t", 0), TopicPartition::new("t", 2)]);
        for text in ["t:", "t:x", "t:0:1"] {
            assert!(matches!(partitions_of(text), Err(Failure::Usage(_))), "{text}");
        }
    }
}
