//! What members of a classic group tell each other through their coordinator: subscriptions and assignments
//! (`ConsumerProtocolSubscription`, `ConsumerProtocolAssignment`). These bytes come from other clients, of whom nothing is
//! known, so every count is checked against the bytes that are there.

use std::collections::BTreeMap;

/// Partitions by topic.
pub type Assignment = BTreeMap<String, Vec<i32>>;

/// A subscription, in the oldest form, which all understand; with what the member had as of a generation where the eager
/// `StickyAssignor` is to give it that again.
pub fn encode_subscription(topics: &[String], had: Option<(&Assignment, i32)>) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0_i16.to_be_bytes());
    put_count(&mut out, topics.len());
    topics.iter().for_each(|topic| put_string(&mut out, topic));
    let Some((assignment, generation)) = had else {
        out.extend((-1_i32).to_be_bytes());
        return out;
    };
    let mut data = Vec::new();
    put_partitions(&mut data, assignment);
    data.extend(generation.to_be_bytes());
    put_count(&mut out, data.len());
    out.extend(data);
    out
}

/// What a member had, and as of which generation, from the user data of the eager `StickyAssignor`. Members of before leave
/// the generation away; what cannot be read is nothing.
fn decode_had(data: &[u8]) -> (Assignment, i32) {
    let mut rest = data;
    let Some(assignment) = take_partitions(&mut rest) else { return (Assignment::new(), -1) };
    (assignment, take_i32(&mut rest).unwrap_or(-1))
}

/// A subscription that says what the member owns as of a generation: version 2. The generation stands in the user data too,
/// where members of before look for it.
pub fn encode_owned(topics: &[String], owned: &Assignment, generation: i32) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(2_i16.to_be_bytes());
    put_count(&mut out, topics.len());
    topics.iter().for_each(|topic| put_string(&mut out, topic));
    put_count(&mut out, size_of::<i32>());
    out.extend(generation.to_be_bytes());
    put_partitions(&mut out, owned);
    out.extend(generation.to_be_bytes());
    out
}

/// What a member wants, and what it says it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// By name.
    pub topics: Vec<String>,
    /// What it owns.
    pub owned: Assignment,
    /// As of which generation; -1 where that is not known.
    pub generation: i32,
    /// What its assignor says besides.
    data: Vec<u8>,
}

impl Default for Subscription {
    fn default() -> Subscription {
        Subscription { topics: Vec::new(), owned: Assignment::new(), generation: -1, data: Vec::new() }
    }
}

impl Subscription {
    /// What it had, and as of which generation, in the words of the eager `StickyAssignor`.
    pub fn had(&self) -> (Assignment, i32) {
        decode_had(&self.data)
    }
}

/// A subscription of any version.
pub fn decode_subscription(bytes: &[u8]) -> Option<Subscription> {
    let mut rest = bytes;
    let version = take_i16(&mut rest)?;
    let count = take_count(&mut rest, 2)?;
    let topics: Option<Vec<String>> = (0..count).map(|_| take_string(&mut rest)).collect();
    let mut read = Subscription { topics: topics?, ..Subscription::default() };
    let length = usize::try_from(take_i32(&mut rest)?).unwrap_or(0);
    let (data, behind) = rest.split_at_checked(length)?;
    rest = behind;
    read.data = data.to_vec();
    if version < 1 {
        return Some(read);
    }
    read.owned = take_partitions(&mut rest)?;
    read.generation = match (version, <[u8; 4]>::try_from(data)) {
        (2.., _) => take_i32(&mut rest)?,
        (_, Ok(generation)) => i32::from_be_bytes(generation),
        _ => -1,
    };
    Some(read)
}

/// Whether the second has a partition that the first has not.
pub fn is_less(one: &Assignment, other: &Assignment) -> bool {
    other.iter().any(|(topic, partitions)| {
        let has = |partition| one.get(topic).is_some_and(|of_topic| of_topic.contains(partition));
        !partitions.iter().all(has)
    })
}

/// An assignment.
pub fn encode_assignment(assignment: &Assignment) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0_i16.to_be_bytes());
    put_partitions(&mut out, assignment);
    out.extend((-1_i32).to_be_bytes());
    out
}

