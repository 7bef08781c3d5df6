//! A CRC32C at the end of a small file, little-endian: what does not match it was never written whole, or was changed.

/// Puts it there.
pub(super) fn seal(content: &mut Vec<u8>) {
    let crc = crc32c::crc32c(content);
    content.extend_from_slice(&crc.to_le_bytes());
}

/// What stands before it, if it matches.
pub(super) fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == crc32c::crc32c(content)).then_some(content)
}
