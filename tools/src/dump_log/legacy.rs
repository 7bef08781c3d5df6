//! Messages of before Kafka 0.11 (magic 0 and 1): each by itself, or several compressed in the value of another.

use corelane_core::records::{Codec, Scratch, compress::decompressed_bytes_max};
use std::{
    hash::Hasher,
    io::{self, Read},
};
use twox_hash::XxHash32;

/// Offset and length, before a message.
const PREFIX: usize = 12;
/// The shortest message: checksum, magic, attributes, and two lengths.
pub const BYTES_MIN: usize = 14;
/// Where the timestamp of magic 1 stands; in magic 0 the key's length.
const BEHIND_ATTRIBUTES: usize = 6;
/// The timestamp of a message that has none.
const NO_TIMESTAMP: i64 = -1;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    offset: i64,
    /// From the checksum on; [`BYTES_MIN`] or more.
    bytes: &'a [u8],
}

/// What is in one.
pub struct Content<'a> {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub is_valid: bool,
    pub crc: u32,
}

impl<'a> Message<'a> {
    /// From what stands behind offset and length, if that can be a message.
    pub fn new(offset: i64, bytes: &'a [u8]) -> Option<Message<'a>> {
        (bytes.len() >= BYTES_MIN).then_some(Message { offset, bytes })
    }

    /// Its own, or that of the last that is in it.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Bytes in the log.
    pub fn size(&self) -> usize {
        PREFIX + self.bytes.len()
    }

    pub fn magic(&self) -> u8 {
        self.bytes[4]
    }

    fn attributes(&self) -> u8 {
        self.bytes[5]
    }

    fn crc(&self) -> u32 {
        self.bytes.first_chunk().map_or(0, |crc| u32::from_be_bytes(*crc))
    }

    fn is_valid(&self) -> bool {
        let mut crc = flate2::Crc::new();
        crc.update(&self.bytes[4..]);
        crc.sum() == self.crc()
    }

    fn codec(&self) -> Option<Codec> {
        let number = self.attributes() & 7;
        Codec::ALL.into_iter().find(|codec| *codec as u8 == number)
    }

    fn is_appended(&self) -> bool {
        self.magic() > 0 && self.attributes() & 8 != 0
    }

    /// In Kafka's word.
    pub fn timestamp_type(&self) -> &'static str {
        match (self.magic(), self.is_appended()) {
            (0, _) => "NoTimestampType",
            (_, true) => "LogAppendTime",
            (_, false) => "CreateTime",
        }
    }

    /// In Unix milliseconds, -1 for none.
    pub fn timestamp_ms(&self) -> i64 {
        let stored = self.bytes.get(BEHIND_ATTRIBUTES..BEHIND_ATTRIBUTES + 8);
        let stored = stored.and_then(|bytes| bytes.try_into().ok()).filter(|_| self.magic() > 0);
        stored.map_or(NO_TIMESTAMP, i64::from_be_bytes)
    }

    /// All that a line says of it.
    pub fn line(&self, position: u64) -> String {
        let codec = codec_name(self.codec().ok_or(i16::from(self.attributes() & 7)));
        format!(
            "offset: {} position: {position} {}: {} size: {} magic: {} compresscodec: {codec} crc: {} isvalid: {}",
            self.offset,
            self.timestamp_type(),
            self.timestamp_ms(),
            self.size(),
            self.magic(),
            self.crc(),
            self.is_valid()
        )
    }

    fn content(&self) -> io::Result<Content<'a>> {
        let behind = if self.magic() == 0 { BEHIND_ATTRIBUTES } else { BEHIND_ATTRIBUTES + 8 };
        let mut rest = self.bytes.get(behind..).unwrap_or_default();
        let (key, value) = (field(&mut rest)?, field(&mut rest)?);
        Ok(Content {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms(),
            key,
            value,
            is_valid: self.is_valid(),
            crc: self.crc(),
        })
    }

    /// Calls `each` with what is in it: itself, or the messages that are compressed in its value.
    ///
    /// # Errors
    /// Where it cannot be read; those of `each`.
    pub fn contents(
        &self,
        scratch: &mut Scratch,
        mut each: impl FnMut(&Content<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let codec = match self.codec() {
            Some(Codec::None) => return each(&self.content()?),
            Some(codec) if codec != Codec::Zstd => codec,
            _ => return Err(damaged("a codec that messages of this format do not have")),
        };
        let Some(value) = self.content()?.value else {
            return Err(damaged("a compressed message without a value"));
        };
        let bytes = decompress(codec, self.magic(), value, scratch)?;
        let inside = split(&bytes);
        let Some(last) = inside.last() else {
            return Err(damaged("a compressed message with nothing in it"));
        };
        // Since magic 1 offsets are counted from the first. Some clients left the outer one at 0.
        let base = match (self.magic(), self.offset) {
            (0, _) | (_, 0) => 0,
            (_, outer) if outer < last.offset => return Err(damaged("an offset below those inside")),
            (_, outer) => outer - last.offset,
        };
        for message in &inside {
            if message.codec() != Some(Codec::None) {
                return Err(damaged("a compressed message in a compressed message"));
            }
            let mut content = message.content()?;
            content.offset += base;
            if self.is_appended() && message.magic() > 0 {
                content.timestamp_ms = self.timestamp_ms();
            }
            each(&content)?;
        }
        Ok(())
    }
}

