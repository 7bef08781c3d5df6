//! The vocabulary of the guard's table. A row reads like Kafka's message definitions: fields in wire order, each
//! with its type and, where not all versions have it, since or until which version it exists.

use bytes::Bytes;
use kafka_protocol::protocol::{Request, StrBytes, VersionRange};

/// Decodes a walked body of a version, and drops what comes of it.
type Decode = fn(&mut Bytes, i16) -> Result<(), String>;

/// One API key: what its requests look like in every version that the protocol crate decodes.
pub(crate) struct Row {
    pub(super) key: i16,
    pub(super) name: &'static str,
    /// Those of the crate's codec.
    pub(super) versions: VersionRange,
    pub(super) flexible_from: i16,
    pub(super) fields: &'static [Field],
    decode: Decode,
    /// One version above those, with a decoder of our own.
    own: Option<(i16, Decode)>,
    #[cfg(test)]
    pub(super) recode: fn(&mut Bytes, i16) -> Result<Vec<u8>, String>,
}

impl Row {
    /// The row of `T`, whose number and versions come from the crate's codec (not from its
    /// `ApiKey::valid_versions`, which can promise more than the codec does). `flexible_from` is the first version
    /// with compact lengths and tagged fields (KIP-482), [`NEVER`] if there is none.
    pub(super) const fn of<T: Request>(
        name: &'static str,
        flexible_from: i16,
        fields: &'static [Field],
    ) -> Row {
        Row {
            key: T::KEY,
            name,
            versions: T::VERSIONS,
            flexible_from,
            fields,
            decode: decode_and_drop::<T>,
            own: None,
            #[cfg(test)]
            recode: decode_and_encode::<T>,
        }
    }

    /// The same row, up to a version that the crate's codec lacks and this decoder has.
    pub(super) const fn with_version(mut self, version: i16, decode: Decode) -> Row {
        self.own = Some((version, decode));
        self
    }

    pub(super) fn own_version(&self) -> Option<i16> {
        self.own.map(|(version, _)| version)
    }

    /// Decodes a walked body, and drops what comes of it.
    pub(super) fn decode(&self, body: &mut Bytes, version: i16) -> Result<(), String> {
        match self.own {
            Some((own, decode)) if own == version => decode(body, version),
            _ => (self.decode)(body, version),
        }
    }

    pub(super) fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

fn decode_and_drop<T: Request>(body: &mut Bytes, version: i16) -> Result<(), String> {
    T::decode(body, version).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
fn decode_and_encode<T: Request>(body: &mut Bytes, version: i16) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let request = T::decode(body, version).map_err(|error| error.to_string())?;
    request.encode(&mut out, version).map_err(|error| error.to_string())?;
    Ok(out)
}

/// "No version is flexible".
pub(super) const NEVER: i16 = i16::MAX;

/// A field of a struct.
pub(crate) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    first: i16,
    last: i16,
    /// `Some` if it travels as a tagged field.
    pub(super) tag: Option<u32>,
}

/// A field of every version.
pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, nullable: false, first: 0, last: i16::MAX, tag: None }
}

/// A field of every version that may be null.
pub(super) const fn nullable(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, nullable: true, first: 0, last: i16::MAX, tag: None }
}

impl Field {
    /// It exists since this version.
    pub(super) const fn since(mut self, first: i16) -> Field {
        self.first = first;
        self
    }

    /// This is the last version that has it.
    pub(super) const fn until(mut self, last: i16) -> Field {
        self.last = last;
        self
    }

    /// It is a tagged field.
    pub(super) const fn tag(mut self, tag: u32) -> Field {
        self.tag = Some(tag);
        self
    }

    pub(super) fn exists_in(&self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }
}

/// A field's type.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// Length and UTF-8.
    String,
    /// Length and bytes (records, too): decoded as a slice of the frame.
    Bytes,
    /// Fields in line; preceded by a presence byte if nullable.
    Struct(&'static [Field]),
    /// Count and elements.
    Array(Element),
}

/// An array's element, and what one takes in the decoder's `Vec`.
#[derive(Clone, Copy)]
pub(super) struct Element {
    pub(super) shape: Shape,
    /// In bytes.
    pub(super) memory: usize,
}

/// An element's type.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Fixed(usize),
    String,
    Struct(&'static [Field]),
}

pub(super) const BOOLEAN: Kind = Kind::Fixed(1);
pub(super) const INT8: Kind = Kind::Fixed(1);
pub(super) const INT16: Kind = Kind::Fixed(2);
pub(super) const UINT16: Kind = Kind::Fixed(2);
pub(super) const INT32: Kind = Kind::Fixed(4);
pub(super) const INT64: Kind = Kind::Fixed(8);
pub(super) const FLOAT64: Kind = Kind::Fixed(8);
pub(super) const UUID: Kind = Kind::Fixed(16);
pub(super) const STRING: Kind = Kind::String;
pub(super) const BYTES: Kind = Kind::Bytes;
pub(super) const INT8_ARRAY: Kind = Kind::Array(Element { shape: Shape::Fixed(1), memory: 1 });
pub(super) const INT32_ARRAY: Kind = Kind::Array(Element { shape: Shape::Fixed(4), memory: 4 });
pub(super) const INT64_ARRAY: Kind = Kind::Array(Element { shape: Shape::Fixed(8), memory: 8 });
pub(super) const STRING_ARRAY: Kind =
    Kind::Array(Element { shape: Shape::String, memory: size_of::<StrBytes>() });

/// An array of structs that the crate decodes into `T`s.
pub(super) const fn array<T>(fields: &'static [Field]) -> Kind {
    Kind::Array(Element { shape: Shape::Struct(fields), memory: size_of::<T>() })
}

/// A struct in line.
pub(super) const fn object(fields: &'static [Field]) -> Kind {
    Kind::Struct(fields)
}
