//! The way from futures to the seam: a file operation goes out with a token, its completion ends the await.

use crate::quorum::{Outbox, QuorumOutput};
use corelane_seam::{Allocation, FileHandle, FileOperation, FileResult, Flush, OpenHow, Slice, Token};
use std::{cell::RefCell, collections::BTreeMap, io, path::PathBuf, rc::Rc};
use tokio::sync::oneshot;

struct Waiting {
    answer: oneshot::Sender<FileResult>,
    /// A write with flush: a successful write is not the last word.
    flush: bool,
}

struct State {
    next_token: u64,
    waiting: BTreeMap<Token, Waiting>,
    outbox: Outbox,
}

/// Where the quorum's tasks ask for file operations.
#[derive(Clone)]
pub(crate) struct FilePort(Rc<RefCell<State>>);

impl FilePort {
    /// Tokens count up from `first_token`.
    pub fn new(first_token: u64, outbox: Outbox) -> FilePort {
        FilePort(Rc::new(RefCell::new(State { next_token: first_token, waiting: BTreeMap::new(), outbox })))
    }

    /// Hands a completion to who waits for it. False when no one does.
    pub fn complete(&self, token: Token, result: FileResult) -> bool {
        let mut state = self.0.borrow_mut();
        let Some(waiting) = state.waiting.get(&token) else { return false };
        if waiting.flush && matches!(result, FileResult::Written(Ok(()))) {
            return true;
        }
        let waiting = state.waiting.remove(&token).expect("found above");
        drop(state);
        // Who asked may be gone (a broken quorum drops its tasks).
        let _ = waiting.answer.send(result);
        true
    }

    /// Operations that were asked for and did not complete.
    pub fn outstanding(&self) -> usize {
        self.0.borrow().waiting.len()
    }

    async fn call(&self, operation: FileOperation) -> io::Result<FileResult> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.0.borrow_mut();
            let token = Token(state.next_token);
            state.next_token += 1;
            let flush = matches!(&operation, FileOperation::Write { flush, .. } if flush.is_wanted());
            state.waiting.insert(token, Waiting { answer, flush });
            state.outbox.push(QuorumOutput::File { token, operation });
        }
        answered.await.map_err(|_| io::Error::other("the quorum is gone"))
    }

    /// Opens for buffered writes; gives the file and its length.
    pub async fn open(&self, path: PathBuf) -> io::Result<(FileHandle, u64)> {
        match self.call(FileOperation::Open { path, how: OpenHow::Buffered }).await? {
            FileResult::Opened(opened) => opened,
            other => Err(unexpected(&other)),
        }
    }

    /// Makes room for a range; the file's length stays as it is.
    pub async fn allocate(&self, file: FileHandle, offset: u64, len: u64) -> io::Result<()> {
        match self.call(FileOperation::Allocate { file, offset, len, how: Allocation::Reserve }).await? {
            FileResult::Done(result) => result,
            other => Err(unexpected(&other)),
        }
    }

    /// Writes and flushes.
    pub async fn write(&self, file: FileHandle, offset: u64, data: Slice) -> io::Result<()> {
        match self.call(FileOperation::Write { file, offset, data, flush: Flush::Within }).await? {
            FileResult::Written(result) | FileResult::Flushed(result) => result,
            other => Err(unexpected(&other)),
        }
    }

    /// Replaces a whole file, atomically and durably.
    pub async fn replace(&self, path: PathBuf, data: Slice) -> io::Result<()> {
        match self.call(FileOperation::Replace { path, data }).await? {
            FileResult::Done(result) => result,
            other => Err(unexpected(&other)),
        }
    }

    /// Removes a file durably.
    pub async fn remove(&self, path: PathBuf) -> io::Result<()> {
        match self.call(FileOperation::Remove { path }).await? {
            FileResult::Done(result) => result,
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(result: &FileResult) -> io::Error {
    io::Error::other(format!("a driver answered {result:?} to another operation"))
}
