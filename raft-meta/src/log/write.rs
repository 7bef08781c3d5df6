//! The one task that writes: takes what is queued, as one group, writes and flushes it, tells who waits.

use super::{
    format::{FRAME_HEADER_BYTES, Frame, Salt, StreamState, encode, frame, segment_path},
    recover::Segment,
};
use crate::{executor::Runtime, port::FilePort, types::TypeConfig};
use corelane_seam::{FileHandle, Slice};
use openraft::storage::IOFlushed;
use openraft_rt::AsyncRuntime;
use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    path::PathBuf,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};
use tokio::sync::oneshot;

/// Bytes of a group beyond which what is queued waits for the next one: bounds the memory of a write.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a segment's file that are allocated ahead, so that metadata goes on for long where others have filled the disk.
const AHEAD_BYTES: u64 = 1024 * 1024;

/// How soon what found no space is written again.
const SPACE_AGAIN: Duration = Duration::from_millis(200);

/// Who is told when a frame is flushed.
pub enum Done {
    /// No one.
    Nobody,
    /// openraft, of an append.
    Append(IOFlushed<TypeConfig>),
    /// A task that waits.
    Signal(oneshot::Sender<io::Result<()>>),
}

impl Done {
    fn tell(self, result: &Result<(), String>) {
        let result = result.clone().map_err(io::Error::other);
        match self {
            Done::Nobody => {}
            Done::Append(callback) => callback.io_completed(result),
            // The task may have been dropped with its quorum.
            Done::Signal(sender) => drop(sender.send(result)),
        }
    }
}

/// A frame on its way to the disk; without one, only a place in the order.
pub struct Queued {
    pub frame: Option<Frame>,
    pub done: Done,
}

/// What waits for the next group, and what the stream is like.
pub struct Stream {
    pub directory: PathBuf,
    pub salt: Salt,
    /// Bytes of a segment beyond which the next group begins another one.
    pub segment_bytes_max: u64,
    pub queue: VecDeque<Queued>,
    /// Rides with the next group; not worth a flush of its own.
    pub committed: Option<Frame>,
    /// As of the last frame that went into a group.
    pub written: StreamState,
    pub segments: VecDeque<Segment>,
    /// Why nothing is written any more, ever.
    pub poison: Option<String>,
    pub closing: bool,
    pub waker: Option<Waker>,
}

impl Stream {
    /// Queues a frame and wakes the writer.
    pub fn push(&mut self, frame: Option<Frame>, done: Done) {
        if let Some(reason) = &self.poison {
            return done.tell(&Err(reason.clone()));
        }
        self.queue.push_back(Queued { frame, done });
        self.wake();
    }

    /// Lets the writer end once everything is written.
    pub fn close(&mut self) {
        self.closing = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && !(self.closing && self.committed.is_some())
    }

    /// Frames what is queued, for the end of the segment or for the beginning of the next one.
    fn next_group(&mut self) -> Group {
        let tail = *self.segments.back().expect("a log has a segment");
        let opens = tail.bytes >= self.segment_bytes_max;
        let mut group = if opens {
            Group::at(Segment { number: tail.number + 1, bytes: 0, index_max: None })
        } else {
            Group::at(tail)
        };
        let head = if opens {
            Frame::Open { previous_bytes: Some(tail.bytes), state: self.written }
        } else {
            Frame::Group
        };
        group.add(self.salt, &head);
        while group.bytes.len() < GROUP_BYTES_MAX
            && let Some(Queued { frame, done }) = self.queue.pop_front()
        {
            self.add(&mut group, frame);
            group.done.push(done);
        }
        if self.queue.is_empty() {
            // Never ahead of the entries that it speaks of.
            let committed = self.committed.take();
            self.add(&mut group, committed);
        }
        group
    }

    fn add(&mut self, group: &mut Group, frame: Option<Frame>) {
        let Some(frame) = frame else { return };
        self.written.follow(&frame).expect("the store queues only what can follow");
        if let Frame::Entry(entry) = &frame {
            group.segment.index_max = group.segment.index_max.max(Some(entry.id.index));
        }
        group.add(self.salt, &frame);
    }

    /// The oldest segment, if all of its entries are purged and it is not the one that is written to.
    fn removable(&self) -> Option<u64> {
        let oldest = self.segments.front().filter(|_| self.segments.len() > 1)?;
        let purged = self.written.purged.map(|purged| purged.index);
        (oldest.index_max <= purged).then_some(oldest.number)
    }

    fn break_down(&mut self, reason: &str) -> Vec<Done> {
        self.poison.get_or_insert_with(|| reason.to_owned());
        self.queue.drain(..).map(|queued| queued.done).collect()
    }
}

