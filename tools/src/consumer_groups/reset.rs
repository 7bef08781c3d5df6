//! `--reset-offsets`.

use super::{Done, Failure, SCENARIOS, meant, plan, plan::Plan, print_error};
use crate::{
    args::Command,
    client::{
        ClientError, Cluster, TopicPartition, admin,
        groups::{self, Committer},
        offsets::{self, EARLIEST, LATEST},
    },
    console::{Console, Outcome, Stop},
    java, log, say,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

type Offsets = BTreeMap<TopicPartition, i64>;

pub fn reset(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Done {
    let groups = meant(command, cluster)?;
    let mut plan = Plan::new();
    for group in groups {
        let state = match groups::describe_group(cluster, &group) {
            Ok(found) => found.state,
            // GROUP_ID_NOT_FOUND: it comes into being by its offsets.
            Err(ClientError::Broker { code: 69, .. }) => "Dead".into(),
            Err(error) => return Err(error.into()),
        };
        let offsets = match state.as_str() {
            "Empty" | "Dead" => reset_group(command, cluster, console, &group)?,
            state => {
                let message = format!(
                    "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
                );
                print_error(console, &message)?;
                Offsets::new()
            }
        };
        plan.insert(group, offsets);
    }
    if command.has("export") {
        say!(console, "{}", plan::to_csv(&plan, command.values("group").len() != 1));
        return Ok(());
    }
    Ok(print(&plan, console)?)
}

fn reset_group(
    command: &Command,
    cluster: &mut Cluster,
    console: &mut Console,
    group: &str,
) -> Done<Offsets> {
    let places = places(command, cluster, group)?;
    ensure_led(cluster, &places)?;
    let offsets = new_offsets(command, cluster, console, group, &places)?;
    if command.has("execute") && !offsets.is_empty() {
        groups::commit(cluster, group, &Committer::nobody(), &offsets)?;
    }
    Ok(offsets)
}

fn places(command: &Command, cluster: &mut Cluster, group: &str) -> Done<BTreeSet<TopicPartition>> {
    if command.has("all-topics") {
        return Ok(groups::committed(cluster, group)?.into_keys().collect());
    }
    if !command.has("topic") {
        if command.has("from-file") {
            return Ok(BTreeSet::new());
        }
        let message = "One of the reset scopes should be defined: --all-topics, --topic.";
        return Err(Failure::Usage(message.into()));
    }
    let mut places = BTreeSet::new();
    let mut whole = Vec::new();
    for topic in command.values("topic") {
        match topic.contains(':') {
            true => places.extend(plan::partitions_of(topic)?),
            false => whole.push(topic.to_owned()),
        }
    }
    for topic in admin::describe_topics(cluster, &whole, 2000)? {
        places.extend(topic.partitions.iter().map(|it| TopicPartition::new(topic.name.as_str(), it.index)));
    }
    Ok(places)
}

/// All of them are there and have a leader.
fn ensure_led(cluster: &mut Cluster, places: &BTreeSet<TopicPartition>) -> Done {
    let names: BTreeSet<&String> = places.iter().map(|place| &place.topic).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let mut leaders = BTreeMap::new();
    for topic in admin::describe_topics(cluster, &names, 2000)? {
        for partition in topic.partitions {
            leaders.insert(TopicPartition::new(topic.name.as_str(), partition.index), partition.leader);
        }
    }
    let missing = places.iter().filter(|place| !leaders.contains_key(place));
    let missing = java::joined(missing);
    if !missing.is_empty() {
        return Err(Stop::Failed(format!("The partitions \"{missing}\" do not exist")).into());
    }
    let leaderless = java::joined(places.iter().filter(|place| leaders.get(place) == Some(&None)));
    if !leaderless.is_empty() {
        return Err(Stop::Failed(format!("The partitions \"{leaderless}\" have no leader")).into());
    }
    Ok(())
}

fn new_offsets(
    command: &Command,
    cluster: &mut Cluster,
    console: &mut Console,
    group: &str,
    places: &BTreeSet<TopicPartition>,
) -> Done<Offsets> {
    if let Some(offset) = command.long("to-offset")? {
        let wanted = places.iter().map(|place| (place.clone(), offset)).collect();
        return within_logs(cluster, wanted);
    }
    if command.has("to-earliest") {
        return at(cluster, places, EARLIEST);
    }
    if command.has("to-latest") {
        return at(cluster, places, LATEST);
    }
    if let Some(shift) = command.long("shift-by")? {
        let committed = groups::committed(cluster, group)?;
        let mut wanted = Offsets::new();
        for place in places {
            let current = committed.get(place).ok_or_else(|| {
                Failure::Usage(format!(
                    "Cannot shift offset for partition {place} since there is no current committed offset"
                ))
            })?;
            wanted.insert(place.clone(), current.offset.saturating_add(shift));
        }
        return within_logs(cluster, wanted);
    }
    if let Some(text) = command.value("to-datetime")? {
        let time = date_time(text).map_err(Stop::Failed)?;
        return at_time(cluster, console, places, time);
    }
    if let Some(text) = command.value("by-duration")? {
        let unparsable = || Stop::failed("Text cannot be parsed to a Duration");
        let then =
            SystemTime::now().checked_sub(java::duration(text).ok_or_else(unparsable)?).unwrap_or(UNIX_EPOCH);
        let time = i64::try_from(then.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis())
            .unwrap_or(i64::MAX);
        return at_time(cluster, console, places, time);
    }
    if let Some(path) = command.value("from-file")? {
        return from_file(command, cluster, console, group, path);
    }
    if command.has("to-current") {
        return to_current(cluster, group, places);
    }
    let scenarios: Vec<String> = SCENARIOS.iter().map(|scenario| format!("[{scenario}]")).collect();
    let message = format!(
        "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
        scenarios.join(", ")
    );
    Err(Failure::Usage(message))
}

fn at(cluster: &mut Cluster, places: &BTreeSet<TopicPartition>, time: i64) -> Done<Offsets> {
    let found = offsets::offsets_at(cluster, places.iter().cloned(), time)?;
    Ok(found.into_iter().map(|(place, found)| (place, found.offset)).collect())
}

/// The first records from a time on; the end where there is none.
fn at_time(
    cluster: &mut Cluster,
    console: &mut Console,
    places: &BTreeSet<TopicPartition>,
    time: i64,
) -> Done<Offsets> {
    let mut found = at(cluster, places, time)?;
    let younger: BTreeSet<TopicPartition> =
        found.iter().filter(|(_, offset)| **offset < 0).map(|(place, _)| place.clone()).collect();
    for TopicPartition { topic, partition } in &younger {
        say!(
            console,
            "\nWarn: Partition {partition} from topic {topic} is empty. Falling back to latest known offset."
        );
    }
    found.extend(at(cluster, &younger, LATEST)?);
    Ok(found)
}

fn to_current(cluster: &mut Cluster, group: &str, places: &BTreeSet<TopicPartition>) -> Done<Offsets> {
    let committed = groups::committed(cluster, group)?;
    let (known, unknown): (BTreeSet<_>, BTreeSet<_>) =
        places.iter().cloned().partition(|place| committed.contains_key(place));
    let mut found = at(cluster, &unknown, LATEST)?;
    found.extend(known.into_iter().filter_map(|place| {
        let offset = committed.get(&place)?.offset;
        Some((place, offset))
    }));
    Ok(found)
}

fn from_file(
    command: &Command,
    cluster: &mut Cluster,
    console: &mut Console,
    group: &str,
    path: &str,
) -> Done<Offsets> {
    let text = std::fs::read_to_string(path).map_err(|error| Stop::Failed(format!("{path}: {error}")))?;
    let only = match command.values("group")[..] {
        [only] => Some(only),
        _ => None,
    };
    let mut plan = plan::from_csv(&text, only).map_err(Stop::Failed)?;
    match plan.remove(group) {
        Some(wanted) => within_logs(cluster, wanted),
        None => {
            print_error(console, &format!("No reset plan for group {group} found"))?;
            Ok(Offsets::new())
        }
    }
}

/// Offsets outside of a log become its beginning or end.
fn within_logs(cluster: &mut Cluster, mut wanted: Offsets) -> Done<Offsets> {
    let places: BTreeSet<TopicPartition> = wanted.keys().cloned().collect();
    let (starts, ends) = (at(cluster, &places, EARLIEST)?, at(cluster, &places, LATEST)?);
    for (place, offset) in &mut wanted {
        let (start, end) =
            (starts.get(place).copied().unwrap_or(0), ends.get(place).copied().unwrap_or(i64::MAX));
        let told = |which: &str, limit: i64| {
            log::warn(&format!(
                "New offset ({offset}) is {which} offset for topic partition {place}. Value will be set to {limit}"
            ));
        };
        if *offset > end {
            told("higher than latest", end);
            *offset = end;
        } else if *offset < start {
            told("lower than earliest", start);
            *offset = start;
        }
    }
    Ok(wanted)
}

/// Kafka's sentence, with the exception that its tool shows it as the cause of.
const NO_TIME: &str = "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format";

/// Unix milliseconds of `YYYY-MM-DDTHH:mm:SS[.sss]`, with a zone behind it or in UTC (`Utils.getDateTime`).
fn date_time(text: &str) -> Result<i64, String> {
    let unparsable = || format!("java.text.ParseException: Unparseable date: \"{text}\"");
    let (date, time) = text.split_once('T').ok_or(NO_TIME)?;
    let text = match time.contains(['Z', '+', '-']) {
        true => format!("{date}T{time}"),
        false => format!("{date}T{time}Z"),
    };
    let formats = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
    let parsed = formats
        .iter()
        .find_map(|format| chrono::DateTime::parse_from_str(&text.replace('Z', "+0000"), format).ok());
    parsed.map(|time| time.timestamp_millis()).ok_or_else(unparsable)
}

fn print(plan: &Plan, console: &mut Console) -> Outcome {
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(15);
    let group_width = width(&mut plan.keys().map(|group| group.chars().count()));
    let topic_width =
        width(&mut plan.values().flat_map(BTreeMap::keys).map(|place| place.topic.chars().count()));
    if !plan.is_empty() {
        let header =
            format!("\n{:group_width$} {:topic_width$} {:10} NEW-OFFSET", "GROUP", "TOPIC", "PARTITION");
        console.out.write_all(header.as_bytes())?;
    }
    for (group, offsets) in plan {
        for (TopicPartition { topic, partition }, offset) in offsets {
            write!(console.out, "\n{group:group_width$} {topic:topic_width$} {partition:<10} {offset}")?;
        }
    }
    say!(console, "");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_in_utc() {
        assert_eq!(date_time("2024-01-02T03:04:05.678"), Ok(1_704_164_645_678));
        assert_eq!(date_time("2024-01-02T03:04:05.678Z"), Ok(1_704_164_645_678));
        assert_eq!(date_time("2024-01-02T05:04:05.678+02:00"), Ok(1_704_164_645_678));
        assert_eq!(date_time("2024-01-02T05:04:05+0200"), Ok(1_704_164_645_000));
        assert_eq!(date_time("2024-01-02T03:04"), Ok(1_704_164_640_000));
        assert!(date_time("2024-01-02").is_err() && date_time("yesterdayTnoon").is_err());
    }

    #[test]
    fn the_plan_is_printed_in_kafkas_columns() {
        let offsets = BTreeMap::from([(TopicPartition::new("t", 12), 5)]);
        let (mut console, out) = crate::console::testing();
        print(&Plan::from([("g".into(), offsets)]), &mut console).expect("memory");
        let expected = format!(
            "\n{:15} {:15} {:10} NEW-OFFSET\n{:15} {:15} {:10} 5\n",
            "GROUP", "TOPIC", "PARTITION", "g", "t", "12"
        );
        assert_eq!(out.text(), expected);
    }
}
