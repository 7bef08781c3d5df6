//! What an observer and a controller say to each other: `[version u8][message]`, in postcard, behind it the entries. The
//! version is none of the voters' own (`crate::wire`), so that one kind of call carries both.

use crate::{
    types::{RaftEntry, StoredLogId, StoredVote},
    wire::{CALL_BYTES_MAX, CHUNK_BYTES_MAX, at_end, push, push_entry, take, take_entries},
};
use bytes::Bytes;
use corelane_core::metadata::SNAPSHOT_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// The first byte of every body.
const VERSION: u8 = 129;

/// Voters that an answer may name: far more than a quorum has.
const VOTERS_MAX: usize = 64;

/// Bytes of a reason for a refusal that are sent.
const REASON_BYTES_MAX: usize = 1024;

/// Whether a call is an observer's.
pub(crate) fn is_pull(body: &[u8]) -> bool {
    body.first() == Some(&VERSION)
}

/// What an observer asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pull {
    pub cluster_id: String,
    pub node: u64,
    pub directory: u128,
    /// The controller that is meant; `None` where only its endpoint is known.
    pub to: Option<u64>,
    /// Up to here it knows everything.
    pub position: Option<StoredLogId>,
    /// What it knows of the leader: news of a later term, or of who leads this one, do not wait.
    pub term: u64,
    pub knows_leader: bool,
    /// It reads a snapshot up to there, and has so many bytes of it.
    pub reading: Option<(StoredLogId, u64)>,
}

/// What a controller knows of the quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireStanding {
    pub node: u64,
    pub leader: Option<u64>,
    pub term: u64,
    /// Everything below it is committed and applied.
    pub committed_end: u64,
    /// `HOST:PORT` of each.
    pub voters: Vec<(u64, String)>,
}

#[derive(Serialize, Deserialize)]
enum WirePulled<'a> {
    Refused(#[serde(borrow)] &'a str),
    Diverged(WireStanding),
    /// So many entries follow.
    Entries(WireStanding, u32),
    Chunk(WireStanding, #[serde(borrow)] WireChunk<'a>),
}

#[derive(Serialize, Deserialize)]
struct WireChunk<'a> {
    last: StoredLogId,
    bytes: u64,
    offset: u64,
    #[serde(borrow)]
    data: &'a [u8],
}

/// A controller's answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pulled {
    /// It does not serve this observer, for this reason.
    Refused(String),
    /// The position is in no history that the quorum has.
    Diverged(WireStanding),
    /// What was committed behind the position; nothing, if nothing was.
    Entries(WireStanding, Vec<RaftEntry>),
    /// A piece of a snapshot.
    Chunk(WireStanding, Chunk),
}

/// See [`Pulled::Chunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where in the log the snapshot stands.
    pub last: StoredLogId,
    /// Of the whole of it.
    pub bytes: u64,
    pub offset: u64,
    pub data: Bytes,
}

impl Pull {
    pub fn encode(&self) -> Bytes {
        let mut bytes = vec![VERSION];
        push(&mut bytes, self);
        bytes.into()
    }

    /// # Errors
    /// When it is none.
    pub fn decode(body: &[u8]) -> Result<Pull, String> {
        let mut body = begin(body)?;
        let pull: Pull = take(&mut body)?;
        at_end(body)?;
        if pull.position.is_some_and(|position| position.index == u64::MAX) {
            return Err(format!("{:?} is no position", pull.position));
        }
        Ok(pull)
    }
}

impl Pulled {
    pub fn encode(&self) -> Bytes {
        let mut bytes = vec![VERSION];
        match self {
            Pulled::Refused(reason) => {
                let end = reason.floor_char_boundary(REASON_BYTES_MAX);
                push(&mut bytes, &WirePulled::Refused(&reason[..end]));
            }
            Pulled::Diverged(standing) => push(&mut bytes, &WirePulled::Diverged(standing.clone())),
            Pulled::Entries(standing, entries) => {
                let count = u32::try_from(entries.len()).expect("the log gives few at a time");
                push(&mut bytes, &WirePulled::Entries(standing.clone(), count));
                entries.iter().for_each(|entry| push_entry(&mut bytes, entry));
            }
            Pulled::Chunk(standing, Chunk { last, bytes: whole, offset, data }) => {
                let chunk = WireChunk { last: *last, bytes: *whole, offset: *offset, data };
                push(&mut bytes, &WirePulled::Chunk(standing.clone(), chunk));
            }
        }
        bytes.into()
    }

