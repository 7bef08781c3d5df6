//! Blocking file operations that are durable when they return: what the helper threads of a driver and
//! [`SystemDisk`](crate::SystemDisk) share. Nothing here may run on a shard's thread.

use corelane_seam::{BLOCK, ChunkWriter, OpenHow, Space};
use rustix::fs::FallocateFlags;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    num::NonZeroU64,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::{FileExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

/// How much is zeroed with one write: large enough for a disk's full speed, small enough to stay in its cache.
const ZERO_CHUNK: u64 = 1 << 20;

/// What becomes of [`OpenHow::Direct`] where the file system refuses direct access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direct {
    /// An error.
    Demanded,
    /// Buffered access: what is flushed is as safe, and slower.
    Preferred,
}

/// What a file system says that has no direct access.
pub(crate) fn is_refusal_of_direct(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

/// Gives up direct access to an open file, for all who have it open by the same descriptor.
pub(crate) fn become_buffered(file: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, flags.difference(rustix::fs::OFlags::DIRECT))?)
}

/// Opens as [`OpenHow`] says. The flag tells whether the file was created, and then its directory entry (and those of
/// the directories made for it) are on stable storage.
pub(crate) fn open(path: &Path, how: OpenHow, direct: Direct) -> io::Result<(File, bool)> {
    let mut plain = OpenOptions::new();
    plain.read(true);
    if how == OpenHow::Read {
        let file = plain.open(path)?;
        advise_random(&file);
        return Ok((file, false));
    }
    plain.write(true);
    let open = || match how {
        OpenHow::Direct => match plain.clone().custom_flags(libc::O_DIRECT).open(path) {
            Err(error) if direct == Direct::Preferred && is_refusal_of_direct(&error) => plain.open(path),
            other => other,
        },
        OpenHow::Buffered | OpenHow::Read => plain.open(path),
    };
    match open() {
        Ok(file) => return Ok((file, false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let parent = parent_of(path)?;
    create_directories(&parent)?;
    // Without direct access: a kernel that refuses it leaves the new file behind, and no one would know whose it is.
    plain.clone().create(true).truncate(false).open(path)?.sync_all()?;
    sync_directory(&parent)?;
    Ok((open()?, true))
}

/// Whether a direct write of this file with `RWF_DSYNC` is submitted without waiting, and flushed by the kernel's own workers
/// where it needs that: so on file systems whose direct writes end in the kernel's iomap. Others flush before the
/// submission returns (btrfs), which a shard must not wait for.
pub(crate) fn writes_through(file: &File) -> bool {
    const EXT4: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    rustix::fs::fstatfs(file).is_ok_and(|found| matches!(found.f_type as u64, EXT4 | XFS))
}

/// Random access: the kernel then reads no page that was not asked for, so none beyond what is flushed.
fn advise_random(file: &File) {
    // SAFETY: the descriptor is open; the call touches no memory of ours. Advice that is refused changes nothing.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
}

/// The directory that holds `path`.
pub(crate) fn parent_of(path: &Path) -> io::Result<PathBuf> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(PathBuf::from(".")),
        Some(parent) => Ok(parent.to_path_buf()),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} has no parent", path.display()))),
    }
}

/// fsync of a directory: makes creations, renames and removals in it durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a directory and its missing ancestors, durably.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path)?;
    create_directories(&parent)?;
    match fs::create_dir(path) {
        Ok(()) => sync_directory(&parent),
        // Another thread made it in between; its entry must be durable for us as well.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            sync_directory(&parent)
        }
        Err(error) => Err(error),
    }
}

/// See [`FileOperation::Replace`](corelane_seam::FileOperation::Replace). The temporary file is `<name>.tmp`: one that
/// a crash left behind is overwritten by the next replacement instead of piling up.
pub(crate) fn replace(path: &Path, data: &[u8]) -> io::Result<()> {
    let parent = parent_of(path)?;
    create_directories(&parent)?;
    let mut temporary = OsString::from(path.as_os_str());
    temporary.push(".tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(data)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_directory(&parent)
}

/// See [`FileOperation::Remove`](corelane_seam::FileOperation::Remove).
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Also when it was gone already: whoever removed it may have died before the directory was flushed.
    match sync_directory(&parent_of(path)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// See [`FileOperation::Rename`](corelane_seam::FileOperation::Rename).
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let (old, new) = (parent_of(from)?, parent_of(to)?);
    sync_directory(&new)?;
    if old != new {
        sync_directory(&old)?;
    }
    Ok(())
}

/// Reserves blocks for a range. The file's length stays what it is.
pub(crate) fn reserve(file: &File, offset: u64, len: u64) -> io::Result<()> {
    allocate(file, offset, len, FallocateFlags::KEEP_SIZE)
}

/// Reserves blocks for a range, and makes the file so long that it holds the range.
pub(crate) fn lengthen(file: &File, offset: u64, len: u64) -> io::Result<()> {
    allocate(file, offset, len, FallocateFlags::empty())
}

fn allocate(file: &File, offset: u64, len: u64, flags: FallocateFlags) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, flags, offset, len) {
        // A file system without it allocates and lengthens when written; that is slower, not wrong.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reserves a range, fills it with zeros and flushes, so that a later write there changes no metadata. On a file opened
/// for direct access the range is whole blocks.
pub(crate) fn zero(file: &File, offset: u64, len: u64) -> io::Result<()> {
    reserve(file, offset, len)?;
    let mut chunk = ChunkWriter::with_capacity(len.clamp(1, ZERO_CHUNK) as usize);
    chunk.append_with(chunk.capacity(), |_| ());
    let zeros = chunk.slice(0..chunk.len());
    let mut at = offset;
    let end = offset.saturating_add(len);
    while at < end {
        let step = (end - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..step as usize], at)?;
        at += step;
    }
    file.sync_all()
}

