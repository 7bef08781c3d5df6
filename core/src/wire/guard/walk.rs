//! The walk over a body, along its schema.

use super::schema::{Element, Field, Kind, Row, Shape};
use crate::wire::Fault;

/// What one node of the `BTreeMap` takes in which the crate keeps unknown tagged fields (504 bytes with eleven
/// pairs of `i32` and `Bytes`, an inner one), rounded up to what an allocator hands out.
const TAG_NODE_BYTES: usize = 512;
/// No node but the root of such a map holds fewer pairs.
const TAG_NODE_PAIRS_MIN: usize = 5;

/// The field that is at fault, how, and at which byte of the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) field: &'static str,
    pub(super) fault: Fault,
    pub(super) at: usize,
}

/// Accepts `body` exactly if it is one encoded request of this row and version, and cheap enough to decode.
/// Allocates nothing; its recursion is as deep as the schema's structs are nested, whatever the body says.
pub(super) fn walk(row: &Row, version: i16, body: &[u8]) -> Result<(), Refusal> {
    let mut walker = Walker {
        rest: body,
        version,
        flexible: row.is_flexible(version),
        memory_left: super::decode_budget_bytes(body.len()),
        field: "body",
    };
    let outcome = walker.structure(row.fields).and_then(|()| {
        walker.field = "end of body";
        if walker.rest.is_empty() { Ok(()) } else { Err(Fault::Trailing) }
    });
    outcome.map_err(|fault| Refusal { field: walker.field, fault, at: body.len() - walker.rest.len() })
}

/// Walks the tagged fields of a request header, none of which is known; returns what they take.
pub(in crate::wire) fn header_tags(bytes: &[u8]) -> Result<usize, Fault> {
    let mut walker =
        Walker { rest: bytes, version: 0, flexible: true, memory_left: usize::MAX, field: "header" };
    walker.tagged_fields(&[])?;
    Ok(bytes.len() - walker.rest.len())
}

struct Walker<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    /// Bytes that decoding may still allocate.
    memory_left: usize,
    /// Under way, for the refusal.
    field: &'static str,
}

impl Walker<'_> {
    fn structure(&mut self, fields: &'static [Field]) -> Result<(), Fault> {
        for field in fields {
            if field.tag.is_none() && field.exists_in(self.version) {
                self.value(field)?;
            }
        }
        if self.flexible { self.tagged_fields(fields) } else { Ok(()) }
    }

    fn value(&mut self, field: &'static Field) -> Result<(), Fault> {
        self.field = field.name;
        match field.kind {
            Kind::Fixed(bytes) => self.skip(bytes, Fault::Truncated),
            Kind::String => self.string(field.nullable),
            Kind::Bytes => {
                let declared = if self.flexible { self.compact()? } else { self.int32()? };
                match self.present(declared, field.nullable)? {
                    Some(length) => self.skip(length, Fault::Length),
                    None => Ok(()),
                }
            }
            Kind::Struct(fields) => {
                if field.nullable {
                    match self.take()? {
                        1 => {}
                        0xff => return Ok(()),
                        0..=0xfe => return Err(Fault::Negative),
                    }
                }
                self.structure(fields)
            }
            Kind::Array(element) => {
                let declared = if self.flexible { self.compact()? } else { self.int32()? };
                match self.present(declared, field.nullable)? {
                    Some(count) => self.elements(count, element),
                    None => Ok(()),
                }
            }
        }
    }

    fn elements(&mut self, count: usize, element: Element) -> Result<(), Fault> {
        let smallest = self.smallest(element.shape).max(1);
        if count > self.rest.len() / smallest {
            return Err(Fault::Count);
        }
        self.charge(count * element.memory)?;
        match element.shape {
            Shape::Fixed(bytes) => self.skip(count * bytes, Fault::Truncated),
            Shape::String => (0..count).try_for_each(|_| self.string(false)),
            Shape::Struct(fields) => (0..count).try_for_each(|_| self.structure(fields)),
        }
    }

    /// Bytes of the smallest element on the wire.
    fn smallest(&self, shape: Shape) -> usize {
        let length = if self.flexible { 1 } else { 2 };
        let count = if self.flexible { 1 } else { 4 };
        match shape {
            Shape::Fixed(bytes) => bytes,
            Shape::String => length,
            Shape::Struct(fields) => {
                let in_line = |field: &&Field| field.tag.is_none() && field.exists_in(self.version);
                let sizes = fields.iter().filter(in_line).map(|field| match field.kind {
                    Kind::Fixed(bytes) => bytes,
                    Kind::String => length,
                    Kind::Bytes | Kind::Array(_) => count,
                    Kind::Struct(_) if field.nullable => 1,
                    Kind::Struct(fields) => self.smallest(Shape::Struct(fields)),
                });
                sizes.sum::<usize>() + usize::from(self.flexible)
            }
        }
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) -> Result<(), Fault> {
        self.field = "tagged fields";
        let count = self.unsigned_varint()? as usize;
        if count > self.rest.len() / 2 {
            return Err(Fault::Count);
        }
        let mut unknown: usize = 0;
        for _ in 0..count {
            self.field = "tagged fields";
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            if size > self.rest.len() {
                return Err(Fault::Length);
            }
            match fields.iter().find(|field| field.tag == Some(tag)) {
                // The crate's decoder does not look at the size of a field that it knows: it must be right.
                Some(field) if field.exists_in(self.version) => {
                    let behind = self.rest.len() - size;
                    self.value(field)?;
                    if self.rest.len() != behind {
                        return Err(Fault::Tag);
                    }
                }
                Some(_) => return Err(Fault::Tag),
                None => {
                    if unknown.is_multiple_of(TAG_NODE_PAIRS_MIN) {
                        self.charge(TAG_NODE_BYTES)?;
                    }
                    unknown += 1;
                    self.skip(size, Fault::Length)?;
                }
            }
        }
        Ok(())
    }

    fn string(&mut self, nullable: bool) -> Result<(), Fault> {
        let declared = if self.flexible { self.compact()? } else { self.int16()? };
        let Some(length) = self.present(declared, nullable)? else { return Ok(()) };
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Fault::Length)?;
        std::str::from_utf8(text).map_err(|_| Fault::Utf8)?;
        self.rest = rest;
        Ok(())
    }

    /// The length that was declared, or `None` for an allowed null (-1).
    fn present(&self, declared: i64, nullable: bool) -> Result<Option<usize>, Fault> {
        match usize::try_from(declared) {
            Ok(length) => Ok(Some(length)),
            Err(_) if declared != -1 => Err(Fault::Negative),
            Err(_) if nullable => Ok(None),
            Err(_) => Err(Fault::Null),
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.memory_left = self.memory_left.checked_sub(bytes).ok_or(Fault::Memory)?;
        Ok(())
    }

    fn skip(&mut self, bytes: usize, fault: Fault) -> Result<(), Fault> {
        self.rest = self.rest.get(bytes..).ok_or(fault)?;
        Ok(())
    }

    fn take(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn int16(&mut self) -> Result<i64, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(i64::from(i16::from_be_bytes(*bytes)))
    }

    fn int32(&mut self) -> Result<i64, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(i64::from(i32::from_be_bytes(*bytes)))
    }

    /// A compact length: one more than it says, 0 for null.
    fn compact(&mut self) -> Result<i64, Fault> {
        Ok(i64::from(self.unsigned_varint()?) - 1)
    }

    fn unsigned_varint(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take()?;
            if shift == 28 && byte > 0x0f {
                return Err(Fault::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }
}