/// As Kafka calls it; a number that is none is told.
pub fn codec_name(codec: Result<Codec, i16>) -> String {
    match codec {
        Ok(Codec::None) => "none".into(),
        Ok(codec) => codec.name().into(),
        Err(number) => format!("unknown ({number})"),
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A length and as many bytes, or -1.
fn field<'a>(rest: &mut &'a [u8]) -> io::Result<Option<&'a [u8]>> {
    let short = || damaged("a length that goes beyond the message");
    let (length, behind) = rest.split_first_chunk().ok_or_else(short)?;
    *rest = behind;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Ok(None) };
    let (field, behind) = rest.split_at_checked(length).ok_or_else(short)?;
    *rest = behind;
    Ok(Some(field))
}

/// The messages one after the other, as far as they are whole.
fn split(bytes: &[u8]) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while let Some((prefix, behind)) = rest.split_first_chunk::<PREFIX>() {
        let offset = prefix.first_chunk().map_or(0, |offset| i64::from_be_bytes(*offset));
        let length = prefix.last_chunk().map_or(-1, |length| i32::from_be_bytes(*length));
        let Some((message, behind)) =
            usize::try_from(length).ok().and_then(|length| behind.split_at_checked(length))
        else {
            break;
        };
        let Some(message) = Message::new(offset, message) else { break };
        messages.push(message);
        rest = behind;
    }
    messages
}

fn decompress(codec: Codec, magic: u8, value: &[u8], scratch: &mut Scratch) -> io::Result<Vec<u8>> {
    let mended;
    let value = if codec == Codec::Lz4 && magic == 0 {
        mended = with_lz4_checksum(value);
        &mended
    } else {
        value
    };
    let mut bytes = Vec::new();
    let bound = decompressed_bytes_max(value.len());
    let mut reader = scratch.decompress(codec, value, bound).map_err(|fault| damaged(&fault.to_string()))?;
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// With magic 0 Kafka's clients compute the checksum of an LZ4 frame's header over too much; here it is the right one.
fn with_lz4_checksum(frame: &[u8]) -> Vec<u8> {
    const MAGIC: usize = 4;
    let mut frame = frame.to_vec();
    let flags = frame.get(MAGIC).copied().unwrap_or_default();
    // Flags, block size, and the content's size where it is told.
    let end = MAGIC + 2 + if flags & 8 != 0 { 8 } else { 0 };
    if let Some((header, [checksum, ..])) = frame.split_at_mut_checked(end) {
        let mut hash = XxHash32::with_seed(0);
        hash.write(&header[MAGIC..]);
        *checksum = hash.finish_32().to_le_bytes()[1];
    }
    frame
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message in the log.
    pub fn message(
        offset: i64,
        magic: u8,
        attributes: u8,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Vec<u8> {
        let mut body = vec![magic, attributes];
        if magic > 0 {
            body.extend(7_i64.to_be_bytes());
        }
        for field in [key, value] {
            let length = field.map_or(-1, |field| i32::try_from(field.len()).expect("small"));
            body.extend(length.to_be_bytes());
            body.extend(field.unwrap_or_default());
        }
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        let length = i32::try_from(body.len() + 4).expect("small");
        [&offset.to_be_bytes()[..], &length.to_be_bytes(), &crc.sum().to_be_bytes(), &body].concat()
    }

    fn contents(bytes: &[u8]) -> Vec<(i64, i64, Option<String>)> {
        let mut seen = Vec::new();
        for message in split(bytes) {
            let told = message.contents(&mut Scratch::new(), |content| {
                let value = content.value.map(|value| String::from_utf8_lossy(value).into_owned());
                assert!(content.is_valid);
                seen.push((content.offset, content.timestamp_ms, value));
                Ok(())
            });
            told.expect("well formed");
        }
        seen
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = flate2::bufread::GzEncoder::new(bytes, flate2::Compression::fast());
        encoder.read_to_end(&mut out).expect("memory");
        out
    }

    #[test]
    fn each_message_stands_for_itself() {
        let log = [message(3, 0, 0, None, Some(b"a")), message(4, 1, 0, Some(b"k"), None)].concat();
        assert_eq!(contents(&log), [(3, NO_TIMESTAMP, Some("a".into())), (4, 7, None)]);
    }

    #[test]
    fn offsets_inside_count_from_the_first_since_magic_1() {
        let inside = |magic, first: i64| {
            [message(first, magic, 0, None, Some(b"a")), message(first + 1, magic, 0, None, Some(b"b"))]
                .concat()
        };
        let old = message(11, 0, 1, None, Some(&gzipped(&inside(0, 10))));
        assert_eq!(contents(&old).iter().map(|it| it.0).collect::<Vec<_>>(), [10, 11]);
        let new = message(11, 1, 1, None, Some(&gzipped(&inside(1, 0))));
        assert_eq!(contents(&new).iter().map(|it| it.0).collect::<Vec<_>>(), [10, 11]);
        let librdkafka = message(0, 1, 1, None, Some(&gzipped(&inside(1, 0))));
        assert_eq!(contents(&librdkafka).iter().map(|it| it.0).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn what_is_damaged_is_an_error_and_never_more() {
        let whole = message(11, 1, 1, None, Some(&gzipped(&message(0, 1, 0, Some(b"k"), Some(b"a")))));
        for at in PREFIX + 4..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                for message in split(&damaged) {
                    // Either way is right, but for a panic.
                    let _ = message.contents(&mut Scratch::new(), |_| Ok(()));
                    assert!(!message.is_valid());
                }
            }
        }
        for end in 0..whole.len() {
            assert!(split(&whole[..end]).is_empty());
        }
    }
}
