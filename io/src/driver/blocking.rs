//! File operations as helper threads do them: each call blocks, and its results are posted to the shard that asked.

use super::{
    helpers::Helpers,
    os_file::OsFile,
    send::FileRange,
    shared::{Done, ShardShared},
};
use crate::{
    fs::{self, Direct},
    record::{Change, Recorder},
};
use corelane_seam::{
    Allocation, BLOCK, ChunkWriter, FileHandle, FileOperation, FileResult, OpenHow, Page, Slice, Token,
};
use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

/// The kernel moves no more than this in one call (MAX_RW_COUNT).
pub(crate) const TRANSFER_MAX: usize = 0x7fff_f000;

/// A range that a send needs and the page cache does not hold, and those that it will need next.
pub(crate) struct WarmJob {
    pub(crate) connection: u64,
    pub(crate) range: FileRange,
    pub(crate) ahead: Vec<FileRange>,
    pub(crate) me: Arc<ShardShared>,
}

impl WarmJob {
    pub(super) fn run(self) {
        let WarmJob { connection, range: FileRange { file, offset, len }, ahead, me } = self;
        let read = |file: &OsFile| fs::warm(file.as_fd(), offset, len, || read_ahead(ahead));
        let result = OsFile::of(&file).and_then(read);
        drop(file);
        me.post(Done::Warmed { connection, result });
    }
}

/// Asks the disk for ranges, and waits for none of them.
pub(super) fn read_ahead(ranges: Vec<FileRange>) {
    for FileRange { file, offset, len } in ranges {
        // What is wrong with the file is told when it is sent.
        if let Ok(file) = OsFile::of(&file) {
            fs::ask_for(file.as_fd(), offset, len);
        }
    }
}

/// An operation and who asked for it.
pub(crate) struct FileJob {
    pub(crate) token: Token,
    pub(crate) operation: FileOperation,
    pub(crate) me: Arc<ShardShared>,
    pub(crate) blocking: Arc<Blocking>,
}

impl FileJob {
    pub(super) fn run(self) {
        let FileJob { token, operation, me, blocking } = self;
        blocking.run(operation, |result| me.post(Done::File { token, result }));
    }
}

/// How files are worked on.
pub(crate) struct Blocking {
    pub(crate) recorder: Option<Arc<Recorder>>,
    pub(crate) helpers: Helpers,
    /// What becomes of a direct file where direct access is refused.
    pub(crate) direct: Direct,
    /// A fault for tests: flushes are reported, not done.
    pub(crate) skip_fdatasync: bool,
}

impl Blocking {
    /// Does it and tells what became of it: twice for a write with flush, else once.
    fn run(&self, operation: FileOperation, mut tell: impl FnMut(FileResult)) {
        match operation {
            FileOperation::Write { file, offset, data, flush } => {
                let written = self.write(&file, offset, &data);
                let flush = flush.is_wanted() && written.is_ok();
                tell(FileResult::Written(written));
                if flush {
                    tell(FileResult::Flushed(self.flush(&file)));
                }
            }
            FileOperation::Flush { file } => tell(FileResult::Flushed(self.flush(&file))),
            FileOperation::Read { file, offset, len } => {
                tell(FileResult::Read(self.read(&file, offset, len)))
            }
            FileOperation::Open { path, how } => tell(FileResult::Opened(self.open(&path, how))),
            FileOperation::Space { path } => tell(FileResult::Space(fs::space(&path))),
            FileOperation::Page => tell(FileResult::Page(Page::populated())),
            operation => tell(FileResult::Done(self.change(operation))),
        }
    }

