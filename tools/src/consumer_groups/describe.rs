//! `--describe`.

use super::{Done, meant, print_error};
use crate::{
    args::Command,
    client::{
        Cluster, TopicPartition, admin,
        groups::{self, Committed, DescribedGroup, DescribedMember},
        member_data::Assignment,
        offsets,
    },
    console::{Console, Outcome, Stop},
    java::joined,
    say,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// What stands where there is nothing.
const MISSING: &str = "-";

pub fn describe(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Done {
    let mut described = BTreeMap::new();
    for group in meant(command, cluster)? {
        let found = groups::describe_group(cluster, &group)
            .map_err(|error| Stop::Failed(format!("{}: {error}", error.class())))?;
        described.insert(group, found);
    }
    let is_verbose = command.has("verbose");
    for group in described.values() {
        if command.has("members") {
            print_members(group, is_verbose, console)?;
        } else if command.has("state") {
            print_state(group, is_verbose, console)?;
        } else {
            let rows = rows(cluster, group)?;
            print_offsets(group, &rows, is_verbose, console)?;
        }
    }
    Ok(())
}

/// Says what is to be said of a group's state; whether there is more to print, of `rows` rows.
fn print_what_state_means(group: &DescribedGroup, rows: usize, console: &mut Console) -> Outcome<bool> {
    let id = &group.id;
    match group.state.as_str() {
        "Dead" => {
            print_error(console, &format!("Consumer group '{id}' does not exist."))?;
            return Ok(false);
        }
        "Empty" => console.complain(&format!("\nConsumer group '{id}' has no active members."))?,
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            console.complain(&format!("\nWarning: Consumer group '{id}' is rebalancing."))?;
        }
        "Stable" => (),
        state => {
            return Err(Stop::failed(format!("Expected a valid consumer group state, but found '{state}'.")));
        }
    }
    Ok(rows > 0)
}

/// One partition of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    topic: String,
    partition: i32,
    committed: Option<Committed>,
    end: Option<i64>,
    consumer: Option<(String, String, String)>,
}

/// Members with the most partitions first, then what nobody reads.
fn rows(cluster: &mut Cluster, group: &DescribedGroup) -> Done<Vec<Row>> {
    let committed = groups::committed(cluster, &group.id)?;
    let mut members: Vec<&DescribedMember> =
        group.members.iter().filter(|member| count(&member.assignment) > 0).collect();
    members.sort_by_key(|member| Reverse(count(&member.assignment)));
    let mut assigned = BTreeSet::new();
    let mut places: Vec<(TopicPartition, Option<&DescribedMember>)> = Vec::new();
    for member in members {
        let mut own = partitions(&member.assignment);
        own.sort();
        assigned.extend(own.iter().cloned());
        places.extend(own.into_iter().map(|place| (place, Some(member))));
    }
    places.extend(
        committed.keys().filter(|place| !assigned.contains(place)).map(|place| (place.clone(), None)),
    );
    let ends = ends(cluster, places.iter().map(|(place, _)| place))?;
    let row = |(place, member): (TopicPartition, Option<&DescribedMember>)| Row {
        committed: committed.get(&place).cloned(),
        end: ends.get(&place).copied(),
        consumer: member.map(|member| (member.id.clone(), member.host.clone(), member.client_id.clone())),
        topic: place.topic,
        partition: place.partition,
    };
    Ok(places.into_iter().map(row).collect())
}

/// Where partitions end, those that have a leader.
fn ends<'a>(
    cluster: &mut Cluster,
    places: impl Iterator<Item = &'a TopicPartition>,
) -> Done<BTreeMap<TopicPartition, i64>> {
    let places: BTreeSet<TopicPartition> = places.cloned().collect();
    let names: BTreeSet<&String> = places.iter().map(|place| &place.topic).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let topics = admin::describe_topics(cluster, &names, 2000)?;
    let has_leader = |place: &TopicPartition| {
        let topic = topics.iter().find(|topic| topic.name == place.topic);
        let mut partitions = topic.into_iter().flat_map(|topic| &topic.partitions);
        partitions.any(|partition| partition.index == place.partition && partition.leader.is_some())
    };
    let led = places.into_iter().filter(|place| has_leader(place));
    let found = offsets::offsets_at(cluster, led.collect::<Vec<_>>(), offsets::LATEST)?;
    Ok(found.into_iter().map(|(place, found)| (place, found.offset)).collect())
}

