//! The log as openraft wants it.

use super::{
    format::{Frame, Salt},
    recover::Recovered,
    write::{Done, Stream},
};
use crate::{
    types::{RaftEntry, RaftLogId, RaftVote, StoredEntry, TypeConfig},
    wire::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX},
};
use corelane_core::log::Fault;
use openraft::{
    EntryPayload, LogState, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    path::PathBuf,
    rc::Rc,
};
use tokio::sync::oneshot;

/// What can be read. Entries are visible as soon as they are appended, a vote when it is flushed.
struct Visible {
    vote: Option<RaftVote>,
    committed: Option<RaftLogId>,
    purged: Option<RaftLogId>,
    last: Option<RaftLogId>,
    /// Behind the purged one. Bounded by the snapshots that purge them.
    entries: BTreeMap<u64, RaftEntry>,
}

/// The log: reads from memory, writes to the stream. Clones are the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    visible: Rc<RefCell<Visible>>,
    stream: Rc<RefCell<Stream>>,
    forgets_votes: bool,
}

impl LogStore {
    /// Goes on where recovery ended. Something must run [`write_loop`](super::write_loop) on
    /// [`stream`](Self::stream).
    pub fn new(recovered: Recovered, directory: PathBuf, salt: Salt, segment_bytes_max: u64) -> LogStore {
        let Recovered { state, entries, segments } = recovered;
        let visible = Visible {
            vote: state.vote.map(RaftVote::from),
            committed: state.committed.map(RaftLogId::from),
            purged: state.purged.map(RaftLogId::from),
            last: state.last.map(RaftLogId::from),
            entries,
        };
        let stream = Stream {
            directory,
            salt,
            segment_bytes_max,
            queue: VecDeque::new(),
            committed: None,
            written: state,
            segments,
            poison: None,
            closing: false,
            waker: None,
        };
        let (visible, stream) = (Rc::new(RefCell::new(visible)), Rc::new(RefCell::new(stream)));
        LogStore { visible, stream, forgets_votes: false }
    }

    /// With this planted bug, or none that concerns it.
    pub fn with(self, fault: Fault) -> LogStore {
        LogStore { forgets_votes: fault == Fault::ForgetVotes, ..self }
    }

    /// What the writer works on.
    pub fn stream(&self) -> Rc<RefCell<Stream>> {
        Rc::clone(&self.stream)
    }

    /// Writes what still rides along, then ends the writer.
    pub fn close(&self) {
        self.stream.borrow_mut().close();
    }

    /// Why nothing is written any more, if an error of the disk broke the log.
    pub fn poison(&self) -> Option<String> {
        self.stream.borrow().poison.clone()
    }

    /// The last purged entry's index.
    pub fn purged(&self) -> Option<u64> {
        self.visible.borrow().purged.map(|purged| purged.index)
    }

    /// The last entry's index.
    pub fn last(&self) -> Option<u64> {
        self.visible.borrow().last.map(|last| last.index)
    }

    /// The term of an entry that is there, or that was purged last.
    pub fn term_of(&self, index: u64) -> Option<u64> {
        let visible = self.visible.borrow();
        let purged = visible.purged.filter(|purged| purged.index == index);
        purged.or_else(|| visible.entries.get(&index).map(|entry| entry.log_id)).map(|id| id.leader_id.term)
    }

    /// Entries from `start` on and before `end`, as many as make an append; at least one, if there is one.
    pub fn limited(&self, start: u64, end: u64) -> Vec<RaftEntry> {
        let visible = self.visible.borrow();
        let (mut bytes, mut entries) = (0, Vec::new());
        for (_, entry) in visible.entries.range(start..end.max(start)).take(APPEND_ENTRIES_MAX) {
            if let EntryPayload::Normal(batch) = &entry.payload {
                bytes += batch.0.len();
            }
            if bytes > APPEND_BYTES_MAX && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        entries
    }

    fn push(&self, frame: Option<Frame>, done: Done) -> io::Result<()> {
        self.refuse_if_poisoned()?;
        self.stream.borrow_mut().push(frame, done);
        Ok(())
    }

    fn refuse_if_poisoned(&self) -> io::Result<()> {
        self.poison().map_or(Ok(()), |reason| Err(io::Error::other(reason)))
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug>(
        &mut self,
        range: RB,
    ) -> Result<Vec<RaftEntry>, io::Error> {
        let is_empty = match (range.start_bound(), range.end_bound()) {
            (Bound::Included(low), Bound::Excluded(high)) => low >= high,
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        };
        if is_empty {
            // `BTreeMap::range` would panic.
            return Ok(Vec::new());
        }
        Ok(self.visible.borrow().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, io::Error> {
        Ok(self.limited(start, end))
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        Ok(self.visible.borrow().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let visible = self.visible.borrow();
        Ok(LogState { last_purged_log_id: visible.purged, last_log_id: visible.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        // Who leads would else end up without any.
        if vote.is_committed() || !self.forgets_votes {
            let (sender, flushed) = oneshot::channel();
            self.push(Some(Frame::Vote(vote.into())), Done::Signal(sender))?;
            flushed.await.map_err(|_| io::Error::other("the log's writer is gone"))??;
        }
        self.visible.borrow_mut().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<RaftLogId>) -> Result<(), io::Error> {
        self.refuse_if_poisoned()?;
        self.visible.borrow_mut().committed = committed;
        self.stream.borrow_mut().committed = Some(Frame::Committed(committed.map(Into::into)));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<RaftLogId>, io::Error> {
        Ok(self.visible.borrow().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry>,
    {
        self.refuse_if_poisoned()?;
        for entry in entries {
            let mut visible = self.visible.borrow_mut();
            let id = entry.log_id;
            if let Some(last) = visible.last
                && last.index + 1 != id.index
            {
                let text = format!("entry {} appended behind entry {}", id.index, last.index);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            visible.last = Some(id);
            let stored = StoredEntry::from(&entry);
            visible.entries.insert(id.index, entry);
            drop(visible);
            self.push(Some(Frame::Entry(stored)), Done::Nobody)?;
        }
        self.push(None, Done::Append(callback))
    }

    async fn truncate_after(&mut self, last_log_id: Option<RaftLogId>) -> Result<(), io::Error> {
        if last_log_id.map(|id| id.index) >= self.visible.borrow().last.map(|id| id.index) {
            return self.refuse_if_poisoned();
        }
        // Not waited for: whatever is promised later stands behind it in the stream.
        self.push(Some(Frame::Truncate(last_log_id.map(Into::into))), Done::Nobody)?;
        let mut visible = self.visible.borrow_mut();
        let keep = last_log_id.map_or(0, |last| last.index + 1);
        visible.entries.split_off(&keep);
        visible.last = last_log_id.or(visible.purged);
        Ok(())
    }

    async fn purge(&mut self, log_id: RaftLogId) -> Result<(), io::Error> {
        self.push(Some(Frame::Purge(log_id.into())), Done::Nobody)?;
        let mut visible = self.visible.borrow_mut();
        visible.entries = visible.entries.split_off(&(log_id.index + 1));
        visible.purged = Some(log_id);
        if visible.last.is_none_or(|last| last.index < log_id.index) {
            visible.last = Some(log_id);
        }
        Ok(())
    }
}
