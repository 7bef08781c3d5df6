//! The primitive types of Kafka's message format, as far as the records of coordinators (`__consumer_offsets`,
//! `__transaction_state`) use them.

use bytes::{Buf, BufMut};
use std::sync::Arc;
use uuid::Uuid;

/// Why a record could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// It ends too early.
    #[error("it ends too early")]
    Short,
    /// A length or count is negative or larger than what is left.
    #[error("a length in it is wrong")]
    Length,
    /// A text is not UTF-8.
    #[error("a text in it is not UTF-8")]
    Text,
    /// A number stands for nothing.
    #[error("a number in it stands for nothing")]
    Number,
    /// A version that this broker does not know.
    #[error("its version {0} is not known")]
    Version(i16),
}

/// Reads one key or value. Every length is held against the bytes that are left before anything is made of it.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Compact lengths and tagged fields (KIP-482).
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], flexible: bool) -> Reader<'a> {
        Reader { rest: bytes, flexible }
    }

    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], RecordFault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(RecordFault::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn i8(&mut self) -> Result<i8, RecordFault> {
        self.bytes(1).map(|mut it| it.get_i8())
    }

    pub fn i16(&mut self) -> Result<i16, RecordFault> {
        self.bytes(2).map(|mut it| it.get_i16())
    }

    pub fn i32(&mut self) -> Result<i32, RecordFault> {
        self.bytes(4).map(|mut it| it.get_i32())
    }

    pub fn i64(&mut self) -> Result<i64, RecordFault> {
        self.bytes(8).map(|mut it| it.get_i64())
    }

    pub fn uuid(&mut self) -> Result<Uuid, RecordFault> {
        self.bytes(16).map(|mut it| Uuid::from_u128(it.get_u128()))
    }

    fn varint(&mut self) -> Result<u32, RecordFault> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.bytes(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| RecordFault::Length);
            }
        }
        Err(RecordFault::Length)
    }

    /// A length, -1 for null.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, RecordFault> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if wide {
            i64::from(self.i32()?)
        } else {
            i64::from(self.i16()?)
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| RecordFault::Length),
        }
    }

    pub fn nullable_text(&mut self) -> Result<Option<&'a str>, RecordFault> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| RecordFault::Text)
    }

    pub fn text(&mut self) -> Result<&'a str, RecordFault> {
        self.nullable_text()?.ok_or(RecordFault::Length)
    }

    pub fn name(&mut self) -> Result<Arc<str>, RecordFault> {
        self.text().map(Arc::from)
    }

    pub fn blob(&mut self) -> Result<&'a [u8], RecordFault> {
        let length = self.length(true)?.ok_or(RecordFault::Length)?;
        self.bytes(length)
    }

    /// An array: at most as many elements as bytes are left. Nothing is reserved for a declared count.
    pub fn array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, RecordFault>,
    ) -> Result<Vec<T>, RecordFault> {
        self.nullable_array(&mut element)?.ok_or(RecordFault::Length)
    }

    pub fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, RecordFault>,
    ) -> Result<Option<Vec<T>>, RecordFault> {
        let Some(count) = self.length(true)? else { return Ok(None) };
        if count > self.rest.len() {
            return Err(RecordFault::Length);
        }
        (0..count).map(|_| element(self)).collect::<Result<_, _>>().map(Some)
    }

    /// The tagged fields that end a structure: those that are known are handed over, others passed by.
    pub fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'a>) -> Result<(), RecordFault>,
    ) -> Result<(), RecordFault> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let mut field = Reader::new(self.bytes(length)?, true);
            known(tag, &mut field)?;
        }
        Ok(())
    }

    pub fn no_tags(&mut self) -> Result<(), RecordFault> {
        self.tags(|_, _| Ok(()))
    }
}

/// Writes one key or value.
pub(crate) struct Writer {
    out: Vec<u8>,
    flexible: bool,
}

impl Writer {
    /// A version number begins every key and value; it is never compact.
    pub fn new(version: i16, flexible: bool) -> Writer {
        let mut out = Vec::with_capacity(64);
        out.put_i16(version);
        Writer { out, flexible }
    }

    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    pub fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.out.put_u128(value.as_u128());
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value.to_le_bytes()[0]);
    }

    fn length(&mut self, length: Option<usize>, wide: bool) {
        let length = length.map(|length| i32::try_from(length).expect("fields are shorter than 2 GiB"));
        if self.flexible {
            self.varint(length.map_or(0, |length| length.unsigned_abs() + 1));
        } else if wide {
            self.out.put_i32(length.unwrap_or(-1));
        } else {
            self.out
                .put_i16(length.map_or(-1, |length| i16::try_from(length).expect("names come from frames")));
        }
    }

    pub fn nullable_text(&mut self, text: Option<&str>) {
        self.length(text.map(str::len), false);
        self.out.put_slice(text.unwrap_or_default().as_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.nullable_text(Some(text));
    }

    pub fn blob(&mut self, bytes: &[u8]) {
        self.length(Some(bytes.len()), true);
        self.out.put_slice(bytes);
    }

    pub fn array<T>(&mut self, elements: &[T], element: impl FnMut(&mut Self, &T)) {
        self.nullable_array(Some(elements), element);
    }

    pub fn nullable_array<T>(&mut self, elements: Option<&[T]>, mut element: impl FnMut(&mut Self, &T)) {
        self.length(elements.map(<[T]>::len), true);
        elements.into_iter().flatten().for_each(|it| element(self, it));
    }

    /// Tagged fields, in the order of their tags. Nothing where the version has none.
    pub fn tags(&mut self, fields: &[(u32, Vec<u8>)]) {
        if !self.flexible {
            return;
        }
        self.varint(u32::try_from(fields.len()).expect("a handful"));
        for (tag, bytes) in fields {
            self.varint(*tag);
            self.varint(u32::try_from(bytes.len()).expect("fields are shorter than 2 GiB"));
            self.out.put_slice(bytes);
        }
    }

    /// The inside of a tagged field.
    pub fn field(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut inside = Writer { out: Vec::new(), flexible: true };
        write(&mut inside);
        inside.out
    }
}

/// The version that begins a value, and what follows it. Versions from `flexible_from` on have compact lengths.
pub(crate) fn versioned(
    bytes: &[u8],
    max: i16,
    flexible_from: i16,
) -> Result<(i16, Reader<'_>), RecordFault> {
    let version = Reader::new(bytes, false).i16()?;
    if !(0..=max).contains(&version) {
        return Err(RecordFault::Version(version));
    }
    Ok((version, Reader::new(&bytes[2..], version >= flexible_from)))
}
