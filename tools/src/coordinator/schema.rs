//! Kafka's message format, read by a description of its fields.

use super::Json;
use crate::java::{double, id_text};
use base64::{Engine, engine::general_purpose::STANDARD};
use uuid::Uuid;

/// The fields of a structure, in their order.
pub type Fields = &'static [Field];

/// One field.
pub struct Field {
    name: &'static str,
    kind: Kind,
    /// The versions that have it.
    first: i16,
    last: i16,
    nullable: bool,
    /// Its number, where it stands behind the others and only if it is not as by default.
    tag: Option<u32>,
    default: i64,
    /// Null is what it is by default.
    null_by_default: bool,
}

/// What a field holds.
pub enum Kind {
    /// One byte, 0 or not.
    Bool,
    /// One byte.
    Int8,
    /// Two.
    Int16,
    /// Two, without a sign.
    Uint16,
    /// Four.
    Int32,
    /// Eight.
    Int64,
    /// A number of eight bytes that may have decimals.
    Double,
    /// UTF-8.
    Text,
    /// Bytes, told in base 64.
    Bytes,
    /// An id.
    Id,
    /// Several.
    Array(&'static Kind),
    /// A structure of its own.
    Struct(Fields),
}

impl Field {
    /// A field that every version has.
    pub const fn new(name: &'static str, kind: Kind) -> Field {
        Field {
            name,
            kind,
            first: 0,
            last: i16::MAX,
            nullable: false,
            tag: None,
            default: 0,
            null_by_default: false,
        }
    }

    /// From a version on.
    pub const fn since(mut self, version: i16) -> Field {
        self.first = version;
        self
    }

    /// In one version only.
    pub const fn only(mut self, version: i16) -> Field {
        self.first = version;
        self.last = version;
        self
    }

    /// It may be null.
    pub const fn or_null(mut self) -> Field {
        self.nullable = true;
        self
    }

    /// It is a tagged field.
    pub const fn tagged(mut self, tag: u32) -> Field {
        self.tag = Some(tag);
        self
    }

    /// The number that it is by default, where that is not 0.
    pub const fn by_default(mut self, number: i64) -> Field {
        self.default = number;
        self
    }

    /// It is null where nothing is said of it.
    pub const fn null_by_default(mut self) -> Field {
        self.null_by_default = true;
        self
    }