fn count(assignment: &Assignment) -> usize {
    assignment.values().map(Vec::len).sum()
}

fn partitions(assignment: &Assignment) -> Vec<TopicPartition> {
    let pairs =
        assignment.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |it| (topic, *it)));
    pairs.map(|(topic, partition)| TopicPartition::new(topic.as_str(), partition)).collect()
}

fn width<'a>(least: usize, cells: impl Iterator<Item = &'a str>) -> usize {
    cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(least)
}

fn or_missing<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| MISSING.into(), |value| value.to_string())
}

fn print_offsets(group: &DescribedGroup, rows: &[Row], is_verbose: bool, console: &mut Console) -> Outcome {
    if !print_what_state_means(group, rows.len(), console)? {
        return Ok(());
    }
    let consumers = || rows.iter().filter_map(|row| row.consumer.as_ref());
    let group_width = width(15, [group.id.as_str()].into_iter());
    let topic_width = width(15, rows.iter().map(|row| row.topic.as_str()));
    let id_width = width(15, consumers().map(|(id, ..)| id.as_str()));
    let host_width = width(15, consumers().map(|(_, host, _)| host.as_str()));
    let mut print = |cells: [&str; 10]| -> Outcome {
        let [group, topic, partition, epoch, current, end, lag, id, host, client] = cells;
        let epoch = if is_verbose { format!("{epoch:15} ") } else { String::new() };
        write!(
            console.out,
            "\n{group:group_width$} {topic:topic_width$} {partition:10} {epoch}{current:15} {end:15} {lag:15} {id:id_width$} \
             {host:host_width$} {client}"
        )?;
        Ok(())
    };
    print([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ])?;
    for row in rows {
        let offset = row.committed.as_ref().map(|committed| committed.offset);
        let lag = offset.filter(|offset| *offset != -1).and_then(|offset| Some(row.end? - offset));
        let missing = (MISSING.to_owned(), MISSING.to_owned(), MISSING.to_owned());
        let (id, host, client) = row.consumer.as_ref().unwrap_or(&missing);
        print([
            &group.id,
            &row.topic,
            &row.partition.to_string(),
            &or_missing(row.committed.as_ref().and_then(|committed| committed.epoch)),
            &or_missing(offset),
            &or_missing(row.end),
            &or_missing(lag),
            id,
            host,
            client,
        ])?;
    }
    say!(console, "");
    Ok(())
}

fn print_state(group: &DescribedGroup, is_verbose: bool, console: &mut Console) -> Outcome {
    if !print_what_state_means(group, 1, console)? {
        return Ok(());
    }
    let (id, host, port) = &group.coordinator;
    let coordinator = format!("{host}:{port}  ({id})");
    let (group_width, coordinator_width) =
        (width(15, [group.id.as_str()].into_iter()), width(25, [&*coordinator].into_iter()));
    let strategy = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    let mut print = |cells: [&str; 7]| -> Outcome {
        let [group, coordinator, strategy, state, epoch, target, members] = cells;
        let epochs = if is_verbose { format!("{epoch:15} {target:25} ") } else { String::new() };
        write!(
            console.out,
            "\n{group:group_width$} {coordinator:coordinator_width$} {strategy:20} {state:20} {epochs}{members}"
        )?;
        Ok(())
    };
    let header = [
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ];
    print(header)?;
    print([
        &group.id,
        &coordinator,
        strategy,
        &group.state,
        &or_missing(group.epoch),
        &or_missing(group.assignment_epoch),
        &group.members.len().to_string(),
    ])?;
    say!(console, "");
    Ok(())
}

/// `topic:0,1;other:2`, or what stands for nothing.
fn assignment_text(assignment: Option<&Assignment>) -> String {
    let topics = assignment.into_iter().flatten().filter(|(_, partitions)| !partitions.is_empty());
    let mut texts: Vec<String> = topics
        .map(|(topic, partitions)| {
            let mut sorted = partitions.clone();
            sorted.sort_unstable();
            format!("{topic}:{}", joined(sorted))
        })
        .collect();
    texts.sort();
    if texts.is_empty() { MISSING.into() } else { texts.join(";") }
}

