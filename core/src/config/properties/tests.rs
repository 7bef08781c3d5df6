use super::*;
use proptest::prelude::*;

fn pairs(text: &str) -> Vec<(u32, String, String)> {
    let parsed = parse(text).expect("well formed");
    parsed.into_iter().map(|property| (property.line, property.key, property.value)).collect()
}

fn one(text: &str) -> (String, String) {
    let (_, key, value) = pairs(text).remove(0);
    (key, value)
}

#[test]
fn every_separator_of_java_separates() {
    for text in ["a=b", "a:b", "a b", "a = b", "  a\t:\tb", "a\u{c}b", "a =b"] {
        assert_eq!(one(text), ("a".into(), "b".into()), "{text:?}");
    }
    assert_eq!(one("a==b"), ("a".into(), "=b".into()));
    assert_eq!(one("listeners=PLAINTEXT://:9092"), ("listeners".into(), "PLAINTEXT://:9092".into()));
    assert_eq!(one("a"), ("a".into(), "".into()));
    assert_eq!(one("a="), ("a".into(), "".into()));
    assert_eq!(one("a\\:b\\ c=d"), ("a:b c".into(), "d".into()));
}

#[test]
fn a_value_keeps_its_trailing_blanks_as_in_java() {
    assert_eq!(one("a=b  "), ("a".into(), "b  ".into()));
}

#[test]
fn comments_and_empty_lines_count_as_lines() {
    let text = "# one\n\n! three\na=1\r\n   # five\rb=2";
    assert_eq!(pairs(text), [(4, "a".into(), "1".into()), (6, "b".into(), "2".into())]);
}

#[test]
fn a_continued_line_is_named_by_its_first() {
    let text = "a=1,\\\n   2,\\\n   3\nb=\\\\\nc=1\\\n#not a comment";
    let expected = [(1, "a", "1,2,3"), (4, "b", "\\"), (5, "c", "1#not a comment")];
    let expected: Vec<_> =
        expected.iter().map(|(line, k, v)| (*line, k.to_string(), v.to_string())).collect();
    assert_eq!(pairs(text), expected);
}

#[test]
fn a_continuation_at_the_end_of_the_text_is_kept() {
    assert_eq!(one("a=b\\"), ("a".into(), "b".into()));
}

#[test]
fn escapes_are_javas() {
    assert_eq!(one("a=\\t\\n\\r\\f\\q\\\\"), ("a".into(), "\t\n\r\u{c}q\\".into()));
    assert_eq!(one("a=\\u0041\\ud83d\\ude00"), ("a".into(), "A😀".into()));
}

#[test]
fn all_malformed_escapes_are_told_with_their_lines() {
    let errors = parse("a=1\nb=\\u12\nc=\\u00g0\nd=\\u+041").expect_err("malformed");
    assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(errors[0].problem.contains("\\u12"), "{}", errors[0].problem);
}

/// Writes a text so that Java reads it back.
fn escape(text: &str) -> String {
    let escaped = |unit: u16| match char::from_u32(u32::from(unit)) {
        Some(c) if c.is_ascii_alphanumeric() => c.to_string(),
        _ => format!("\\u{unit:04x}"),
    };
    text.encode_utf16().map(escaped).collect()
}

proptest! {
    #[test]
    fn whatever_is_escaped_reads_back(entries in prop::collection::vec((".{1,20}", ".{0,40}"), 0..8)) {
        let text: String = entries.iter().map(|(k, v)| format!("{}={}\n", escape(k), escape(v))).collect();
        let read: Vec<_> = pairs(&text).into_iter().map(|(_, k, v)| (k, v)).collect();
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a\\\\u0-9=: \\n\\r#!\\PC]{0,200}") {
        let lines = text.replace("\r\n", "\n").replace('\r', "\n").split('\n').count();
        if let Ok(properties) = parse(&text) {
            let in_order = properties.windows(2).all(|pair| pair[0].line < pair[1].line);
            prop_assert!(in_order);
            let inside = properties.iter().all(|property| (1..=lines).contains(&(property.line as usize)));
            prop_assert!(inside);
        }
    }
}