/// Fills `buffer` from `offset`; returns how many bytes there were, fewer only at the end of the file.
pub(crate) fn read_at_most(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Cuts or extends, and flushes the new length.
pub(crate) fn set_length(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    file.sync_all()
}

/// What an unprivileged process may still write to the file system of `path`, and how large that is.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: `statvfs` is plain data for which zero is a valid value; the path is a live, terminated string.
    let stat = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(path.as_ptr(), &raw mut stat) != 0 {
            return Err(io::Error::last_os_error());
        }
        stat
    };
    Ok(Space {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// How much is asked of the disk with one piece of advice: the kernel cuts what is longer than its largest request.
const ADVICE_BYTES: u64 = 256 << 10;

/// Reads a range so that the page cache holds it. A file that ends before the range does is no error here: the send
/// finds out.
///
/// The disk is asked for all of it at once; then comes what is to be done `meanwhile`; then the range is sent to nowhere, which
/// waits for every page and copies none.
pub(crate) fn warm(file: BorrowedFd<'_>, offset: u64, len: u64, meanwhile: impl FnOnce()) -> io::Result<()> {
    let end = offset.saturating_add(len);
    ask_for(file, offset, len);
    meanwhile();
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    let mut at = offset;
    while at < end {
        let left = (end - at) as usize;
        match rustix::fs::sendfile(&nowhere, file, Some(&mut at), left) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Has the disk read a range into the page cache, without waiting for it. Where that is not done it is read later.
pub(crate) fn ask_for(file: BorrowedFd<'_>, offset: u64, len: u64) {
    let (mut at, end) = (offset, offset.saturating_add(len));
    while let Some(len) = NonZeroU64::new(ADVICE_BYTES.min(end - at)) {
        let _ = rustix::fs::fadvise(file, at, Some(len), rustix::fs::Advice::WillNeed);
        at += len.get();
    }
}

fn signed(value: u64) -> io::Result<i64> {
    i64::try_from(value)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "beyond what a file can hold"))
}

/// Whether all pages of a range are in the page cache, and have been read. Never blocks on the disk.
pub(crate) fn is_cached(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<bool> {
    if len == 0 {
        return Ok(true);
    }
    match cached_pages(file, offset, len) {
        Ok(pages) => Ok(pages >= pages_of(offset, len) && is_read(file, offset + len - 1)?),
        // Unknown to the kernel, or to a filter of system calls that is older than it.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            resident(file, offset, len)
        }
        Err(error) => Err(error),
    }
}

/// Whether the page of a byte is there to be copied. While the disk still reads a page for someone else it counts as
/// cached, and whoever sends it waits; the last one of a range is the last to come.
fn is_read(file: BorrowedFd<'_>, at: u64) -> io::Result<bool> {
    let mut byte = [0];
    let mut into = [io::IoSliceMut::new(&mut byte)];
    match rustix::io::preadv2(file, &mut into, at, rustix::io::ReadWriteFlags::NOWAIT) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::AGAIN) => Ok(false),
        // A file system that cannot tell.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Pages that a range touches.
fn pages_of(offset: u64, len: u64) -> u64 {
    let page = BLOCK as u64;
    (offset + len).div_ceil(page) - offset / page
}

/// `cachestat(2)`, Linux 6.5 and later. The C library does not know it yet.
fn cached_pages(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<u64> {
    const SYS_CACHESTAT: libc::c_long = 451;
    let range = [offset, len];
    let mut statistics = [0_u64; 5];
    // SAFETY: the kernel reads two and writes five 64-bit words, which is what the arrays hold (uapi/linux/mman.h).
    let result =
        unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), range.as_ptr(), statistics.as_mut_ptr(), 0) };
    if result == 0 { Ok(statistics[0]) } else { Err(io::Error::last_os_error()) }
}

