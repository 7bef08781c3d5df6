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

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{ApiKey, OffsetCommitRequest};

    #[test]
    fn the_range_is_the_codecs_even_where_the_crate_says_more() {
        let init = versions(ApiKey::InitProducerId as i16).expect("it is known");
        assert_eq!(init.max + 1, ApiKey::InitProducerId.valid_versions().max);
        assert_eq!(versions_of::<OffsetCommitRequest>().max, 9);
    }

    #[test]
    fn versions_that_the_codec_lacks_are_known_where_there_is_a_decoder_of_ours() {
        for (key, max) in
            [(ApiKey::OffsetCommit, 10), (ApiKey::OffsetFetch, 10), (ApiKey::DescribeLogDirs, 5)]
        {
            assert_eq!(versions(key as i16).expect("it is known").max, max, "{key:?}");
        }
    }

    #[test]
    fn an_unknown_key_has_neither_versions_nor_a_name() {
        assert_eq!((versions(4), name(4)), (None, None));
        assert_eq!(name(0), Some("Produce"));
        assert!(known_keys().all(|key| versions(key).is_some_and(|range| !range.is_empty())));
    }
}
