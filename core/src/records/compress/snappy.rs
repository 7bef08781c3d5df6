//! Snappy as Kafka's clients send it: bare (librdkafka may), or in snappy-java's framing of a header and blocks
//! (Java clients do).

use super::DecompressFault;
use crate::records::header::Codec;
use std::io::{self, Read};

/// What snappy-java's stream begins with: its magic, then its version and the oldest compatible one.
const FRAMING_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const FRAMING_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const FRAMING_HEADER_BYTES: usize = 16;

/// snappy-java's default block.
const BLOCK_BYTES: usize = 32 * 1024;

/// A copy element of 3 bytes yields at most 64, so no honest block declares more than 22 times its size. A bare
/// block must be decompressed whole; what it declares is believed only so far.
const EXPANSION_MAX: usize = 22;

/// The blocks of one batch, each decompressed whole.
pub(super) struct SnappyBlocks<'a> {
    rest: &'a [u8],
    framed: bool,
    block: &'a mut Vec<u8>,
    /// Bytes of `block` that were given out.
    given: usize,
    bound: usize,
}

impl<'a> SnappyBlocks<'a> {
    pub fn new(body: &'a [u8], block: &'a mut Vec<u8>, bound: usize) -> SnappyBlocks<'a> {
        block.clear();
        // Clients differ in the versions that they write, and agree that they mean nothing.
        let framed = body.starts_with(&FRAMING_MAGIC) && body.len() >= FRAMING_HEADER_BYTES;
        let rest = if framed { &body[FRAMING_HEADER_BYTES..] } else { body };
        SnappyBlocks { rest, framed, block, given: 0, bound }
    }

    pub fn read(&mut self, window: &mut [u8]) -> Result<usize, DecompressFault> {
        while self.given == self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            let block = self.next_block()?;
            self.decompress(block)?;
        }
        let taken = (&self.block[self.given..]).read(window).expect("memory to memory");
        self.given += taken;
        Ok(taken)
    }

    fn next_block(&mut self) -> Result<&'a [u8], DecompressFault> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        // snappy-java lets streams follow each other, each with its header.
        if self.rest.starts_with(&FRAMING_MAGIC) {
            self.rest = self.rest.get(FRAMING_HEADER_BYTES..).ok_or_else(cut_off)?;
        }
        let (length, behind) = self.rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| cut_off())?;
        let (block, rest) = behind.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(block)
    }

    fn decompress(&mut self, block: &[u8]) -> Result<(), DecompressFault> {
        let damaged = |error: snap::Error| DecompressFault::damaged(Codec::Snappy, error);
        let declared = snap::raw::decompress_len(block).map_err(damaged)?;
        if declared > self.bound {
            return Err(DecompressFault::TooLarge { bound: self.bound });
        }
        if declared > block.len().saturating_mul(EXPANSION_MAX) {
            let detail = format!("a block of {} bytes declares {declared}", block.len());
            return Err(DecompressFault::damaged(Codec::Snappy, detail));
        }
        self.block.resize(declared, 0);
        self.given = 0;
        snap::raw::Decoder::new().decompress(block, self.block).map_err(damaged)?;
        Ok(())
    }
}

fn cut_off() -> DecompressFault {
    DecompressFault::damaged(Codec::Snappy, "a block is cut off")
}

/// Appends `records` to `out` in snappy-java's framing.
pub(super) fn compress(records: &mut impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&FRAMING_MAGIC);
    out.extend_from_slice(&FRAMING_VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    let mut plain = Vec::with_capacity(BLOCK_BYTES);
    let mut packed = vec![0; snap::raw::max_compress_len(BLOCK_BYTES)];
    let block_bytes = u64::try_from(BLOCK_BYTES).expect("32 KiB");
    loop {
        plain.clear();
        records.by_ref().take(block_bytes).read_to_end(&mut plain)?;
        if plain.is_empty() {
            return Ok(());
        }
        let bytes = encoder.compress(&plain, &mut packed).map_err(io::Error::other)?;
        let length = u32::try_from(bytes).expect("little more than 32 KiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&packed[..bytes]);
    }
}
