//! Which keys and versions the codec really has: the most that can be advertised.

use super::guard;
use kafka_protocol::protocol::{Message, VersionRange};

/// The versions of a request or response that the protocol crate's codec has. Its `ApiKey::valid_versions` promises
/// more for some keys (OffsetCommit, OffsetFetch, InitProducerId): never advertise by that.
pub const fn versions_of<T: Message>() -> VersionRange {
    T::VERSIONS
}

/// The versions in which requests of this key can be decoded; `None` for a key that cannot be at all.
pub fn versions(api_key: i16) -> Option<VersionRange> {
    guard::row(api_key).map(guard::Row::versions)
}

/// Kafka's name of a key that can be decoded.
pub fn name(api_key: i16) -> Option<&'static str> {
    guard::row(api_key).map(guard::Row::name)
}

/// All keys that can be decoded, in no particular order. Which of them are served, the table of the api module says.
pub fn known_keys() -> impl Iterator<Item = i16> {
    guard::rows().map(guard::Row::api_key)
}
