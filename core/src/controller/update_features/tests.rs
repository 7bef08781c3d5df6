use super::{
    super::tests::{committed, controller},
    *,
};
use crate::metadata::Batch;
use UpgradeType::{SafeDowngrade, Unknown, UnsafeDowngrade, Upgrade};

/// One that can be taken away again, beside those that are served.
const WITH_ONE_MORE: &[Feature] = &[
    Feature { name: "metadata.version", min: 7, max: 30, initial: 30 },
    Feature { name: "some.version", min: 0, max: 2, initial: 0 },
];

fn prepared() -> Controller {
    let mut controller = controller(1);
    controller.settings.features = WITH_ONE_MORE;
    controller
}

fn ask(name: &str, level: i16, kind: UpgradeType) -> UpdateFeaturesRequest {
    let updates = vec![FeatureUpdate { name: name.to_owned(), level, kind }];
    UpdateFeaturesRequest { updates, validate_only: false }
}

#[test]
fn a_level_is_raised_and_lowered_as_asked_and_the_same_one_writes_nothing() {
    let mut controller = prepared();
    let same = controller.update_features(&ask("metadata.version", 30, Upgrade));
    assert_eq!((same.batch, same.reply), (None, Ok(())));
    for (level, kind) in [(2, Upgrade), (1, SafeDowngrade), (0, UnsafeDowngrade)] {
        let mut request = ask("some.version", level, kind);
        request.validate_only = true;
        let validated = controller.update_features(&request);
        assert_eq!((validated.batch, validated.reply), (None, Ok(())));
        let decision = controller.update_features(&ask("some.version", level, kind));
        let record = Record::FeatureLevel { name: "some.version".to_owned(), level };
        assert_eq!(decision.batch, Some(Batch { preconditions: Vec::new(), records: vec![record] }));
        assert_eq!(committed(&mut controller, decision), Ok(()));
        assert_eq!(controller.committed().feature("some.version"), level);
    }
}

#[test]
fn what_cannot_be_is_refused_in_kafkas_words_and_then_nothing_of_the_request_is_done() {
    let mut controller = prepared();
    let up = controller.update_features(&ask("some.version", 2, Upgrade));
    assert_eq!(committed(&mut controller, up), Ok(()));
    for (name, level, kind, text) in [
        ("nope", 1, Upgrade, "Local controller 1 does not support this feature."),
        ("nope", 0, Upgrade, "Feature nope not found."),
        ("some.version", 3, Upgrade, "Local controller 1 only supports versions 0-2"),
        ("some.version", 3, SafeDowngrade, "Local controller 1 only supports versions 0-2"),
        ("some.version", -1, SafeDowngrade, "cannot be less than 0"),
        ("some.version", 1, Unknown, "does not support the given upgrade type"),
        ("some.version", 1, Upgrade, "without setting the upgrade type to either safe or unsafe downgrade"),
        ("metadata.version", 0, SafeDowngrade, "only supports versions 7-30"),
        ("metadata.version", 29, SafeDowngrade, "Unsupported metadata.version downgrade from 30 to 29"),
        ("metadata.version", 29, UnsafeDowngrade, "Unsafe metadata downgrade is not supported"),
    ] {
        let mut request = ask("some.version", 1, SafeDowngrade);
        request.updates.extend(ask(name, level, kind).updates);
        let decision = controller.update_features(&request);
        assert_eq!(decision.batch, None);
        let error = decision.reply.expect_err("refused");
        assert_eq!(error.code, ErrorCode::InvalidUpdateVersion);
        assert!(error.message.contains(text), "{}", error.message);
    }
    let newer = controller.update_features(&ask("kraft.version", 1, Upgrade));
    assert!(newer.reply.is_err());
}

#[test]
fn voters_that_may_change_may_change_forever() {
    let mut controller = controller(1);
    let up = controller.update_features(&ask(KRAFT_VERSION, 1, Upgrade));
    assert_eq!(committed(&mut controller, up), Ok(()));
    for kind in [SafeDowngrade, UnsafeDowngrade] {
        let error = controller.update_features(&ask(KRAFT_VERSION, 0, kind)).reply.expect_err("no way back");
        let words = "Invalid update version 0 for feature kraft.version. Can't downgrade the version of this feature.";
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidUpdateVersion, words));
    }
}
