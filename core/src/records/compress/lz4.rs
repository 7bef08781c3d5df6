//! The shape of an LZ4 frame, checked before its decoder sees it. Java clients read one frame of independent blocks
//! and nothing else; the decoder here would also take linked blocks, legacy frames, several frames, and a frame
//! without its end, which those clients could then never read back.

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const UNCOMPRESSED_BIT: u32 = 1 << 31;

/// Whether `frame` is one whole frame of independent blocks, by the lengths it gives; the blocks themselves are not
/// looked at.
pub(super) fn check_frame(frame: &[u8]) -> Result<(), &'static str> {
    let (magic, rest) = frame.split_first_chunk::<4>().ok_or("no frame header")?;
    if *magic != MAGIC {
        return Err("not an LZ4 frame");
    }
    let ([flags, _block_size], rest) = rest.split_first_chunk::<2>().ok_or("no frame header")?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    if flags >> 6 != 1 {
        return Err("unknown frame version");
    }
    if !has(5) {
        return Err("linked blocks, which Kafka's clients cannot read");
    }
    if has(0) {
        return Err("a dictionary, which Kafka's clients cannot read");
    }
    let (block_checksum, content_size, content_checksum) =
        (if has(4) { 4 } else { 0 }, if has(3) { 8 } else { 0 }, if has(2) { 4 } else { 0 });
    // The optional content size, then the header's own checksum of one byte.
    let mut rest = rest.get(content_size + 1..).ok_or("no frame header")?;
    loop {
        let (size, behind) = rest.split_first_chunk::<4>().ok_or("no end mark")?;
        let size = u32::from_le_bytes(*size) & !UNCOMPRESSED_BIT;
        if size == 0 {
            return if behind.len() == content_checksum { Ok(()) } else { Err("bytes behind the frame") };
        }
        let block = usize::try_from(size).ok().and_then(|size| size.checked_add(block_checksum));
        rest = block.and_then(|block| behind.get(block..)).ok_or("a block is cut off")?;
    }
}
