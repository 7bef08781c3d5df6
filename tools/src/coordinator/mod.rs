//! What coordinators keep in their topics (`__consumer_offsets`, `__transaction_state`, `__share_group_state`), as JSON: every type and version of
//! record that Apache Kafka 4.3 has, also those that only other brokers write.
//!
//! [`schema`] reads bytes by a description of their fields; [`groups`], [`transactions`] and [`share`] are such descriptions, from the
//! message definitions of Kafka's coordinators. The bytes come from logs, of whose writers nothing is known: every length is
//! held against what is left.

mod groups;
mod json;
mod members;
pub mod schema;
mod share;
mod transactions;

pub use json::Json;
use schema::{Fields, Reader};

/// Whose records they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinator {
    /// Of groups and their offsets.
    Groups,
    /// Of transactions.
    Transactions,
    /// Of how far share groups are.
    Share,
}

/// One type of record: the number that its key begins with, and what stands behind it and in the value.
struct Type {
    number: i16,
    key: Fields,
    value: Fields,
    /// The highest version of the value.
    latest: i16,
    /// From which version on values have compact lengths and tagged fields (KIP-482).
    flexible: i16,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of its type.
    pub kind: i16,
    /// What its key says.
    pub key: Json,
    /// The version of its value, and what that says; `None` deletes what the key names.
    pub value: Option<(i16, Json)>,
}

/// Why a record cannot be read, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A type that Kafka does not have (yet).
    #[error("Found an unknown record type {0}")]
    Type(i16),
    /// A version of a value that Kafka does not have (yet).
    #[error("Found an unknown record version {version} for {kind} type")]
    Version {
        /// The record's type.
        kind: i16,
        /// The value's version.
        version: i16,
    },
    /// There is not even a version.
    #[error("Could not read version from {0}'s buffer.")]
    Empty(&'static str),
    /// The bytes are not what the version says.
    #[error("Could not read record with version {version} from {part}'s buffer due to: {reason}.")]
    Content {
        /// The value's version, or the type where it is the key.
        version: i16,
        /// `key` or `value`.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Coordinator {
    fn types(self) -> &'static [Type] {
        match self {
            Coordinator::Groups => groups::TYPES,
            Coordinator::Transactions => transactions::TYPES,
            Coordinator::Share => share::TYPES,
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn read(self, key: &[u8], value: Option<&[u8]>) -> Result<Entry, Fault> {
        let (number, key) = begin(key, "key")?;
        let of_number = |kind: &&Type| kind.number == number;
        let kind = self.types().iter().find(of_number).ok_or(Fault::Type(number))?;
        let content = |version, part| move |reason| Fault::Content { version, part, reason };
        // Keys have no versions.
        let key = Reader::new(key, 0, false).fields(kind.key).map_err(content(number, "key"))?;
        let Some(value) = value else { return Ok(Entry { kind: number, key, value: None }) };
        let (version, value) = begin(value, "value")?;
        if !(0..=kind.latest).contains(&version) {
            return Err(Fault::Version { kind: number, version });
        }
        let mut reader = Reader::new(value, version, version >= kind.flexible);
        let value = reader.fields(kind.value).map_err(content(version, "value"))?;
        Ok(Entry { kind: number, key, value: Some((version, value)) })
    }
}

fn begin<'a>(bytes: &'a [u8], part: &'static str) -> Result<(i16, &'a [u8]), Fault> {
    let (first, rest) = bytes.split_first_chunk().ok_or(Fault::Empty(part))?;
    Ok((i16::from_be_bytes(*first), rest))
}

impl Entry {
    /// Whether it is a committed offset.
    pub fn is_offset(&self) -> bool {
        [groups::LEGACY_OFFSET, groups::OFFSET].contains(&self.kind)
    }

    /// Whether it is a group of the classic protocol.
    pub fn is_classic_group(&self) -> bool {
        self.kind == groups::CLASSIC_GROUP
    }

    /// Whether it is of a share group.
    pub fn is_share_group(&self) -> bool {
        groups::SHARE_GROUP.contains(&self.kind)
    }

    /// With what the members of a classic group of consumers told each other read too, where it can be.
    pub fn with_members_read(mut self) -> Entry {
        if let (true, Some((_, value))) = (self.is_classic_group(), &mut self.value) {
            members::read_in(value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::{
        groups::records::{OffsetValue, Record},
        ids::TopicId,
    };

    fn offset() -> Record {
        let value = OffsetValue {
            offset: 42,
            leader_epoch: 3,
            metadata: "a \"b\"".into(),
            committed_at_ms: 9,
            expires_at_ms: None,
            topic_id: TopicId::ZERO,
        };
        Record::Offset { group: "g".into(), topic: "t".into(), partition: 7, value: Some(value) }
    }

    #[test]
    fn a_committed_offset_is_told_field_by_field() {
        let entry =
            Coordinator::Groups.read(&offset().key(), offset().value().as_deref()).expect("well formed");
        assert!(entry.is_offset() && !entry.is_classic_group());
        assert_eq!(entry.key.to_string(), r#"{"group":"g","topic":"t","partition":7}"#);
        let (version, value) = entry.value.expect("not deleted");
        let expected = r#"{"offset":42,"leaderEpoch":3,"metadata":"a \"b\"","commitTimestamp":9}"#;
        assert_eq!((version, value.to_string().as_str()), (4, expected));
    }

    #[test]
    fn what_cannot_be_read_is_told_in_kafkas_words() {
        let read = |key: &[u8], value: &[u8]| {
            Coordinator::Groups.read(key, Some(value)).expect_err("wrong").to_string()
        };
        let key = offset().key();
        assert_eq!(read(&[0, 99], &[]), "Found an unknown record type 99");
        assert_eq!(read(&key, &[0, 9]), "Found an unknown record version 9 for 1 type");
        assert_eq!(read(&key, &[0]), "Could not read version from value's buffer.");
        assert!(
            read(&key[..3], &[])
                .starts_with("Could not read record with version 1 from key's buffer due to: ")
        );
        let value = offset().value().expect("not deleted");
        for cut in 2..value.len() {
            assert!(
                read(&key, &value[..cut])
                    .starts_with("Could not read record with version 4 from value's buffer")
            );
        }
    }
}