    fn is_default(&self, value: &Json) -> bool {
        match value {
            value if self.null_by_default => *value == Json::Null,
            Json::Number(number) => *number == self.default,
            value => *value == self.kind.default(),
        }
    }
}

impl Kind {
    /// What a field of this kind is where nothing is said of it.
    fn default(&self) -> Json {
        match self {
            Kind::Bool => Json::Bool(false),
            Kind::Double => Json::Decimal(double(0.0)),
            Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Int64 => Json::Number(0),
            Kind::Text | Kind::Bytes => Json::Text(String::new()),
            Kind::Id => Json::Text(id_text(Uuid::nil())),
            Kind::Array(_) => Json::Array(Vec::new()),
            Kind::Struct(fields) => {
                let untagged = fields.iter().filter(|field| field.tag.is_none());
                Json::Object(untagged.map(|field| (field.name, field.kind.default())).collect())
            }
        }
    }
}

/// Reads a structure of one version.
pub struct Reader<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], version: i16, flexible: bool) -> Reader<'a> {
        Reader { rest: bytes, version, flexible }
    }

    /// The rest, as another version.
    pub fn of_version(self, version: i16) -> Reader<'a> {
        Reader { version, ..self }
    }

    /// How many bytes are not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The fields, in their order; of tagged ones those that are not as by default.
    pub fn fields(&mut self, fields: Fields) -> Read<Json> {
        let present = |field: &&Field| (field.first..=field.last).contains(&self.version);
        let present: Vec<&Field> = fields.iter().filter(present).collect();
        let mut values: Vec<Option<Json>> = Vec::with_capacity(present.len());
        for field in &present {
            values.push(if field.tag.is_none() {
                Some(self.value(&field.kind, field.nullable)?)
            } else {
                None
            });
        }
        if self.flexible {
            for _ in 0..self.varint()? {
                let tag = self.varint()?;
                let length = self.varint()? as usize;
                let mut inside = Reader { rest: self.take(length)?, ..*self };
                if let Some(at) = present.iter().position(|field| field.tag == Some(tag)) {
                    let field = present[at];
                    let value = inside.tagged(field)?;
                    values[at] = (!field.is_default(&value)).then_some(value);
                }
            }
        }
        let named = present.iter().zip(values);
        Ok(Json::Object(named.filter_map(|(field, value)| Some((field.name, value?))).collect()))
    }

    /// Inside a tagged field 0 or 1 stands before a structure that may be null, elsewhere -1 or 1.
    fn tagged(&mut self, field: &Field) -> Read<Json> {
        match field.kind {
            Kind::Struct(_) if field.nullable && self.varint()? == 0 => Ok(Json::Null),
            Kind::Struct(fields) if field.nullable => self.fields(fields),
            _ => self.value(&field.kind, field.nullable),
        }
    }

    fn value(&mut self, kind: &Kind, nullable: bool) -> Read<Json> {
        let null = || -> Read<Json> {
            if nullable { Ok(Json::Null) } else { Err("non-nullable field was serialized as null".into()) }
        };
        Ok(match kind {
            Kind::Bool => Json::Bool(self.array()? != [0]),
            Kind::Double => Json::Decimal(double(f64::from_be_bytes(self.array()?))),
            Kind::Int8 => Json::Number(i8::from_be_bytes(self.array()?).into()),
            Kind::Int16 => Json::Number(i16::from_be_bytes(self.array()?).into()),
            Kind::Uint16 => Json::Number(u16::from_be_bytes(self.array()?).into()),
            Kind::Int32 => Json::Number(i32::from_be_bytes(self.array()?).into()),
            Kind::Int64 => Json::Number(i64::from_be_bytes(self.array()?)),
            Kind::Text => match self.length(false)? {
                Some(length) => Json::Text(String::from_utf8_lossy(self.take(length)?).into_owned()),
                None => null()?,
            },
            Kind::Bytes => match self.length(true)? {
                Some(length) => Json::Text(STANDARD.encode(self.take(length)?)),
                None => null()?,
            },
            Kind::Id => Json::Text(id_text(Uuid::from_bytes(self.array()?))),
            Kind::Array(element) => match self.length(true)? {
                // An element has a byte at least.
                Some(count) if count > self.rest.len() => {
                    return Err(format!(
                        "Tried to allocate a collection of size {count}, but there are only {} bytes remaining",
                        self.rest.len()
                    ));
                }
                Some(count) => {
                    Json::Array((0..count).map(|_| self.value(element, false)).collect::<Read<_>>()?)
                }
                None => null()?,
            },
            // Of a structure that may be null a byte says whether it is.
            Kind::Struct(_) if nullable && i8::from_be_bytes(self.array()?) < 0 => Json::Null,
            Kind::Struct(fields) => self.fields(fields)?,
        })
    }

    /// A length, `None` for null.
    fn length(&mut self, wide: bool) -> Read<Option<usize>> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if wide {
            i64::from(i32::from_be_bytes(self.array()?))
        } else {
            i64::from(i16::from_be_bytes(self.array()?))
        };
        Ok(usize::try_from(length).ok())
    }

    /// A number whose bytes have a bit each that says whether another follows.
    pub fn varint(&mut self) -> Read<u32> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|error| error.to_string());
            }
        }
        Err("Varint is too long, the most significant bit in the 5th byte is set".into())
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.short(N))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.short(length))?;
        self.rest = rest;
        Ok(taken)
    }

    fn short(&self, length: usize) -> String {
        format!("Error reading byte array of {length} byte(s): only {} byte(s) available", self.rest.len())
    }
}
