//! Files in memory, for engines under test: every operation succeeds at once unless told otherwise.

use corelane_seam::{
    Allocation, ChunkWriter, DirectoryEntry, Disk, FileHandle, FileObject, FileOperation, FileResult, Page,
    Part, Slice, Space,
};
use std::{
    any::Any,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

type Content = Arc<Mutex<Vec<u8>>>;

/// Of a disk that nobody has filled.
const FREE_BYTES: u64 = 1 << 40;

/// A flat file system, how much of its disk others have taken, and what stands in the paths of files that
/// can be flushed no more.
#[derive(Clone, Default)]
pub struct Files(Arc<Mutex<BTreeMap<PathBuf, Content>>>, Arc<AtomicU64>, Arc<Mutex<Option<&'static str>>>);

struct Open(Content, PathBuf);

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Open")
    }
}

impl FileObject for Open {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn slice_of(bytes: &[u8]) -> Slice {
    let mut chunk = ChunkWriter::with_capacity(bytes.len().max(1));
    chunk.append(bytes);
    chunk.slice(0..bytes.len())
}

fn write(content: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let start = usize::try_from(offset).expect("small");
    if content.len() < start + data.len() {
        content.resize(start + data.len(), 0);
    }
    content[start..start + data.len()].copy_from_slice(data);
}

fn read(content: &[u8], offset: u64, len: usize) -> Vec<u8> {
    let start = usize::try_from(offset).expect("small").min(content.len());
    content[start..content.len().min(start + len)].to_vec()
}

impl Files {
    fn content(&self, path: &Path) -> Content {
        Arc::clone(self.0.lock().expect("one thread").entry(path.to_owned()).or_default())
    }

    fn existing(&self, path: &Path) -> Option<Content> {
        self.0.lock().expect("one thread").get(path).cloned()
    }

    /// The disk says from now on that so many bytes are free. No write is refused for it.
    pub fn leave_free(&self, bytes: u64) {
        self.1.store(FREE_BYTES - bytes, Ordering::Relaxed);
    }

    /// From now on no file can be flushed in whose path this stands.
    pub fn break_flushes_of(&self, part: &'static str) {
        *self.2.lock().expect("one thread") = Some(part);
    }

    fn flush(&self, file: &FileHandle) -> io::Result<()> {
        let path = file.downcast::<Open>().expect("ours").1.to_string_lossy();
        let fails = self.2.lock().expect("one thread").is_some_and(|broken| path.contains(broken));
        if fails { Err(io::Error::other("broken")) } else { Ok(()) }
    }

    /// The results of an operation, in order.
    pub fn carry_out(&self, operation: FileOperation) -> Vec<FileResult> {
        let content = |file: &FileHandle| Arc::clone(&file.downcast::<Open>().expect("ours").0);
        match operation {
            FileOperation::Open { path, .. } => {
                let content = self.content(&path);
                let len = content.lock().expect("one thread").len() as u64;
                vec![FileResult::Opened(Ok((FileHandle::new(Open(content, path)), len)))]
            }
            FileOperation::Write { file, offset, data, flush } => {
                write(&mut content(&file).lock().expect("one thread"), offset, &data);
                let mut results = vec![FileResult::Written(Ok(()))];
                results.extend(flush.is_wanted().then(|| FileResult::Flushed(self.flush(&file))));
                results
            }
            FileOperation::Flush { file } => {
                vec![FileResult::Flushed(self.flush(&file))]
            }
            FileOperation::Read { file, offset, len } => {
                let bytes = read(&content(&file).lock().expect("one thread"), offset, len);
                vec![FileResult::Read(Ok(slice_of(&bytes)))]
            }
            FileOperation::Allocate { file, offset, len, how } => {
                if how == Allocation::Zero {
                    let zeros = vec![0; usize::try_from(len).expect("small")];
                    write(&mut content(&file).lock().expect("one thread"), offset, &zeros);
                }
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::SetLength { file, len } => {
                content(&file).lock().expect("one thread").resize(usize::try_from(len).expect("small"), 0);
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::Replace { path, data } => {
                *self.content(&path).lock().expect("one thread") = data.to_vec();
                vec![FileResult::Done(Ok(()))]
            }
            FileOperation::Remove { path } => vec![FileResult::Done(self.remove(&path))],
            FileOperation::Rename { from, to } => vec![FileResult::Done(self.rename(&from, &to))],
            FileOperation::Space { .. } => {
                let free = FREE_BYTES - self.1.load(Ordering::Relaxed);
                vec![FileResult::Space(Ok(Space { free, total: 1 << 41 }))]
            }
            FileOperation::Page => vec![FileResult::Page(Page::plain())],
        }
    }

    /// The bytes that a list of parts stands for.
    pub fn bytes_of(parts: &[Part]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Bytes(part) => bytes.extend_from_slice(part),
                Part::Memory(part) => bytes.extend_from_slice(part),
                Part::File { file, offset, len } => {
                    let content =
                        file.downcast::<Open>().expect("ours").0.lock().expect("one thread").clone();
                    bytes.extend(read(&content, *offset, usize::try_from(*len).expect("small")));
                }
            }
        }
        bytes
    }
}

impl Disk for Files {
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = BTreeMap::new();
        for (path, content) in self.0.lock().expect("one thread").iter() {
            let Ok(rest) = path.strip_prefix(directory) else { continue };
            let mut parts = rest.components();
            let Some(first) = parts.next() else { continue };
            let is_directory = parts.next().is_some();
            let len = if is_directory { 0 } else { content.lock().expect("one thread").len() as u64 };
            let path = directory.join(first);
            entries.insert(path.clone(), DirectoryEntry { path, is_directory, len });
        }
        Ok(entries.into_values().collect())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.existing(path).map(|content| content.lock().expect("one thread").clone()))
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = self.existing(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = read(&content.lock().expect("one thread"), offset, buffer.len());
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_at(&self, path: &Path, offset: u64, data: &[u8]) -> io::Result<()> {
        write(&mut self.content(path).lock().expect("one thread"), offset, data);
        Ok(())
    }

    fn flush(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn set_length(&self, path: &Path, len: u64) -> io::Result<()> {
        self.content(path).lock().expect("one thread").resize(usize::try_from(len).expect("small"), 0);
        Ok(())
    }

    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        *self.content(path).lock().expect("one thread") = data.to_vec();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().expect("one thread").retain(|other, _| !other.starts_with(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.0.lock().expect("one thread");
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn zero(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        self.write_at(path, offset, &vec![0; usize::try_from(len).expect("small")])
    }

    fn space(&self, _path: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }
}
