//! The codecs of record batches, streamed: what comes out is bounded whatever the bytes claim.

use super::header::Codec;
use std::io::{self, BufRead, Read, Write};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

mod lz4;
mod snappy;

use snappy::SnappyBlocks;

/// How many times its compressed size (at least [`EXPANSION_BASE_BYTES`]) a batch may have when decompressed. Text
/// and JSON stay under 20; a batch of nothing but zeros under zstd reaches tens of thousands, and only a bomb needs
/// that. The bound is on time as much as on memory, because the shard's others wait: large records go by at 1 GB per
/// second and more, but records of a few bytes, of which each is looked at, at 300 to 450 MB per second.
pub const EXPANSION_MAX: usize = 64;

/// Smaller batches count as this large, Kafka's default `max.message.bytes`: small and very regular ones are normal.
pub const EXPANSION_BASE_BYTES: usize = 1024 * 1024;

/// The largest zstd window that is accepted, as a power of two: what level 22 of Kafka's own clients asks for, and
/// zstd's default. The memory is reserved at once but touched only as far as output fills it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Context memory above which it is dropped after use instead of kept for the next batch: the window of zstd's
/// default level is 2 MiB.
const ZSTD_KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Decompressed bytes that are looked at together.
const WINDOW_BYTES: usize = 64 * 1024;

/// Bytes to which a batch of `compressed` bytes may expand.
pub fn decompressed_bytes_max(compressed: usize) -> usize {
    compressed.max(EXPANSION_BASE_BYTES).saturating_mul(EXPANSION_MAX)
}

/// Why a batch cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressFault {
    /// The bytes are not what the codec says.
    #[error("{codec} data is damaged: {detail}", codec = codec.name())]
    Damaged {
        /// The codec of the batch.
        codec: Codec,
        /// What its decoder said.
        detail: String,
    },
    /// More comes out than is allowed.
    #[error("decompressed records exceed {bound} bytes")]
    TooLarge {
        /// The bound.
        bound: usize,
    },
}

impl DecompressFault {
    fn damaged(codec: Codec, detail: impl ToString) -> DecompressFault {
        DecompressFault::Damaged { codec, detail: detail.to_string() }
    }
}

/// Buffers and contexts that are used again for every batch of a shard. Holds at most 64 KiB, one snappy block and
/// one zstd context between batches.
#[derive(Default)]
pub struct Scratch {
    window: Vec<u8>,
    snappy_block: Vec<u8>,
    zstd: Option<DCtx<'static>>,
}

impl Scratch {
    /// Without any memory yet.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// A reader of what `body` (the records of a batch under `codec`) decompresses to, at most `bound` bytes.
    ///
    /// Errors of the reader carry a [`DecompressFault`] (see [`fault_of`]).
    pub fn decompress<'a>(
        &'a mut self,
        codec: Codec,
        body: &'a [u8],
        bound: usize,
    ) -> Result<Decompressor<'a>, DecompressFault> {
        self.give_back_excess();
        let source = match codec {
            Codec::None => Source::Plain(body),
            Codec::Gzip => Source::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(body))),
            Codec::Snappy => Source::Snappy(SnappyBlocks::new(body, &mut self.snappy_block, bound)),
            Codec::Lz4 => {
                lz4::check_frame(body).map_err(|detail| DecompressFault::damaged(codec, detail))?;
                Source::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(body)))
            }
            Codec::Zstd => {
                let context = self.zstd.get_or_insert_with(DCtx::create);
                let ready = context
                    .reset(ResetDirective::SessionOnly)
                    .and_then(|_| context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)));
                ready.map_err(zstd_fault)?;
                Source::Zstd(ZstdFrames { context, input: InBuffer::around(body), inside_frame: true })
            }
        };
        self.window.resize(WINDOW_BYTES, 0);
        Ok(Decompressor { codec, source, window: &mut self.window, start: 0, end: 0, allowed: bound, bound })
    }

    /// What one unusual batch made large shall not stay large for all that follow.
    fn give_back_excess(&mut self) {
        if self.zstd.as_ref().is_some_and(|context| context.sizeof() > ZSTD_KEPT_BYTES_MAX) {
            self.zstd = None;
        }
        if self.snappy_block.capacity() > EXPANSION_BASE_BYTES {
            self.snappy_block = Vec::new();
        }
    }
}

