//! The durable raft log: one ordered, append-only stream of checksummed records.
//!
//! # Format
//!
//! The stream is cut into segments, files `<number>.log` with numbers that follow each other. A segment is a row of
//! frames `[length u32][CRC32C u32][kind u8, body]`, little endian; the checksum covers directory id, segment number,
//! offset and length too, so that a frame is valid at its own place only. The first frame of a segment is *Open*: the
//! length of the previous segment and the state of the stream so far (vote, purged, committed, last). So whole
//! segments can be removed from the front, and a missing or shortened one is noticed.
//!
//! # What is durable when
//!
//! One write with fdatasync is in flight at a time; everything that is asked for meanwhile joins the next *group*.
//! Each group but a segment's first begins with a *Group* frame, which says: everything before me is flushed. When
//! recovery meets a bad frame with a valid Group frame behind it, flushed bytes are damaged, and it refuses; without
//! one, the bad frame was part of the last group, which no one was promised, and the stream is cut there.
//!
//! A vote is visible in memory only after its flush, an append calls back after its flush; the committed position
//! rides along with the next group. An error of a write or flush poisons the log for good. What is on the disk then is
//! not known even after a restart: the page cache may show what the disk never took. So recovery writes all that it
//! believes of the last segment into a new file, flushed, before anything is appended behind it.

mod format;
mod recover;
mod storage;
mod write;

pub(crate) use format::Salt;
pub(crate) use recover::{create, recover};
pub(crate) use storage::LogStore;
pub(crate) use write::write_loop;

#[cfg(test)]
mod tests;