fn print_members(group: &DescribedGroup, is_verbose: bool, console: &mut Console) -> Outcome {
    print_what_state_means(group, group.members.len(), console)?;
    let members = &group.members;
    let current: Vec<String> =
        members.iter().map(|member| assignment_text(Some(&member.assignment))).collect();
    let target: Vec<String> = members.iter().map(|member| assignment_text(member.target.as_ref())).collect();
    let instance = |member: &DescribedMember| member.instance.clone().unwrap_or_default();
    let has_instances = members.iter().any(|member| !instance(member).is_empty());
    let is_migrating =
        [true, false].iter().all(|kind| members.iter().any(|member| member.is_upgraded == Some(*kind)));
    // Rows are measured only where the state lets them be printed.
    let measured = if group.state == "Dead" { &[][..] } else { members };
    let group_width = width(15, measured.iter().map(|_| group.id.as_str()));
    let id_width = width(15, measured.iter().map(|member| member.id.as_str()));
    let instances: Vec<String> = measured.iter().map(instance).collect();
    let instance_width = width(17, instances.iter().map(String::as_str));
    let host_width = width(15, measured.iter().map(|member| member.host.as_str()));
    let client_width = width(15, measured.iter().map(|member| member.client_id.as_str()));
    let current_width = width(20, current.iter().map(String::as_str));
    let target_width = width(20, target.iter().map(String::as_str));
    say!(console, "");
    let mut print = |cells: [&str; 11]| -> Outcome {
        let [group, id, instance, host, client, count, epoch, current, target_epoch, target, upgraded] =
            cells;
        let instance = if has_instances { format!("{instance:instance_width$} ") } else { String::new() };
        write!(
            console.out,
            "{group:group_width$} {id:id_width$} {instance}{host:host_width$} {client:client_width$} {count:15} "
        )?;
        if is_verbose {
            write!(
                console.out,
                "{epoch:15} {current:current_width$} {target_epoch:15} {target:target_width$}"
            )?;
            if is_migrating {
                write!(console.out, " {upgraded}")?;
            }
        }
        writeln!(console.out)?;
        Ok(())
    };
    print([
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "CURRENT-EPOCH",
        "CURRENT-ASSIGNMENT",
        "TARGET-EPOCH",
        "TARGET-ASSIGNMENT",
        "UPGRADED",
    ])?;
    for ((member, current), target) in members.iter().zip(&current).zip(&target) {
        print([
            &group.id,
            &member.id,
            &instance(member),
            &member.host,
            &member.client_id,
            &count(&member.assignment).to_string(),
            &or_missing(member.epoch),
            current,
            &or_missing(group.assignment_epoch),
            target,
            &or_missing(member.is_upgraded),
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(state: &str) -> DescribedGroup {
        DescribedGroup {
            id: "g".into(),
            state: state.into(),
            assignor: String::new(),
            coordinator: (1, "localhost".into(), 9092),
            epoch: None,
            assignment_epoch: None,
            members: vec![],
        }
    }

    fn printed(print: impl FnOnce(&mut Console)) -> String {
        let (console, out) = crate::console::testing();
        let mut console = console;
        print(&mut console);
        out.text()
    }

    #[test]
    fn offsets_have_kafkas_columns() {
        let row = Row {
            topic: "t".into(),
            partition: 0,
            committed: Some(Committed { offset: 3, epoch: None }),
            end: Some(10),
            consumer: None,
        };
        let text =
            printed(|console| print_offsets(&group("Stable"), &[row], false, console).expect("memory"));
        let expected = format!(
            "\n{:15} {:15} {:10} {:15} {:15} {:15} {:15} {:15} CLIENT-ID\n{:15} {:15} {:10} {:15} {:15} {:15} {:15} {:15} -\n",
            "GROUP",
            "TOPIC",
            "PARTITION",
            "CURRENT-OFFSET",
            "LOG-END-OFFSET",
            "LAG",
            "CONSUMER-ID",
            "HOST",
            "g",
            "t",
            "0",
            "3",
            "10",
            "7",
            "-",
            "-"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_dead_group_does_not_exist() {
        let text = printed(|console| {
            print_offsets(&group("Dead"), &[Row::default()], false, console).expect("memory")
        });
        assert_eq!(text, "\nError: Consumer group 'g' does not exist.\n");
    }

    #[test]
    fn an_assignment_is_sorted() {
        let assignment =
            Assignment::from([("b".into(), vec![2, 0]), ("a".into(), vec![1]), ("c".into(), vec![])]);
        assert_eq!(assignment_text(Some(&assignment)), "a:1;b:0,2");
        assert_eq!(assignment_text(None), "-");
    }
}
