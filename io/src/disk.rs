//! The real disk behind the blocking [`Disk`] that recovery uses before a shard serves.

use crate::{
    fs,
    record::{Change, Recorder},
};
use corelane_seam::{DirectoryEntry, Disk, OpenHow, Task};
use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Tasks that run side by side. They wait for the disk, which does several things at once better than one.
const TASKS_AT_ONCE: usize = 8;

/// [`Disk`] on the kernel's file systems. Paths are used as they are given: the disk is rooted nowhere.
#[derive(Default, Debug)]
pub struct SystemDisk {
    /// Files that `write_at` created and whose directory entries are not durable yet.
    created: Mutex<BTreeSet<PathBuf>>,
    recorder: Option<Arc<Recorder>>,
}

impl SystemDisk {
    /// The disk.
    pub fn new() -> SystemDisk {
        SystemDisk::default()
    }

    /// The disk, with every change recorded for a test of power cuts.
    pub fn recorded(recorder: Arc<Recorder>) -> SystemDisk {
        SystemDisk { created: Mutex::default(), recorder: Some(recorder) }
    }

    fn change<R>(
        &self,
        change: impl FnOnce() -> Change,
        act: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        match &self.recorder {
            None => act(),
            Some(recorder) => recorder.around(change(), act),
        }
    }

    fn created(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        // A set of paths is whole whatever panicked while it was locked.
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens for writing; says to the record when that made the file.
    fn open_durably(&self, path: &Path) -> io::Result<File> {
        let (file, created) = fs::open(path, OpenHow::Buffered, fs::Direct::Demanded)?;
        if let Some(recorder) = &self.recorder {
            recorder.opened(path, &file, created)?;
        }
        Ok(file)
    }
}

impl Disk for SystemDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let is_directory = metadata.is_dir();
            let len = if is_directory { 0 } else { metadata.len() };
            list.push(DirectoryEntry { path: entry.path(), is_directory, len });
        }
        list.sort();
        Ok(list)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = File::open(path)?;
        fs::read_at_most(&file, offset, buffer)
    }

    fn write_at(&self, path: &Path, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let (file, created) = match options.open(path) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_directories(&fs::parent_of(path)?)?;
                (options.create(true).truncate(false).open(path)?, true)
            }
            Err(error) => return Err(error),
        };
        if created {
            self.created().insert(path.to_path_buf());
        }
        let Some(recorder) = &self.recorder else { return file.write_all_at(data, offset) };
        let id = recorder.opened(path, &file, created)?;
        recorder.around(Change::Write { file: id, offset, data: data.to_vec() }, || {
            file.write_all_at(data, offset)
        })
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let flush = || {
            file.sync_all()?;
            if self.created().contains(path) {
                fs::sync_directory(&fs::parent_of(path)?)?;
                self.created().remove(path);
            }
            Ok(())
        };
        let Some(recorder) = &self.recorder else { return flush() };
        let id = recorder.opened(path, &file, false)?;
        recorder.around(Change::Flush { file: id }, flush)
    }

    fn set_length(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = self.open_durably(path)?;
        let Some(recorder) = &self.recorder else { return fs::set_length(&file, len) };
        let id = recorder.opened(path, &file, false)?;
        recorder.around(Change::SetLength { file: id, len }, || fs::set_length(&file, len))
    }

    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.change(
            || Change::Replace { path: path.to_path_buf(), data: data.to_vec() },
            || fs::replace(path, data),
        )
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.created().retain(|created| !created.starts_with(path));
        self.change(|| Change::Remove { path: path.to_path_buf() }, || fs::remove(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(
            || Change::Rename { from: from.to_path_buf(), to: to.to_path_buf() },
            || fs::rename(from, to),
        )
    }

    fn zero(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        let file = self.open_durably(path)?;
        let Some(recorder) = &self.recorder else { return fs::zero(&file, offset, len) };
        let id = recorder.opened(path, &file, false)?;
        recorder.around(Change::Zero { file: id, offset, len }, || fs::zero(&file, offset, len))
    }

    fn space(&self, path: &Path) -> io::Result<u64> {
        fs::space(path).map(|space| space.free)
    }

    fn carry_out(&self, tasks: Vec<Task<'_>>) {
        let threads = TASKS_AT_ONCE.min(tasks.len());
        let tasks = Mutex::new(tasks.into_iter());
        let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(task) = next() {
                        task();
                    }
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_listed_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = SystemDisk::new();
        let (b, a) = (directory.path().join("x/b"), directory.path().join("x/a"));
        disk.write_at(&b, 3, b"def").expect("written");
        disk.write_at(&a, 0, b"z").expect("written");
        disk.flush(&b).expect("flushed");
        let mut buffer = [9; 10];
        assert_eq!(disk.read_at(&b, 2, &mut buffer).expect("read"), 4);
        assert_eq!(&buffer[..4], b"\0def");
        let names: Vec<_> = disk.list(&directory.path().join("x")).expect("listed");
        assert_eq!(
            names.iter().map(|entry| (&entry.path, entry.len)).collect::<Vec<_>>(),
            [(&a, 1), (&b, 6)]
        );
        assert!(disk.list(&directory.path().join("none")).expect("empty").is_empty());
        assert_eq!(disk.read(&directory.path().join("none")).expect("asked"), None);
    }

    #[test]
    fn tasks_run_side_by_side_and_all_of_them() {
        let both = std::sync::Barrier::new(2);
        let meet = || -> Task<'_> {
            Box::new(|| {
                both.wait();
            })
        };
        SystemDisk::new().carry_out(vec![meet(), meet()]);
        let done = Mutex::new(BTreeSet::new());
        let task = |number| -> Task<'_> {
            let done = &done;
            Box::new(move || assert!(done.lock().expect("sound").insert(number)))
        };
        SystemDisk::new().carry_out((0..100).map(task).collect());
        assert!(done.into_inner().expect("sound").into_iter().eq(0..100));
    }

    #[test]
    fn zeroing_creates_the_file_and_lengths_change_as_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = SystemDisk::new();
        let path = directory.path().join("journal");
        disk.zero(&path, 0, 3 << 20).expect("zeroed");
        assert_eq!(disk.read(&path).expect("read").expect("there").len(), 3 << 20);
        disk.set_length(&path, 5).expect("cut");
        disk.rename(&path, &directory.path().join("other")).expect("renamed");
        assert_eq!(disk.read(&directory.path().join("other")).expect("read"), Some(vec![0; 5]));
        disk.remove(&directory.path().join("other")).expect("removed");
        assert!(disk.space(directory.path()).expect("asked") > 0);
    }
}
