//! From a record to what a disk may hold after a power cut.

use super::{Change, FileId, Mark, Trace};
use corelane_seam::BLOCK;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

/// What the disk holds when power returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// How many marks of the trace had happened when the power went.
    pub cut: usize,
    /// When: the time of the last such mark (`CLOCK_MONOTONIC`, nanoseconds). What was acknowledged before it must
    /// be found in the image.
    pub at: u64,
    /// Every file, by its full name.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    /// Writes the files below `root` into the (new) directory `to`, under their names relative to `root`. Files that
    /// lie elsewhere are left out.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_to(&self, root: &Path, to: &Path) -> io::Result<()> {
        for (path, content) in &self.files {
            let Ok(relative) = path.strip_prefix(root) else { continue };
            let target = to.join(relative);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(target, content)?;
        }
        Ok(())
    }
}

/// Images of legal outcomes, without end: take as many as wanted. The first is the end of the trace with nothing
/// unflushed left; the others are cut at moments drawn from `seed`. The same trace and seed give the same images.
pub fn images(trace: &Trace, seed: u64) -> impl Iterator<Item = Image> + '_ {
    let history = History::of(trace);
    let mut chance = Chance(seed);
    let mut first = true;
    std::iter::from_fn(move || {
        let (cut, luck) = if first {
            (trace.marks.len(), Luck::Nothing)
        } else {
            let cut = chance.below(trace.marks.len() as u64 + 1) as usize;
            let luck = [Luck::Nothing, Luck::Everything, Luck::Mixed, Luck::Mixed][chance.below(4) as usize];
            (cut, luck)
        };
        first = false;
        Some(history.image(cut, luck, &mut chance))
    })
}

/// What becomes of writes that nothing promised.
#[derive(Clone, Copy)]
enum Luck {
    Nothing,
    Everything,
    Mixed,
}

/// SplitMix64: small, and the same on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn survives(&mut self, luck: Luck) -> bool {
        match luck {
            Luck::Nothing => false,
            Luck::Everything => true,
            Luck::Mixed => self.below(2) == 0,
        }
    }
}

struct Entry<'a> {
    change: &'a Change,
    begun: usize,
    /// Index of the mark, and whether it succeeded.
    finished: Option<(usize, bool)>,
}

impl Entry<'_> {
    fn done_before(&self, cut: usize) -> bool {
        self.finished.is_some_and(|(at, ok)| ok && at < cut)
    }
}

struct History<'a> {
    trace: &'a Trace,
    entries: Vec<Entry<'a>>,
    /// Per file: moments of begin and end of all that flushed it.
    flushes: BTreeMap<FileId, Vec<(usize, usize)>>,
}

impl<'a> History<'a> {
    fn of(trace: &'a Trace) -> History<'a> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for (index, mark) in trace.marks.iter().enumerate() {
            match mark {
                Mark::Begun { change, .. } => entries.push(Entry { change, begun: index, finished: None }),
                Mark::Finished { change, ok, .. } => {
                    if let Some(entry) = entries.get_mut(*change as usize) {
                        entry.finished = Some((index, *ok));
                    }
                }
            }
        }
        let mut flushes: BTreeMap<FileId, Vec<(usize, usize)>> = BTreeMap::new();
        for entry in &entries {
            let (Change::Flush { file } | Change::Zero { file, .. } | Change::SetLength { file, .. }) =
                entry.change
            else {
                continue;
            };
            if let Some((end, true)) = entry.finished {
                flushes.entry(*file).or_default().push((entry.begun, end));
            }
        }
        History { trace, entries, flushes }
    }

    /// Whether a flush that began after `entry` was done had itself succeeded before the cut.
    fn is_flushed(&self, entry: &Entry<'_>, file: FileId, cut: usize) -> bool {
        let Some((done, true)) = entry.finished else { return false };
        self.flushes.get(&file).is_some_and(|all| all.iter().any(|(begun, end)| *begun > done && *end < cut))
    }

    fn image(&self, cut: usize, luck: Luck, chance: &mut Chance) -> Image {
        let mut disk = Files::default();
        for entry in self.entries.iter().take_while(|entry| entry.begun < cut) {
            self.apply(entry, cut, luck, chance, &mut disk);
        }
        let at = match cut.checked_sub(1).map(|last| &self.trace.marks[last]) {
            None => 0,
            Some(Mark::Begun { at, .. } | Mark::Finished { at, .. }) => *at,
        };
        Image { cut, at, files: disk.into_files() }
    }

