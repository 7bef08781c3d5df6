//! Recording of what is done to a disk, for tests of power cuts: kill -9 cannot show a missing flush, because the page
//! cache outlives the process. A record holds every change in order, with the moments at which it was begun and at
//! which it was known to be done; [`images`] builds from it what a disk may hold after the power went at any moment
//! in between: what was flushed is there, each write that was not may have survived whole, in any subset of its 4 KiB
//! blocks, or not at all.
//!
//! Meant for tests: recording copies all written data.

mod format;
mod image;

pub use image::{Image, images};

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// An open file as the record knows it, whatever its name: its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Something that changes the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file that was there before the record began, with what it then held.
    Found {
        /// Its name.
        path: PathBuf,
        /// What later changes call it.
        file: FileId,
        /// All of it.
        content: Vec<u8>,
    },
    /// A new, empty file.
    Create {
        /// Its name.
        path: PathBuf,
        /// What later changes call it.
        file: FileId,
        /// Whether its directory entry is durable when done; else it is with the file's next flush.
        durable: bool,
    },
    /// A write, durable with the next flush of the file that begins after it is done.
    Write {
        /// Which file.
        file: FileId,
        /// In bytes.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// A write that is durable when it is done, and nothing else with it (`RWF_DSYNC`, which may be one request with
    /// FUA).
    WriteThrough {
        /// Which file.
        file: FileId,
        /// In bytes.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// An fsync or fdatasync that really happened.
    Flush {
        /// Which file.
        file: FileId,
    },
    /// Zeroes a range and flushes the file.
    Zero {
        /// Which file.
        file: FileId,
        /// In bytes.
        offset: u64,
        /// In bytes.
        len: u64,
    },
    /// Makes a file at least so long, durably with its next flush that begins after it is done.
    Lengthen {
        /// Which file.
        file: FileId,
        /// In bytes.
        to: u64,
    },
    /// Cuts or extends a file and flushes it.
    SetLength {
        /// Which file.
        file: FileId,
        /// In bytes.
        len: u64,
    },
    /// Replaces a whole file, atomically and durably.
    Replace {
        /// Its name.
        path: PathBuf,
        /// Its new content.
        data: Vec<u8>,
    },
    /// Removes a file or a whole directory, durably.
    Remove {
        /// Its name.
        path: PathBuf,
    },
    /// Renames, durably.
    Rename {
        /// The old name.
        from: PathBuf,
        /// The new name.
        to: PathBuf,
    },
}

/// An entry of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A change was handed to the kernel. Its number is its place among all `Begun`.
    Begun {
        /// `CLOCK_MONOTONIC`, nanoseconds: comparable with what other processes of the machine saw and when.
        at: u64,
        /// Which change.
        change: Change,
    },
    /// A change is done, and whoever asked for it will be told after this mark.
    Finished {
        /// As above.
        at: u64,
        /// The change's number.
        change: u64,
        /// Whether it succeeded; one that failed may have happened, or in part.
        ok: bool,
    },
}

/// What was recorded, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// In the order in which they happened.
    pub marks: Vec<Mark>,
}

impl Trace {
    /// Reads a record that was written to a file. A last mark that is cut short (its process was killed) is left out.
    ///
    /// # Errors
    /// When the file cannot be read or is no record.
    pub fn load(path: &Path) -> io::Result<Trace> {
        format::decode(&std::fs::read(path)?)
    }
}

enum Store {
    Memory(Vec<Mark>),
    File(File),
}

struct State {
    store: Store,
    begun: u64,
    known: BTreeSet<FileId>,
}

/// Takes down every change. Shared by all shards of a process; a lock orders the marks.
pub struct Recorder(Mutex<State>);

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    /// Keeps the record in memory.
    pub fn in_memory() -> Recorder {
        Recorder::new(Store::Memory(Vec::new()))
    }

    /// Writes the record to a new file, each mark with one write(2), so that it survives a kill of the process.
    ///
    /// # Errors
    /// When the file cannot be made or exists already.
    pub fn to_file(path: &Path) -> io::Result<Recorder> {
        Ok(Recorder::new(Store::File(OpenOptions::new().write(true).create_new(true).open(path)?)))
    }

    fn new(store: Store) -> Recorder {
        Recorder(Mutex::new(State { store, begun: 0, known: BTreeSet::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while marking loses at most that mark; a test will have failed by then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was recorded so far; empty when it goes to a file (see [`Trace::load`]).
    pub fn trace(&self) -> Trace {
        match &self.state().store {
            Store::Memory(marks) => Trace { marks: marks.clone() },
            Store::File(_) => Trace::default(),
        }
    }

    /// A change is about to be handed to the kernel.
    ///
    /// # Panics
    /// When the record cannot be written: a test with a hole in its record proves nothing.
    pub fn begin(&self, change: Change) -> u64 {
        let mut state = self.state();
        let number = state.begun;
        state.begun += 1;
        state.push(Mark::Begun { at: now_ns(), change });
        number
    }

    /// A change is done.
    ///
    /// # Panics
    /// As [`begin`](Self::begin).
    pub fn finish(&self, change: u64, ok: bool) {
        self.state().push(Mark::Finished { at: now_ns(), change, ok });
    }

    /// Both, around what makes the change.
    ///
    /// # Errors
    /// Those of `act`.
    pub fn around<R>(&self, change: Change, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let number = self.begin(change);
        let result = act();
        self.finish(number, result.is_ok());
        result
    }

    /// A file was opened for changes; `created` when the opening made it. Its directory entry then counts as durable
    /// once the file is flushed.
    ///
    /// # Errors
    /// When the file cannot be examined.
    pub fn opened(&self, path: &Path, file: &File, created: bool) -> io::Result<FileId> {
        self.opened_with(path, file, created.then_some(false))
    }

    /// As [`opened`](Self::opened), with `created` saying whether the new entry is durable already.
    pub(crate) fn opened_with(&self, path: &Path, file: &File, created: Option<bool>) -> io::Result<FileId> {
        let id = FileId(file.metadata()?.ino());
        let path = path.to_path_buf();
        let is_new = self.state().known.insert(id);
        let change = match created {
            Some(durable) => Change::Create { path, file: id, durable },
            None if is_new => Change::Found { content: std::fs::read(&path)?, path, file: id },
            None => return Ok(id),
        };
        self.around(change, || Ok(()))?;
        Ok(id)
    }
}

impl State {
    fn push(&mut self, mark: Mark) {
        match &mut self.store {
            Store::Memory(marks) => marks.push(mark),
            Store::File(file) => {
                file.write_all(&format::encode(&mark))
                    .expect("the record of a power-cut test can be written");
            }
        }
    }
}

fn now_ns() -> u64 {
    crate::clock::now().monotonic.0
}

#[cfg(test)]
mod tests;
