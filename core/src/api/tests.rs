//! The table against the codec, the guard and SKIPPED.md.

use super::{TABLE, ordering};
use crate::{engine::Ordering, wire};
use bytes::Bytes;
use std::collections::BTreeSet;

fn skipped() -> BTreeSet<i16> {
    let rows = include_str!("SKIPPED.md").lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn every_key_that_the_protocol_crate_knows_is_served_or_skipped_with_a_reason() {
    let served: BTreeSet<i16> = TABLE.iter().map(|row| row.key).collect();
    let skipped = skipped();
    assert!(served.is_disjoint(&skipped), "{:?}", served.intersection(&skipped));
    for key in kafka_protocol::messages::ApiKey::iter() {
        let key = key as i16;
        assert!(served.contains(&key) || skipped.contains(&key), "key {key} is neither served nor skipped");
    }
}

#[test]
fn a_key_stands_in_the_table_once_in_the_order_of_numbers() {
    assert!(TABLE.is_sorted_by_key(|row| row.key));
    let keys: BTreeSet<i16> = TABLE.iter().map(|row| row.key).collect();
    assert_eq!(keys.len(), TABLE.len());
}

#[test]
fn what_is_served_can_be_decoded() {
    for row in TABLE {
        let codec = wire::versions(row.key).expect("the guard has a row");
        assert!(row.versions.0 >= codec.min && row.versions.1 <= codec.max, "{} {codec:?}", row.name);
        assert!(row.advertised_from <= row.versions.0, "{}", row.name);
    }
}

#[test]
fn only_what_brokers_and_clients_send_ahead_overlaps_and_what_cannot_be_read_runs_alone() {
    for row in TABLE {
        let overlaps = ["Produce", "Fetch", "AddPartitionsToTxn", "WriteTxnMarkers"].contains(&row.name);
        assert_eq!(row.ordering == Ordering::Overlaps, overlaps, "{}", row.name);
    }
    assert_eq!(ordering(&Bytes::from_static(&[0])), Ordering::Exclusive);
    assert_eq!(ordering(&Bytes::from_static(&[0, 0])), Ordering::Overlaps);
}