/// The same question by `mincore(2)`, for older kernels.
fn resident(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<bool> {
    let start = offset / BLOCK as u64 * BLOCK as u64;
    let pages = pages_of(offset, len) as usize;
    let bytes = pages * BLOCK;
    // SAFETY: a fresh read-only mapping at an address of the kernel's choice; it is never dereferenced (so a file cut
    // meanwhile raises no SIGBUS) and unmapped below.
    let map = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            signed(start)?,
        )
    };
    if map == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let mut states = vec![0_u8; pages];
    // SAFETY: `map` is the mapping made above, of `bytes` bytes; `states` has one byte a page.
    let result = unsafe {
        let result = libc::mincore(map, bytes, states.as_mut_ptr());
        let error = io::Error::last_os_error();
        libc::munmap(map, bytes);
        if result == 0 { Ok(()) } else { Err(error) }
    };
    result.map(|()| states.iter().all(|state| state & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_range_counts_every_page_it_touches() {
        assert_eq!(pages_of(0, 1), 1);
        assert_eq!(pages_of(4095, 2), 2);
        assert_eq!(pages_of(4096, 4096), 1);
        assert_eq!(pages_of(1, 8192), 3);
    }

    #[test]
    fn both_ways_of_asking_see_a_range_go_cold_and_warm_again() {
        let directory = tempfile::tempdir_in(".").expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, vec![1; 1 << 20]).expect("written");
        let file = File::open(&path).expect("opened");
        file.sync_all().expect("flushed");
        advise_random(&file);
        // SAFETY: a plain system call on an open descriptor.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        let cold = resident(file.as_fd(), 5000, 300_000).expect("mincore");
        assert_eq!(is_cached(file.as_fd(), 5000, 300_000).expect("asked"), cold);
        assert_eq!(is_read(file.as_fd(), 304_999).expect("asked"), cold);
        warm(file.as_fd(), 5000, 300_000, || ()).expect("warmed");
        assert!(is_read(file.as_fd(), 304_999).expect("asked"));
        assert!(is_cached(file.as_fd(), 5000, 300_000).expect("asked"));
        assert!(resident(file.as_fd(), 5000, 300_000).expect("mincore"));
    }

    #[test]
    fn warming_reads_nothing_beyond_the_range_and_takes_a_short_file() {
        let directory = tempfile::tempdir_in(".").expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, vec![1; 1 << 20]).expect("written");
        let (file, _) = open(&path, OpenHow::Read, Direct::Demanded).expect("opened");
        file.sync_all().expect("flushed");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advised");
        let was_cold = cached_pages(file.as_fd(), 0, 1 << 20).is_ok_and(|pages| pages == 0);
        warm(file.as_fd(), 100_000, 400_000, || ()).expect("warmed");
        assert!(is_cached(file.as_fd(), 100_000, 400_000).expect("asked"));
        if was_cold {
            let pages = cached_pages(file.as_fd(), 0, 1 << 20).expect("asked");
            assert_eq!(pages, pages_of(100_000, 400_000));
        }
        warm(file.as_fd(), 1 << 19, 1 << 20, || ()).expect("beyond its end there is nothing to read");
        assert!(is_cached(file.as_fd(), 1 << 19, 1 << 19).expect("asked"));
    }

    #[test]
    fn replacing_makes_the_directories_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/b/file");
        replace(&path, b"one").expect("made");
        replace(&path, b"two").expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(path.parent().expect("a parent")).expect("listed").count(), 1);
    }

    #[test]
    fn removing_what_is_gone_is_no_error_and_a_directory_goes_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        remove(&directory.path().join("none/at/all")).expect("gone already");
        replace(&directory.path().join("a/b/file"), b"x").expect("made");
        remove(&directory.path().join("a")).expect("removed");
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
    }

    #[test]
    fn zeroing_changes_no_byte_outside_the_range() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, [7; 100]).expect("written");
        let (file, created) = open(&path, OpenHow::Buffered, Direct::Demanded).expect("opened");
        assert!(!created);
        zero(&file, 10, 20).expect("zeroed");
        reserve(&file, 0, 1 << 16).expect("reserved");
        let bytes = fs::read(&path).expect("read");
        assert_eq!((bytes.len(), &bytes[8..12], &bytes[28..32]), (100, &[7, 7, 0, 0][..], &[0, 0, 7, 7][..]));
    }

    #[test]
    fn a_file_that_is_lengthened_reads_as_zeros_behind_what_it_held_and_is_never_cut() {
        let directory = tempfile::tempdir_in(".").expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, vec![7; 100]).expect("written");
        let (file, _) = open(&path, OpenHow::Buffered, Direct::Demanded).expect("opened");
        lengthen(&file, 50, 200).expect("lengthened");
        lengthen(&file, 0, 60).expect("lengthened");
        let bytes = fs::read(&path).expect("read");
        assert_eq!(bytes, [vec![7; 100], vec![0; 150]].concat());
    }
}
