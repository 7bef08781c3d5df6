use super::*;

fn op(kind: ConfigOpKind, key: &str, value: Option<&str>) -> ConfigOp {
    ConfigOp { key: key.to_owned(), kind, value: value.map(str::to_owned) }
}

fn set(loggers: &mut Loggers, key: &str, value: &str) -> Result<(), ApiError> {
    loggers.alter(&[op(ConfigOpKind::Set, key, Some(value))], false)
}

fn level(loggers: &Loggers, name: &str) -> &'static str {
    let levels = loggers.levels();
    levels.iter().find(|(known, _)| known == name).map_or("unknown", |(_, level)| level.name())
}

#[test]
fn a_filter_is_read_and_written_again_with_all_that_it_says() {
    for (filter, written) in [
        ("info,openraft=warn", "info,openraft=warn"),
        ("", "error"),
        ("3", "info"),
        ("off", "off"),
        ("my_crate, WARN", "warn,my_crate=trace"),
        ("debug,[span]=trace,corelane[{x=1}]=info", "debug,[span]=trace,corelane[{x=1}]=info"),
    ] {
        assert_eq!(Loggers::from_filter(filter).filter(), written, "{filter}");
    }
    let loggers = Loggers::from_filter("info,my_crate=debug");
    assert_eq!(level(&loggers, "my_crate"), "DEBUG");
    assert_eq!(level(&loggers, "root"), "INFO");
}

#[test]
fn a_logger_has_the_level_of_the_longest_name_that_it_begins_with() {
    let mut loggers = Loggers::from_filter("info,openraft=warn");
    assert_eq!(set(&mut loggers, "corelane_core", "DEBUG"), Ok(()));
    let levels =
        ["corelane_core", "corelane_core::log", "corelane_io", "openraft"].map(|it| level(&loggers, it));
    assert_eq!(levels, ["DEBUG", "DEBUG", "INFO", "WARN"]);
    assert_eq!(set(&mut loggers, "corelane", "TRACE"), Ok(()));
    let levels = ["corelane_core::log", "corelane_io", "openraft"].map(|it| level(&loggers, it));
    assert_eq!(levels, ["DEBUG", "TRACE", "WARN"]);
    assert_eq!(loggers.filter(), "info,corelane=trace,corelane_core=debug,openraft=warn");
}

#[test]
fn a_level_that_is_deleted_is_the_roots_again_and_the_logger_stays() {
    let mut loggers = Loggers::from_filter("info,my_crate=debug");
    assert_eq!(loggers.alter(&[op(ConfigOpKind::Delete, "my_crate", None)], false), Ok(()));
    assert_eq!((level(&loggers, "my_crate"), loggers.filter().as_str()), ("INFO", "info"));
    assert_eq!(set(&mut loggers, "root", "FATAL"), Ok(()));
    assert_eq!((level(&loggers, "my_crate"), loggers.filter().as_str()), ("FATAL", "off"));
    assert_eq!(set(&mut loggers, "my_crate", "WARN"), Ok(()));
}

#[test]
fn what_cannot_be_set_is_refused_in_kafkas_words_and_then_nothing_of_the_request_is_done() {
    let before = Loggers::from_filter("info");
    let good = op(ConfigOpKind::Set, "corelane", Some("DEBUG"));
    for (wrong, code, text) in [
        (
            op(ConfigOpKind::Set, "root", Some("debug")),
            ErrorCode::InvalidConfig,
            "Cannot set the log level of root to debug as it is not a supported log level. Valid log levels are DEBUG, \
             ERROR, FATAL, INFO, TRACE, WARN",
        ),
        (
            op(ConfigOpKind::Set, "no.such", Some("INFO")),
            ErrorCode::InvalidConfig,
            "Logger no.such does not exist!",
        ),
        (
            op(ConfigOpKind::Delete, "root", None),
            ErrorCode::InvalidRequest,
            "Removing the log level of the root logger is not allowed",
        ),
        (
            op(ConfigOpKind::Append, "root", Some("INFO")),
            ErrorCode::InvalidRequest,
            "APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (good.clone(), ErrorCode::InvalidRequest, "Error due to duplicate config keys"),
        (
            op(ConfigOpKind::Set, "root", None),
            ErrorCode::InvalidRequest,
            "Null value not supported for : root",
        ),
    ] {
        let mut loggers = before.clone();
        let refused = loggers.alter(&[good.clone(), wrong], false);
        assert_eq!(refused, Err(ApiError::new(code, text)));
        assert_eq!(loggers, before);
    }
    let mut loggers = before.clone();
    assert_eq!(loggers.alter(&[good], true), Ok(()));
    assert_eq!(loggers, before, "validated only");
}

#[test]
fn every_part_that_is_known_is_a_module() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for name in KNOWN.iter().filter_map(|name| name.strip_prefix("corelane_core::")) {
        assert!(sources.join(name).is_dir(), "{name}");
    }
}