/// Decompressed records, a window at a time.
pub struct Decompressor<'a> {
    codec: Codec,
    source: Source<'a>,
    window: &'a mut [u8],
    start: usize,
    end: usize,
    /// Bytes that may still come out.
    allowed: usize,
    bound: usize,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    Snappy(SnappyBlocks<'a>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<&'a [u8]>>),
    Zstd(ZstdFrames<'a>),
}

struct ZstdFrames<'a> {
    context: &'a mut DCtx<'static>,
    input: InBuffer<'a>,
    /// Whether the frame that was begun still has an end to come; at first, one must.
    inside_frame: bool,
}

impl ZstdFrames<'_> {
    fn read(&mut self, window: &mut [u8]) -> Result<usize, DecompressFault> {
        loop {
            let input_left = self.input.src.len() - self.input.pos();
            if input_left == 0 && !self.inside_frame {
                return Ok(0);
            }
            let mut output = OutBuffer::around(window);
            let before = self.input.pos();
            let hint = self.context.decompress_stream(&mut output, &mut self.input).map_err(zstd_fault)?;
            self.inside_frame = hint != 0;
            let produced = output.pos();
            if produced > 0 {
                return Ok(produced);
            }
            // No output, no input taken, and the frame wants more: it is cut off.
            if self.inside_frame && self.input.pos() == before {
                return Err(DecompressFault::damaged(Codec::Zstd, "the last frame is incomplete"));
            }
        }
    }
}

fn zstd_fault(code: usize) -> DecompressFault {
    DecompressFault::damaged(Codec::Zstd, zstd::zstd_safe::get_error_name(code))
}

impl Decompressor<'_> {
    fn refill(&mut self) -> Result<(), DecompressFault> {
        let codec = self.codec;
        let damaged = |error: io::Error| DecompressFault::damaged(codec, error);
        let produced = match &mut self.source {
            Source::Plain(rest) => rest.read(self.window).map_err(damaged)?,
            Source::Gzip(decoder) => decoder.read(self.window).map_err(damaged)?,
            Source::Snappy(blocks) => blocks.read(self.window)?,
            Source::Lz4(decoder) => decoder.read(self.window).map_err(damaged)?,
            Source::Zstd(frames) => frames.read(self.window)?,
        };
        let bound = self.bound;
        self.allowed = self.allowed.checked_sub(produced).ok_or(DecompressFault::TooLarge { bound })?;
        (self.start, self.end) = (0, produced);
        Ok(())
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.fill_buf()?.read(into)?;
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Decompressor<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.refill().map_err(io::Error::other)?;
        }
        Ok(&self.window[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }
}

/// The fault that an error of a [`Decompressor`] carries.
pub fn fault_of(error: io::Error, codec: Codec) -> DecompressFault {
    match error.downcast::<DecompressFault>() {
        Ok(fault) => fault,
        Err(error) => DecompressFault::damaged(codec, error),
    }
}

/// Appends to `out` what `records` compress to under `codec`, at the codec's default level, in the form that
/// Kafka's Java clients read: snappy in snappy-java's framing, LZ4 in independent 64 KiB blocks.
pub fn compress(codec: Codec, records: &mut impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    match codec {
        Codec::None => {
            records.read_to_end(out)?;
        }
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            io::copy(records, &mut encoder)?;
            encoder.finish()?;
        }
        Codec::Snappy => snappy::compress(records, out)?,
        Codec::Lz4 => {
            let frame = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, out);
            io::copy(records, &mut encoder)?;
            // An encoder that was given nothing writes no frame at all.
            encoder.write_all(&[])?;
            encoder.finish().map_err(io::Error::other)?;
        }
        Codec::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            io::copy(records, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