    fn change(&self, operation: FileOperation) -> io::Result<()> {
        match operation {
            FileOperation::Allocate { file, offset, len, how: Allocation::Zero } => {
                let file = OsFile::of(&file)?;
                let change = file.recorded.map(|file| Change::Zero { file, offset, len });
                self.recorded(change, || fs::zero(file.file(), offset, len))
            }
            FileOperation::Allocate { file, offset, len, how: Allocation::Lengthen } => {
                let file = OsFile::of(&file)?;
                let change = file.recorded.map(|file| Change::Lengthen { file, to: offset + len });
                self.recorded(change, || fs::lengthen(file.file(), offset, len))
            }
            FileOperation::Allocate { file, offset, len, how: Allocation::Reserve } => {
                fs::reserve(OsFile::of(&file)?.file(), offset, len)
            }
            FileOperation::SetLength { file, len } => {
                let file = OsFile::of(&file)?;
                let change = file.recorded.map(|file| Change::SetLength { file, len });
                self.recorded(change, || fs::set_length(file.file(), len))
            }
            FileOperation::Replace { path, data } => {
                let change = self
                    .recorder
                    .is_some()
                    .then(|| Change::Replace { path: path.clone(), data: data.to_vec() });
                self.recorded(change, || fs::replace(&path, &data))
            }
            FileOperation::Remove { path } => {
                let change = Change::Remove { path: path.clone() };
                self.recorded(Some(change), || fs::remove(&path))
            }
            FileOperation::Rename { from, to } => {
                let change = Change::Rename { from: from.clone(), to: to.clone() };
                self.recorded(Some(change), || fs::rename(&from, &to))
            }
            FileOperation::Open { .. }
            | FileOperation::Space { .. }
            | FileOperation::Page
            | FileOperation::Write { .. }
            | FileOperation::Flush { .. }
            | FileOperation::Read { .. } => unreachable!("has a result of its own"),
        }
    }

    fn write(&self, handle: &FileHandle, offset: u64, data: &Slice) -> io::Result<()> {
        let file = OsFile::of(handle)?;
        // The same demand where the kernel would not make it, so that a mistake shows everywhere.
        if file.how == OpenHow::Direct && !(data.is_aligned() && offset.is_multiple_of(BLOCK as u64)) {
            return Err(invalid("a direct write that is not of whole blocks"));
        }
        if data.len() > TRANSFER_MAX {
            return Err(invalid("a write of more than 2 GiB"));
        }
        let change = file.recorded.map(|file| Change::Write { file, offset, data: data.to_vec() });
        self.recorded(change, || self.as_opened(file, |file| file.write_all_at(data, offset)))
    }

    fn flush(&self, handle: &FileHandle) -> io::Result<()> {
        if self.skip_fdatasync {
            return Ok(());
        }
        let file = OsFile::of(handle)?;
        self.recorded(file.recorded.map(|file| Change::Flush { file }), || file.file().sync_data())
    }

    fn read(&self, handle: &FileHandle, offset: u64, len: usize) -> io::Result<Slice> {
        let file = OsFile::of(handle)?;
        let len = len.min(TRANSFER_MAX);
        let mut chunk = ChunkWriter::with_capacity(len.max(1));
        let bytes = chunk
            .append_with(len, |space| self.as_opened(file, |file| fs::read_at_most(file, offset, space)))?;
        Ok(chunk.slice(0..bytes))
    }

    /// Some file systems accept the flag for direct access and then refuse the access.
    fn as_opened<R>(&self, file: &OsFile, mut act: impl FnMut(&File) -> io::Result<R>) -> io::Result<R> {
        match act(file.file()) {
            Err(error)
                if file.how == OpenHow::Direct
                    && self.direct == Direct::Preferred
                    && fs::is_refusal_of_direct(&error) =>
            {
                fs::become_buffered(file.as_fd())?;
                act(file.file())
            }
            other => other,
        }
    }

    fn recorded(&self, change: Option<Change>, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.recorder.as_ref().zip(change) {
            Some((recorder, change)) => recorder.around(change, act),
            None => act(),
        }
    }

    fn open(&self, path: &Path, how: OpenHow) -> io::Result<(FileHandle, u64)> {
        let (file, created) = fs::open(path, how, self.direct)?;
        let len = file.metadata()?.len();
        let recorded = match (&self.recorder, how) {
            (Some(recorder), OpenHow::Direct | OpenHow::Buffered) => {
                Some(recorder.opened_with(path, &file, created.then_some(true))?)
            }
            (Some(_), OpenHow::Read) | (None, _) => None,
        };
        let file = OsFile::new(file, path.to_path_buf(), how, self.helpers.clone(), recorded);
        Ok((FileHandle::new(file), len))
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