    /// The answer to a pull from this position.
    ///
    /// # Errors
    /// When it is none, or says what no controller can say.
    pub fn decode(body: &[u8], position: Option<StoredLogId>) -> Result<Pulled, String> {
        let mut body = begin(body)?;
        let pulled = match take(&mut body)? {
            WirePulled::Refused(reason) => Pulled::Refused(reason.to_owned()),
            WirePulled::Diverged(standing) => Pulled::Diverged(standing.check()?),
            WirePulled::Entries(standing, count) => {
                let standing = standing.check()?;
                // Of no leader's vote only the term matters.
                let vote = StoredVote { term: standing.term, node: standing.node, committed: true };
                let entries = take_entries(&mut body, vote, position, count)?;
                Pulled::Entries(standing, entries)
            }
            WirePulled::Chunk(standing, WireChunk { last, bytes, offset, data }) => {
                let end = offset.checked_add(data.len() as u64);
                let fits = end.is_some_and(|end| end <= bytes) && bytes <= SNAPSHOT_BYTES_MAX as u64;
                if data.len() > CHUNK_BYTES_MAX || !fits || last.index == u64::MAX {
                    return Err(format!("{} of {bytes} bytes of a snapshot at {offset}", data.len()));
                }
                let data = Bytes::copy_from_slice(data);
                Pulled::Chunk(standing.check()?, Chunk { last, bytes, offset, data })
            }
        };
        at_end(body)?;
        Ok(pulled)
    }
}

impl WireStanding {
    fn check(self) -> Result<WireStanding, String> {
        let voters = self.voters.len();
        if voters > VOTERS_MAX { Err(format!("{voters} voters")) } else { Ok(self) }
    }
}

fn begin(body: &[u8]) -> Result<&[u8], String> {
    if body.len() > CALL_BYTES_MAX {
        return Err(format!("{} bytes, beyond {CALL_BYTES_MAX}", body.len()));
    }
    match body.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((version, _)) => Err(format!("it has version {version}, observers speak {VERSION}")),
        None => Err("it is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{support::Random, types::EncodedBatch};
    use openraft::EntryPayload;

    const AT: StoredLogId = StoredLogId { term: 2, index: 7 };

    fn standing() -> WireStanding {
        let voters = vec![(1, "one:9093".to_owned()), (2, "two:9093".to_owned())];
        WireStanding { node: 1, leader: Some(2), term: 3, committed_end: 9, voters }
    }

    fn pull() -> Pull {
        Pull {
            cluster_id: "cluster".to_owned(),
            node: 101,
            directory: 5,
            to: Some(1),
            position: Some(AT),
            term: 3,
            knows_leader: true,
            reading: Some((AT, 77)),
        }
    }

    fn answers() -> Vec<Pulled> {
        let entry = |term, index, payload| RaftEntry { log_id: StoredLogId { term, index }.into(), payload };
        let batch = EntryPayload::Normal(EncodedBatch(vec![1, 2, 3].into()));
        let data = Bytes::from_static(b"bytes");
        vec![
            Pulled::Refused("for a reason".to_owned()),
            Pulled::Diverged(standing()),
            Pulled::Entries(standing(), vec![entry(2, 8, batch), entry(3, 9, EntryPayload::Blank)]),
            Pulled::Chunk(standing(), Chunk { last: AT, bytes: 1_000, offset: 995, data }),
        ]
    }

    #[test]
    fn what_an_observer_and_a_controller_say_arrives_as_it_was_said() {
        assert_eq!(Pull::decode(&pull().encode()), Ok(pull()));
        assert!(is_pull(&pull().encode()));
        for answer in answers() {
            assert_eq!(Pulled::decode(&answer.encode(), Some(AT)), Ok(answer));
        }
        let long = Pulled::Refused("ü".repeat(REASON_BYTES_MAX)).encode();
        assert!(
            matches!(Pulled::decode(&long, None), Ok(Pulled::Refused(text)) if text.len() <= REASON_BYTES_MAX)
        );
    }

    #[test]
    fn what_no_controller_can_say_is_refused() {
        let [_, _, entries, _] = &answers()[..] else { panic!() };
        assert!(Pulled::decode(&entries.encode(), None).is_err(), "a gap");
        let end = Chunk { last: AT, bytes: 3, offset: 0, data: Bytes::from_static(b"four") };
        assert!(Pulled::decode(&Pulled::Chunk(standing(), end).encode(), None).is_err(), "beyond the end");
        let many = WireStanding { voters: vec![(1, String::new()); VOTERS_MAX + 1], ..standing() };
        assert!(Pulled::decode(&Pulled::Diverged(many).encode(), None).is_err());
        let nowhere = Pull { position: Some(StoredLogId { term: 1, index: u64::MAX }), ..pull() };
        assert!(Pull::decode(&nowhere.encode()).is_err());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic() {
        let mut random = Random(1);
        let bodies = answers().iter().map(Pulled::encode).chain([pull().encode()]).collect::<Vec<_>>();
        for _ in 0..20_000 {
            let mut body = bodies[random.below(bodies.len())].to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(body.len());
                body[at] = random.next().to_le_bytes()[0];
            }
            body.truncate(1 + random.below(body.len()));
            // Whatever comes of it.
            let _ = (Pull::decode(&body), Pulled::decode(&body, Some(AT)));
        }
    }
}