/// One write.
struct Group {
    /// Where it goes: the segment as it is after the write.
    segment: Segment,
    offset: u64,
    bytes: Vec<u8>,
    done: Vec<Done>,
}

impl Group {
    fn at(segment: Segment) -> Group {
        Group { segment, offset: segment.bytes, bytes: Vec::new(), done: Vec::new() }
    }

    fn add(&mut self, salt: Salt, what: &Frame) {
        let body = encode(what);
        frame(&mut self.bytes, salt, self.segment.number, self.segment.bytes, &body);
        self.segment.bytes += (FRAME_HEADER_BYTES + body.len()) as u64;
    }
}

/// The segment that is written to.
struct OpenSegment {
    number: u64,
    handle: FileHandle,
    /// The file has blocks for all that lies below.
    allocated_end: u64,
}

/// Writes groups until the stream is closed or an error poisons it. True if it was closed in order. A disk without space is
/// no such error: what it refused is written again, at the same place, until there is some, and meanwhile this voter is
/// like one that is slow. Nothing of it was promised to anyone.
pub(crate) async fn write_loop(stream: Rc<RefCell<Stream>>, port: FilePort) -> bool {
    let mut file: Option<OpenSegment> = None;
    while wait(&stream).await {
        let group = stream.borrow_mut().next_group();
        let number = group.segment.number;
        let (done, segment) = (group.done, group.segment);
        let result = write(&stream, &port, &mut file, number, group.offset, &group.bytes).await;
        let result = result.map_err(|error| format!("writing the metadata log failed: {error}"));
        let mut told = done;
        match &result {
            Ok(()) => {
                let mut stream = stream.borrow_mut();
                stream.segments.pop_back_if(|tail| tail.number == number);
                stream.segments.push_back(segment);
            }
            Err(reason) => told.extend(stream.borrow_mut().break_down(reason)),
        }
        // Outside of any borrow: a callback may come back into the store.
        told.into_iter().for_each(|done| done.tell(&result));
        if result.is_err() {
            return false;
        }
        remove_purged(&stream, &port).await;
    }
    true
}

async fn wait(stream: &RefCell<Stream>) -> bool {
    std::future::poll_fn(|context| {
        let mut stream = stream.borrow_mut();
        if !stream.is_idle() {
            return Poll::Ready(true);
        }
        if stream.closing {
            return Poll::Ready(false);
        }
        stream.waker = Some(context.waker().clone());
        Poll::Pending
    })
    .await
}

async fn write(
    stream: &RefCell<Stream>,
    port: &FilePort,
    file: &mut Option<OpenSegment>,
    number: u64,
    offset: u64,
    bytes: &[u8],
) -> io::Result<()> {
    let segment = match file {
        Some(segment) if segment.number == number => segment,
        Some(_) | None => {
            let path = segment_path(&stream.borrow().directory, number);
            let (handle, len) = port.open(path.clone()).await?;
            if len != offset {
                let text = format!("{} has {len} bytes, not {offset}", path.display());
                return Err(io::Error::other(text));
            }
            file.insert(OpenSegment { number, handle, allocated_end: 0 })
        }
    };
    let end = offset + bytes.len() as u64;
    let data = Slice::copy_from(bytes);
    loop {
        if end > segment.allocated_end {
            let len = end + AHEAD_BYTES - offset;
            // Where there is no space for that much, there may be enough for this.
            if port.allocate(segment.handle.clone(), offset, len).await.is_ok() {
                segment.allocated_end = offset + len;
            }
        }
        match port.write(segment.handle.clone(), offset, data.clone()).await {
            Err(error) if is_full(&error) && !stream.borrow().closing => Runtime::sleep(SPACE_AGAIN).await,
            result => return result,
        }
    }
}

/// A write that met the end of the space is cut short, or refused.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::WriteZero)
}

/// Removes whole segments from the front, one after the other, so that those left always follow each other. Only
/// after the purge itself is flushed, which it is when its group is.
async fn remove_purged(stream: &RefCell<Stream>, port: &FilePort) {
    loop {
        let removable = {
            let stream = stream.borrow();
            stream.removable().map(|number| segment_path(&stream.directory, number))
        };
        let Some(path) = removable else { return };
        if let Err(error) = port.remove(path.clone()).await {
            // It costs space, not safety; the next group tries again.
            tracing::warn!(path = %path.display(), %error, "a purged segment of the metadata log stays");
            return;
        }
        stream.borrow_mut().segments.pop_front();
    }
}
