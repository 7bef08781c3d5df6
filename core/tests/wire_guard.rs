//! The frame guard against the protocol crate's own encoders: it accepts what they write, in every version of every
//! served key, and nothing that is cut, padded or damaged gets a decoder to panic or to disagree with it.

#[path = "wire_support/mutation.rs"]
mod mutation;
#[path = "wire_support/values.rs"]
mod values;

use bytes::Bytes;
use corelane_core::wire::{Fault, RequestHeader, WireError, decode_request, encode_request, try_frame};
use kafka_protocol::protocol::Request;
use proptest::{prelude::*, test_runner::TestRunner};
use std::fmt::Debug;
use values::{Values, Visitor, visit_served};

/// A frame of a random request, as the guard gets it: without the length in front.
fn frame_of<T: Request>(seed: u64, version: i16, random: fn(&mut Values) -> T) -> (T, Bytes) {
    let request = random(&mut Values::new(seed, version));
    let client_id = [None, Some(""), Some("a-client")][(seed % 3) as usize];
    let frame = encode_request(seed as i32, client_id, version, &request).expect("fields suit the version");
    (request, frame.slice(4..))
}

/// Runs `property` on random requests of every served key and version.
struct ForAll<P> {
    cases_per_version: u32,
    property: P,
}

trait Property {
    fn holds<T: Request + Debug + PartialEq>(
        &self,
        seed: u64,
        version: i16,
        request: T,
        frame: Bytes,
    ) -> Result<(), TestCaseError>;
}

impl<P: Property> Visitor for ForAll<P> {
    fn request<T: Request + Debug + PartialEq>(&mut self, random: fn(&mut Values) -> T) {
        for version in T::VERSIONS.min..=T::VERSIONS.max {
            let config = ProptestConfig {
                cases: self.cases_per_version,
                failure_persistence: None,
                ..Default::default()
            };
            let mut runner = TestRunner::new(config);
            let outcome = runner.run(&any::<u64>(), |seed| {
                let (request, frame) = frame_of(seed, version, random);
                self.property.holds(seed, version, request, frame)
            });
            if let Err(error) = outcome {
                panic!("key {} version {version}: {error}", T::KEY);
            }
        }
    }
}

fn for_all(cases_per_version: u32, property: impl Property) {
    visit_served(&mut ForAll { cases_per_version, property });
}

#[test]
fn what_the_crate_encodes_is_accepted_and_decodes_to_the_same() {
    struct RoundTrip;
    impl Property for RoundTrip {
        fn holds<T: Request + Debug + PartialEq>(
            &self,
            seed: u64,
            version: i16,
            request: T,
            frame: Bytes,
        ) -> Result<(), TestCaseError> {
            let header =
                RequestHeader::parse(&frame).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(
                (header.api_key, header.api_version, header.correlation_id),
                (T::KEY, version, seed as i32)
            );
            prop_assert_eq!(decode_request::<T>(&header, &frame), Ok(request));
            Ok(())
        }
    }
    for_all(64, RoundTrip);
}

#[test]
fn every_truncation_is_refused() {
    struct Truncated;
    impl Property for Truncated {
        fn holds<T: Request + Debug + PartialEq>(
            &self,
            _: u64,
            _: i16,
            _: T,
            frame: Bytes,
        ) -> Result<(), TestCaseError> {
            // All cuts of a short frame, some hundreds of a long one.
            for cut in (0..frame.len()).step_by(frame.len() / 300 + 1) {
                match try_frame(&frame.slice(..cut)) {
                    Err(WireError::Malformed { .. } | WireError::TooShort { .. }) => {}
                    other => prop_assert!(false, "cut to {cut} of {}: {other:?}", frame.len()),
                }
            }
            Ok(())
        }
    }
    for_all(8, Truncated);
}

#[test]
fn bytes_behind_the_body_are_refused() {
    struct Padded;
    impl Property for Padded {
        fn holds<T: Request + Debug + PartialEq>(
            &self,
            seed: u64,
            _: i16,
            _: T,
            frame: Bytes,
        ) -> Result<(), TestCaseError> {
            let padded: Bytes = frame.iter().copied().chain([seed as u8]).collect();
            match try_frame(&padded) {
                Err(WireError::Malformed { fault: Fault::Trailing, at, .. }) => {
                    prop_assert_eq!(at, frame.len())
                }
                other => prop_assert!(false, "{other:?}"),
            }
            Ok(())
        }
    }
    for_all(8, Padded);
}

#[test]
fn the_decoder_takes_whatever_the_guard_lets_through() {
    struct Mutated;
    impl Property for Mutated {
        fn holds<T: Request + Debug + PartialEq>(
            &self,
            seed: u64,
            version: i16,
            _: T,
            frame: Bytes,
        ) -> Result<(), TestCaseError> {
            let mut random = Values::new(!seed, version);
            for _ in 0..20 {
                let mut damaged = frame.to_vec();
                mutation::mutate(&mut random, &mut damaged);
                if let Err(WireError::Decode(text)) = try_frame(&Bytes::from(damaged)) {
                    return Err(TestCaseError::fail(text));
                }
            }
            Ok(())
        }
    }
    for_all(32, Mutated);
}

proptest! {
    #[test]
    fn any_bytes_at_all_are_an_answer_not_a_panic(
        key in -1i16..100,
        version in -1i16..20,
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let frame: Vec<u8> = [key.to_be_bytes(), version.to_be_bytes()].concat().into_iter().chain(rest).collect();
        let outcome = try_frame(&Bytes::from(frame));
        prop_assert!(!matches!(outcome, Err(WireError::Decode(_))), "{outcome:?}");
    }
}