    fn apply(&self, entry: &Entry<'_>, cut: usize, luck: Luck, chance: &mut Chance, disk: &mut Files) {
        let done = entry.done_before(cut);
        match entry.change {
            Change::Found { path, file, content } => disk.put(path, *file, content.clone()),
            Change::Create { path, file, durable } => {
                let kept = done && *durable || self.is_flushed(entry, *file, cut);
                if kept || chance.survives(luck) {
                    disk.put(path, *file, Vec::new());
                }
            }
            Change::Write { file, offset, data } => {
                let kept = self.is_flushed(entry, *file, cut);
                disk.write(*file, *offset, data, &mut || kept || chance.survives(luck));
            }
            Change::WriteThrough { file, offset, data } => {
                disk.write(*file, *offset, data, &mut || done || chance.survives(luck));
            }
            Change::Zero { file, offset, len } => {
                let zeros = vec![0; *len as usize];
                disk.write(*file, *offset, &zeros, &mut || done || chance.survives(luck));
            }
            Change::Flush { .. } => {}
            Change::Lengthen { file, to } => {
                if self.is_flushed(entry, *file, cut) || chance.survives(luck) {
                    disk.lengthen(*file, *to);
                }
            }
            Change::SetLength { file, len } => {
                if done || chance.survives(luck) {
                    disk.set_length(*file, *len);
                }
            }
            Change::Replace { path, data } => {
                if done || chance.survives(luck) {
                    let file = FileId(u64::MAX - entry.begun as u64);
                    disk.put(path, file, data.clone());
                }
            }
            // A directory that is being removed may be found half empty.
            Change::Remove { path } => disk.remove(path, &mut || done || chance.survives(luck)),
            Change::Rename { from, to } => {
                if done || chance.survives(luck) {
                    disk.rename(from, to);
                }
            }
        }
    }
}

#[derive(Default)]
struct Files {
    names: BTreeMap<PathBuf, FileId>,
    contents: BTreeMap<FileId, Vec<u8>>,
}

impl Files {
    fn put(&mut self, path: &Path, file: FileId, content: Vec<u8>) {
        self.names.insert(path.to_path_buf(), file);
        self.contents.insert(file, content);
    }

    /// Writes those blocks for which `survives` says so.
    fn write(&mut self, file: FileId, offset: u64, data: &[u8], survives: &mut dyn FnMut() -> bool) {
        let Some(content) = self.contents.get_mut(&file) else { return };
        let mut at = offset as usize;
        let mut rest = data;
        while !rest.is_empty() {
            let (block, after) = rest.split_at(rest.len().min(BLOCK - at % BLOCK));
            if survives() {
                if content.len() < at + block.len() {
                    content.resize(at + block.len(), 0);
                }
                content[at..at + block.len()].copy_from_slice(block);
            }
            at += block.len();
            rest = after;
        }
    }

    fn lengthen(&mut self, file: FileId, to: u64) {
        if let Some(content) = self.contents.get_mut(&file) {
            content.resize(content.len().max(to as usize), 0);
        }
    }

    fn set_length(&mut self, file: FileId, len: u64) {
        if let Some(content) = self.contents.get_mut(&file) {
            content.resize(len as usize, 0);
        }
    }

    fn below(&self, path: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|name| name.starts_with(path)).cloned().collect()
    }

    fn remove(&mut self, path: &Path, happens: &mut dyn FnMut() -> bool) {
        for name in self.below(path) {
            if happens() {
                self.names.remove(&name);
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        for name in self.below(from) {
            let Some(file) = self.names.remove(&name) else { continue };
            let rest = name.strip_prefix(from).unwrap_or(Path::new(""));
            let target = if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) };
            self.names.insert(target, file);
        }
    }

    fn into_files(self) -> BTreeMap<PathBuf, Vec<u8>> {
        let Files { names, mut contents } = self;
        let mut shared: BTreeMap<FileId, usize> = BTreeMap::new();
        for file in names.values() {
            *shared.entry(*file).or_default() += 1;
        }
        let once: BTreeSet<FileId> =
            shared.into_iter().filter(|(_, n)| *n == 1).map(|(file, _)| file).collect();
        let mut files = BTreeMap::new();
        for (name, file) in names {
            let content =
                if once.contains(&file) { contents.remove(&file) } else { contents.get(&file).cloned() };
            files.insert(name, content.unwrap_or_default());
        }
        files
    }
}
