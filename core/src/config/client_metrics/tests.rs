use super::*;
use ErrorCode::{InvalidConfig, InvalidRequest};

#[test]
fn a_subscription_of_client_metrics_is_held_to_kafkas_rules() {
    for (name, value) in [
        ("interval.ms", "100"),
        ("metrics", "*"),
        ("metrics", "org.apache.kafka.,x"),
        ("match", ""),
        ("match", " client_id = a.* , client_source_port=[0-9]+"),
        ("match", r"client_id=(a)\1,client_id=b*+,client_software_version=[a-z&&[^b]]"),
        ("match", "client_id=a="),
    ] {
        assert_eq!(validate(name, value), Ok(()), "{name}={value}");
    }
    for (name, value, code, text) in [
        ("nope", "1", InvalidRequest, "Unknown client metrics configuration: nope"),
        (
            "interval.ms",
            "99",
            InvalidRequest,
            "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (
            "interval.ms",
            "x",
            InvalidConfig,
            "Invalid value x for configuration interval.ms: Not a number of type INT",
        ),
        ("match", "client_nope=a", InvalidConfig, "Illegal client matching pattern: client_nope=a"),
        ("match", "client_id=", InvalidConfig, "Illegal client matching pattern: client_id="),
        ("match", "=a", InvalidConfig, "Illegal client matching pattern: =a"),
        ("match", "client_id=a,client_id=(", InvalidConfig, "Illegal client matching pattern: client_id=("),
        ("match", "client_id=*a", InvalidConfig, "Illegal client matching pattern: client_id=*a"),
        (
            "match",
            "client_id=((a{999}){999}){999}",
            InvalidConfig,
            "Illegal client matching pattern: client_id=((a{999}){999}){999}",
        ),
        ("match", "client_id=a,,", InvalidConfig, "Configuration 'match' values must not be empty."),
        ("metrics", ",", InvalidConfig, "Configuration 'metrics' values must not be empty."),
        ("match", "client_id", InvalidConfig, "Illegal client matching pattern: client_id"),
        ("match", "client_id=a=b", InvalidConfig, "Illegal client matching pattern: client_id=a=b"),
    ] {
        assert_eq!(validate(name, value), Err((code, text.to_owned())));
    }
    let longest = format!("client_id={}", "a".repeat(502));
    assert_eq!(validate("match", &longest), Ok(()));
    let longer = (InvalidConfig, "match is longer than 512 bytes".to_owned());
    assert_eq!(validate("match", &format!("{longest}a")), Err(longer));
    let own = OrdMap::unit("interval.ms".to_owned(), "1000".to_owned());
    let told = describe_client_metrics(&own, None);
    let told: Vec<_> = told.iter().map(|it| (it.name, it.value.as_deref(), it.source.code())).collect();
    assert_eq!(told, [("interval.ms", Some("1000"), 7), ("match", Some(""), 5), ("metrics", Some(""), 5)]);
}
