//! The journal: what makes an append durable before it reaches its segment.
//!
//! A journal is a physical redo log. An append entry says "these bytes stand at this position of this segment", so
//! replaying one twice changes nothing, a batch may be spread over entries and groups, and many batches may share
//! one. Groups are laid one behind the other in a file that is used as a ring; see [`ring`] for which of its blocks
//! may be written again, and [`group`] for the bytes.

pub(super) mod entry;
pub(super) mod group;
pub(super) mod ring;
pub(super) mod under_way;