/// An assignment of any version; of no bytes, which a member has while its group rebalances, the empty one.
pub fn decode_assignment(bytes: &[u8]) -> Option<Assignment> {
    if bytes.is_empty() {
        return Some(Assignment::new());
    }
    let mut rest = bytes;
    take_i16(&mut rest)?;
    take_partitions(&mut rest)
}

fn put_partitions(out: &mut Vec<u8>, partitions: &Assignment) {
    put_count(out, partitions.len());
    for (topic, of_topic) in partitions {
        put_string(out, topic);
        put_count(out, of_topic.len());
        of_topic.iter().for_each(|partition| out.extend(partition.to_be_bytes()));
    }
}

fn take_partitions(rest: &mut &[u8]) -> Option<Assignment> {
    let count = take_count(rest, 6)?;
    let mut assignment = Assignment::new();
    for _ in 0..count {
        let topic = take_string(rest)?;
        let partitions = take_count(rest, 4)?;
        let partitions: Option<Vec<i32>> = (0..partitions).map(|_| take_i32(rest)).collect();
        assignment.entry(topic).or_default().extend(partitions?);
    }
    Some(assignment)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend(i32::try_from(count).unwrap_or(i32::MAX).to_be_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    // Topics have at most 249 characters.
    out.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    out.extend(text.as_bytes());
}

fn take_i16(rest: &mut &[u8]) -> Option<i16> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(i16::from_be_bytes(*first))
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(i32::from_be_bytes(*first))
}

/// A count of elements of at least `least` bytes each.
fn take_count(rest: &mut &[u8], least: usize) -> Option<usize> {
    let count = usize::try_from(take_i32(rest)?).ok()?;
    (count <= rest.len() / least).then_some(count)
}

fn take_string(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take_i16(rest)?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let topics = vec!["a".to_owned(), "b".to_owned()];
        let plain = Subscription { topics: topics.clone(), ..Subscription::default() };
        assert_eq!(decode_subscription(&encode_subscription(&topics, None)), Some(plain));
        let assignment = Assignment::from([("a".into(), vec![0, 2]), ("b".into(), vec![])]);
        let had = decode_subscription(&encode_subscription(&topics, Some((&assignment, 5))));
        assert_eq!(had.expect("well formed").had(), (assignment.clone(), 5));
        let data = 7_i32.to_be_bytes().to_vec();
        let owned = Subscription { topics: topics.clone(), owned: assignment.clone(), generation: 7, data };
        let mut bytes = encode_owned(&topics, &assignment, 7);
        assert_eq!(decode_subscription(&bytes), Some(owned.clone()));
        // Version 1 has the generation in the user data only.
        bytes[1] = 1;
        assert_eq!(decode_subscription(&bytes[..bytes.len() - 4]), Some(owned));
        assert_eq!(decode_assignment(&encode_assignment(&assignment)), Some(assignment));
        assert_eq!(decode_assignment(&[]), Some(Assignment::new()));
    }

    #[test]
    fn what_a_member_had_may_have_no_generation_and_may_be_nonsense() {
        let assignment = Assignment::from([("a".into(), vec![0, 2])]);
        let mut data = Vec::new();
        put_partitions(&mut data, &assignment);
        assert_eq!(decode_had(&data), (assignment, -1));
        assert_eq!(decode_had(&data[..data.len() - 1]), (Assignment::new(), -1));
        assert_eq!(decode_had(&[]), (Assignment::new(), -1));
    }

    #[test]
    fn less_is_what_lacks_a_partition() {
        let with = |partitions: &[i32]| Assignment::from([("a".into(), partitions.to_vec())]);
        assert!(is_less(&with(&[1]), &with(&[0, 1])) && is_less(&Assignment::new(), &with(&[0])));
        assert!(!is_less(&with(&[0, 1, 2]), &with(&[0, 1])) && !is_less(&with(&[0]), &Assignment::new()));
    }

    #[test]
    fn counts_that_the_bytes_cannot_hold_are_refused() {
        for count in [i32::MAX, -1, 1] {
            let bytes = [&0_i16.to_be_bytes()[..], &count.to_be_bytes()].concat();
            assert_eq!(decode_subscription(&bytes), None, "{count}");
            assert_eq!(decode_assignment(&bytes), None, "{count}");
        }
        let cut = &encode_assignment(&Assignment::from([("a".into(), vec![1, 2, 3])]))[..15];
        assert_eq!(decode_assignment(cut), None);
    }
}
