//! Records whose value is one message in a frame: the frame's version, the message's type and version, all as varints
//! without a sign, and its fields.

use crate::coordinator::{
    Json,
    schema::{Fields, Reader},
};

/// The only version of the frame that there is.
const FRAME_VERSION: i16 = 1;

/// A type of message.
pub struct Type {
    number: i16,
    name: &'static str,
    /// The highest version.
    latest: i16,
    fields: Fields,
}

impl Type {
    pub const fn new(number: i16, name: &'static str, latest: i16, fields: Fields) -> Type {
        Type { number, name, latest, fields }
    }
}

/// A message that was read.
pub struct Message {
    /// The number of its type.
    pub number: i16,
    /// Its type's name.
    pub name: &'static str,
    pub version: i16,
    pub data: Json,
}

/// Why a value cannot be read, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// Reads a value that is one of these; `unknown` says that it is none.
///
/// # Errors
/// [`Fault`].
pub fn read(value: &[u8], types: &[Type], unknown: impl Fn(i16) -> String) -> Result<Message, Fault> {
    let mut reader = Reader::new(value, 0, true);
    let mut short = |what: &str| -> Result<i16, Fault> {
        let number = reader.varint().map_err(|_| Fault(format!("Error while reading {what}")))?;
        i16::try_from(number).map_err(|_| Fault(format!("Value for {what} was too large.")))
    };
    match short("frame version")? {
        FRAME_VERSION => (),
        0 => {
            return Err(Fault(
                "Could not deserialize metadata record with frame version 0. Note that upgrades from the preview release \
                 of KRaft in 2.8 to newer versions are not supported."
                    .into(),
            ));
        }
        other => {
            return Err(Fault(format!(
                "Could not deserialize metadata record due to unknown frame version {other}(only frame version \
                 {FRAME_VERSION} is supported)"
            )));
        }
    }
    let (number, version) = (short("type")?, short("version")?);
    let kind = types.iter().find(|kind| kind.number == number).ok_or_else(|| Fault(unknown(number)))?;
    let failed = || Fault(format!("Failed to deserialize record with type {number}"));
    if version > kind.latest {
        return Err(failed());
    }
    let mut reader = reader.of_version(version);
    let data = reader.fields(kind.fields).map_err(|_| failed())?;
    match reader.left() {
        0 => Ok(Message { number, name: kind.name, version, data }),
        left => Err(Fault(format!("Found {left} byte(s) of garbage after {number}"))),
    }
}
