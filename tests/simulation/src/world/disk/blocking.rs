//! The blocking face, for recovery: the same images, and a machine that may crash at any call.

use super::{Contents, CrashNow, Entry, SimDisk, State, injected, lock, missing};
use corelane_seam::{DirectoryEntry, Disk};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

impl SimDisk {
    /// Enters a call: crashes if its time has come, else folds the call into the digest.
    fn call(&self, name: &str, path: &Path, detail: &[u64]) -> MutexGuard<'_, State> {
        let mut state = lock(&self.0);
        match &mut state.calls_before_crash {
            Some(0) => state.crashed = true,
            Some(calls) => *calls -= 1,
            None => {}
        }
        if state.crashed {
            drop(state);
            // Not a panic: no hook runs and nothing is printed; the world catches it.
            std::panic::resume_unwind(Box::new(CrashNow));
        }
        state.hash.bytes(name.as_bytes());
        state.hash.bytes(path.as_os_str().as_encoded_bytes());
        detail.iter().for_each(|word| state.hash.word(*word));
        state
    }
}

impl State {
    fn named(&self, path: &Path) -> io::Result<Arc<Mutex<Contents>>> {
        self.names.get(path).map(|entry| Arc::clone(&entry.contents)).ok_or_else(|| missing(path))
    }

    fn blocking_error(&mut self, per_million: u32) -> io::Result<()> {
        if self.faults.blocking && self.rng.chance(per_million) { Err(injected()) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut state = self.call("list", directory, &[]);
        let read_error = state.faults.read_error;
        state.blocking_error(read_error)?;
        let mut found: BTreeMap<PathBuf, DirectoryEntry> = BTreeMap::new();
        for (name, entry) in &state.names {
            let Ok(rest) = name.strip_prefix(directory) else { continue };
            let mut components = rest.components();
            let Some(first) = components.next() else { continue };
            let path = directory.join(first);
            let is_directory = components.next().is_some();
            let len = if is_directory { 0 } else { lock(&entry.contents).live().len() };
            found.insert(path.clone(), DirectoryEntry { path, is_directory, len });
        }
        Ok(found.into_values().collect())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.call("read", path, &[]);
        let read_error = state.faults.read_error;
        state.blocking_error(read_error)?;
        let bytes = state.names.get(path).map(|entry| lock(&entry.contents).live().to_vec());
        if let Some(bytes) = &bytes {
            state.hash.bytes(bytes);
        }
        Ok(bytes)
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.call("read_at", path, &[offset, buffer.len() as u64]);
        let read_error = state.faults.read_error;
        state.blocking_error(read_error)?;
        let file = state.named(path)?;
        let count = lock(&file).live().read(offset, buffer);
        state.hash.bytes(&buffer[..count]);
        Ok(count)
    }

    fn write_at(&self, path: &Path, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.call("write_at", path, &[offset]);
        state.hash.bytes(data);
        let occupied = state.names.get(path).map_or(0, |entry| lock(&entry.contents).occupied());
        state.room_for(occupied, offset + data.len() as u64)?;
        let entry = state
            .names
            .entry(path.to_owned())
            .or_insert_with(|| Entry { contents: Arc::new(Mutex::new(Contents::default())), durable: false });
        let file = Arc::clone(&entry.contents);
        let write_error = state.faults.write_error;
        if let Err(error) = state.blocking_error(write_error) {
            lock(&file).write_subset(offset, data, &mut state.rng);
            return Err(error);
        }
        lock(&file).write(offset, data);
        Ok(())
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call("flush", path, &[]);
        let file = state.named(path)?;
        let flush_error = state.faults.flush_error;
        if let Err(error) = state.blocking_error(flush_error) {
            lock(&file).flush_failed(&mut state.rng);
            return Err(error);
        }
        let mut contents = lock(&file);
        let everything = contents.changes();
        contents.flush(everything);
        drop(contents);
        if let Some(entry) = state.names.get_mut(path) {
            entry.durable = true;
        }
        Ok(())
    }

    fn set_length(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.call("set_length", path, &[len]);
        let file = state.named(path)?;
        let flush_error = state.faults.flush_error;
        state.blocking_error(flush_error)?;
        let mut contents = lock(&file);
        contents.set_len(len);
        let everything = contents.changes();
        contents.flush(everything);
        Ok(())
    }

    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let mut state = self.call("replace", path, &[]);
        state.hash.bytes(data);
        let write_error = state.faults.write_error;
        state.blocking_error(write_error)?;
        state.room_for(0, data.len() as u64)?;
        let contents = Arc::new(Mutex::new(Contents::durable_from(data)));
        state.names.insert(path.to_owned(), Entry { contents, durable: true });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call("remove", path, &[]);
        let write_error = state.faults.write_error;
        state.blocking_error(write_error)?;
        state.remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call("rename", from, &[]);
        state.hash.bytes(to.as_os_str().as_encoded_bytes());
        let write_error = state.faults.write_error;
        state.blocking_error(write_error)?;
        state.rename(from, to)
    }

    fn zero(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.call("zero", path, &[offset, len]);
        let occupied = state.names.get(path).map_or(0, |entry| lock(&entry.contents).occupied());
        state.room_for(occupied, offset + len)?;
        let write_error = state.faults.write_error;
        state.blocking_error(write_error)?;
        let entry = state
            .names
            .entry(path.to_owned())
            .or_insert_with(|| Entry { contents: Arc::new(Mutex::new(Contents::default())), durable: false });
        entry.durable = true;
        let file = Arc::clone(&entry.contents);
        lock(&file).zero(offset, len);
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<u64> {
        Ok(self.call("space", path, &[]).space())
    }
}
