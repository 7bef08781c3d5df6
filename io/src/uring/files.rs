//! File operations: reads, writes and flushes go through the shard's ring, what changes names or lengths through the
//! helper threads.

use super::{
    Context,
    ring::{Finished, Tag},
};
use crate::{
    driver::{
        blocking::{Blocking, FileJob, TRANSFER_MAX},
        helpers::Job as HelperJob,
        os_file::OsFile,
    },
    record::{Change, FileId, Recorder},
};
use corelane_seam::{ChunkWriter, Completion, FileHandle, FileOperation, FileResult, Flush, Slice, Token};
use io_uring::{opcode, squeue, types};
use slab::Slab;
use std::{io, sync::Arc};

/// What the kernel holds. The handle keeps the file open, the memory keeps its place.
enum Job {
    Write { token: Token, file: FileHandle, data: Slice, then: Then, recorded: Option<u64> },
    Flush { token: Token, file: FileHandle, covers: u64, recorded: Option<u64> },
    Read { token: Token, _file: FileHandle, chunk: ChunkWriter },
}

/// What follows a write.
#[derive(Clone, Copy)]
enum Then {
    Nothing,
    /// A flush, which is linked to the write, under this key.
    Flush(usize),
    /// Its flush is told: it was within the write, or, a fault for tests, not done.
    Flushed,
}

pub(crate) struct Files {
    jobs: Slab<Job>,
    blocking: Arc<Blocking>,
}

impl Files {
    pub(crate) fn new(blocking: Arc<Blocking>) -> Files {
        Files { jobs: Slab::new(), blocking }
    }

    pub(crate) fn start<M>(&mut self, token: Token, operation: FileOperation, context: &mut Context<M>) {
        match operation {
            FileOperation::Write { file, offset, data, flush } => {
                self.write(token, file, offset, data, flush, context);
            }
            FileOperation::Flush { file } => self.flush(token, file, context),
            FileOperation::Read { file, offset, len } => self.read(token, file, offset, len, context),
            operation => self.hand_over(token, operation, context),
        }
    }

    fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.blocking.recorder.as_ref()
    }

    fn write<M>(
        &mut self,
        token: Token,
        handle: FileHandle,
        offset: u64,
        data: Slice,
        flush: Flush,
        context: &mut Context<M>,
    ) {
        let file = match OsFile::of(&handle) {
            Ok(_) if data.len() > TRANSFER_MAX => {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "a write of more than 2 GiB");
                return answer(token, FileResult::Written(Err(error)), context);
            }
            Ok(file) => file,
            Err(error) => return answer(token, FileResult::Written(Err(error)), context),
        };
        let fd = types::Fd(file.fd());
        let flushes = !self.blocking.skip_fdatasync;
        let is_through =
            flush == Flush::Within && flushes && file.writes_through && file.unflushed.is_empty();
        let recorded = self.recorder().zip(file.recorded).map(|(recorder, file)| {
            let data = data.to_vec();
            recorder.begin(match is_through {
                true => Change::WriteThrough { file, offset, data },
                false => Change::Write { file, offset, data },
            })
        });
        let then = match flush {
            Flush::No => Then::Nothing,
            Flush::After | Flush::Within if is_through || !flushes => Then::Flushed,
            Flush::After | Flush::Within => {
                let job = Job::Flush { token, file: handle.clone(), covers: 0, recorded: None };
                Then::Flush(self.jobs.insert(job))
            }
        };
        let entry = opcode::Write::new(fd, data.as_ptr(), data.len() as u32).offset(offset);
        let entry = entry.rw_flags(if is_through { libc::RWF_DSYNC } else { 0 }).build();
        let key = self.jobs.insert(Job::Write { token, file: handle, data, then, recorded });
        let tag = Tag::File(key as u64);
        // SAFETY: the job holds memory and file until its completion was reaped; written bytes of a slice never change.
        unsafe {
            match then {
                Then::Nothing | Then::Flushed => context.port.push(entry, tag),
                Then::Flush(flush) => {
                    context.port.push_linked((entry, tag), (data_sync(fd), Tag::File(flush as u64)));
                }
            }
        }
    }

    fn flush<M>(&mut self, token: Token, file: FileHandle, context: &mut Context<M>) {
        if self.blocking.skip_fdatasync {
            return answer(token, FileResult::Flushed(Ok(())), context);
        }
        let (fd, id, covers) = match OsFile::of(&file) {
            Ok(file) => (types::Fd(file.fd()), file.recorded, file.unflushed.so_far()),
            Err(error) => return answer(token, FileResult::Flushed(Err(error)), context),
        };
        let recorded = self.begin_flush(id);
        let key = self.jobs.insert(Job::Flush { token, file, covers, recorded });
        // SAFETY: the entry points to nothing; the job keeps the file open.
        unsafe { context.port.push(data_sync(fd), Tag::File(key as u64)) };
    }

    fn begin_flush(&self, id: Option<FileId>) -> Option<u64> {
        self.recorder().zip(id).map(|(recorder, file)| recorder.begin(Change::Flush { file }))
    }

    fn read<M>(&mut self, token: Token, file: FileHandle, offset: u64, len: usize, context: &mut Context<M>) {
        let fd = match OsFile::of(&file) {
            Ok(file) => types::Fd(file.fd()),
            Err(error) => return answer(token, FileResult::Read(Err(error)), context),
        };
        let len = len.min(TRANSFER_MAX);
        let mut chunk = ChunkWriter::with_capacity(len.max(1));
        let memory = chunk.append_with(len, |space| space.as_mut_ptr());
        let key = self.jobs.insert(Job::Read { token, _file: file, chunk });
        let entry = opcode::Read::new(fd, memory, len as u32).offset(offset).build();
        // SAFETY: `memory` is the chunk's, of `len` bytes; no one else looks at the chunk until the completion, and the
        // job keeps it and the file.
        unsafe { context.port.push(entry, Tag::File(key as u64)) };
    }

    /// An entry of a file operation came back.
    pub(crate) fn finished<M>(&mut self, key: u64, finished: Finished, context: &mut Context<M>) {
        let result = finished.result();
        match self.jobs.remove(key as usize) {
            Job::Write { token, file, data, then, recorded } => {
                let result = result.and_then(|bytes| whole(bytes, data.len()));
                self.finish_record(recorded, &result);
                let written = result.is_ok();
                context.events.push_back(file_event(token, FileResult::Written(result)));
                match then {
                    Then::Flush(key) if written => self.linked_flush_begins(key),
                    Then::Flushed if written => {
                        context.events.push_back(file_event(token, FileResult::Flushed(Ok(()))));
                    }
                    Then::Flush(key) => {
                        // The kernel cancels the flush after a failed or short write; no one asks for its result.
                        if let Some(Job::Flush { recorded, .. }) = self.jobs.get_mut(key) {
                            *recorded = Some(ABANDONED);
                        }
                    }
                    Then::Nothing | Then::Flushed => {}
                }
                if let (Then::Nothing, Ok(file)) = (then, OsFile::of(&file)) {
                    file.unflushed.add();
                }
            }
            Job::Flush { recorded: Some(ABANDONED), .. } => {}
            Job::Flush { token, file, covers, recorded } => {
                let result = result.map(|_| ());
                self.finish_record(recorded, &result);
                if let (Ok(()), Ok(file)) = (&result, OsFile::of(&file)) {
                    file.unflushed.cover(covers);
                }
                context.events.push_back(file_event(token, FileResult::Flushed(result)));
            }
            Job::Read { token, chunk, .. } => {
                let result = result.map(|bytes| chunk.slice(0..bytes));
                context.events.push_back(file_event(token, FileResult::Read(result)));
            }
        }
    }

    /// The write before it is done: the kernel begins the flush now.
    fn linked_flush_begins(&mut self, key: usize) {
        let Some(Job::Flush { file, .. }) = self.jobs.get(key) else { return };
        let Ok(file) = OsFile::of(file) else { return };
        let (begun, so_far) = (self.begin_flush(file.recorded), file.unflushed.so_far());
        if let Some(Job::Flush { covers, recorded, .. }) = self.jobs.get_mut(key) {
            (*covers, *recorded) = (so_far, begun);
        }
    }

    fn finish_record(&self, recorded: Option<u64>, result: &io::Result<()>) {
        if let Some((recorder, number)) = self.recorder().zip(recorded) {
            recorder.finish(number, result.is_ok());
        }
    }

    /// Lets a helper thread do it and post the result.
    fn hand_over<M>(&mut self, token: Token, operation: FileOperation, context: &mut Context<M>) {
        let (me, blocking) = (Arc::clone(&context.me), Arc::clone(&self.blocking));
        context.helpers.change(HelperJob::File(FileJob { token, operation, me, blocking }));
    }
}

/// In place of a record's number: the flush was cancelled with its write.
const ABANDONED: u64 = u64::MAX;

fn data_sync(fd: types::Fd) -> squeue::Entry {
    opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build()
}

fn whole(bytes: usize, wanted: usize) -> io::Result<()> {
    if bytes == wanted {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::WriteZero, format!("a short write: {bytes} of {wanted} bytes")))
}

fn file_event<M>(token: Token, result: FileResult) -> Completion<M> {
    Completion::File { token, result }
}

fn answer<M>(token: Token, result: FileResult, context: &mut Context<M>) {
    context.events.push_back(file_event(token, result));
}
