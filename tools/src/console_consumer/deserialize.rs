//! Kafka's own deserializers (`org.apache.kafka.common.serialization`), as far as a text comes of them.

use crate::java::{decimal, double, uuid_text};

/// What reads bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deserializer {
    Text,
    /// The bytes as they are: Java would print an address in its memory.
    Bytes,
    Boolean,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Uuid,
}

impl Deserializer {
    /// Of a class.
    pub fn named(class: &str) -> Option<Deserializer> {
        let name =
            class.strip_prefix("org.apache.kafka.common.serialization.")?.strip_suffix("Deserializer")?;
        Some(match name {
            "String" => Deserializer::Text,
            "ByteArray" | "Bytes" | "ByteBuffer" => Deserializer::Bytes,
            "Boolean" => Deserializer::Boolean,
            "Short" => Deserializer::Short,
            "Integer" => Deserializer::Integer,
            "Long" => Deserializer::Long,
            "Float" => Deserializer::Float,
            "Double" => Deserializer::Double,
            "UUID" => Deserializer::Uuid,
            _ => return None,
        })
    }

    /// What the bytes say.
    pub fn text(self, bytes: &[u8]) -> Result<String, String> {
        Ok(match self {
            Deserializer::Text | Deserializer::Bytes => String::from_utf8_lossy(bytes).into_owned(),
            Deserializer::Boolean => match *sized::<1>(bytes, "BooleanDeserializer")? {
                [0] => "false".into(),
                [1] => "true".into(),
                [other] => return Err(format!("Unexpected byte received by BooleanDeserializer: {other}")),
            },
            Deserializer::Short => i16::from_be_bytes(*sized(bytes, "ShortDeserializer")?).to_string(),
            Deserializer::Integer => i32::from_be_bytes(*sized(bytes, "IntegerDeserializer")?).to_string(),
            Deserializer::Long => i64::from_be_bytes(*sized(bytes, "LongDeserializer")?).to_string(),
            Deserializer::Float => {
                let value = f32::from_be_bytes(*sized(bytes, "Deserializer")?);
                decimal(f64::from(value), &format!("{value:?}"), &format!("{value:e}"))
            }
            Deserializer::Double => {
                let value = f64::from_be_bytes(*sized(bytes, "Deserializer")?);
                double(value)
            }
            Deserializer::Uuid => {
                let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
                uuid_text(text)?
            }
        })
    }
}

fn sized<'a, const N: usize>(bytes: &'a [u8], name: &str) -> Result<&'a [u8; N], String> {
    bytes.try_into().map_err(|_| format!("Size of data received by {name} is not {N}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_by_java() {
        let double = |value: f64| Deserializer::Double.text(&value.to_be_bytes());
        assert_eq!(double(1.0), Ok("1.0".into()));
        assert_eq!(double(0.001), Ok("0.001".into()));
        assert_eq!(double(1e7), Ok("1.0E7".into()));
        assert_eq!(double(1.25e-5), Ok("1.25E-5".into()));
        assert_eq!(double(f64::NEG_INFINITY), Ok("-Infinity".into()));
        assert_eq!(Deserializer::Long.text(&7_i64.to_be_bytes()), Ok("7".into()));
    }

    #[test]
    fn only_kafkas_own_classes_are_known() {
        let class = |name: &str| {
            Deserializer::named(&format!("org.apache.kafka.common.serialization.{name}Deserializer"))
        };
        assert_eq!(class("Integer"), Some(Deserializer::Integer));
        assert_eq!(class("Avro"), None);
        assert_eq!(Deserializer::named("com.example.IntegerDeserializer"), None);
    }
}
