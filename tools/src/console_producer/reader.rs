//! From a line to a record (`org.apache.kafka.tools.LineMessageReader`).

use crate::client::Properties;
use fancy_regex::Regex;

/// How lines are cut.
#[derive(Debug)]
pub struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
    line_number: u64,
}

/// A record, as slices of its line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub key: Option<&'a str>,
    pub value: Option<&'a str>,
    pub headers: Vec<(&'a str, Option<&'a str>)>,
}

impl LineReader {
    /// By these properties; those that nobody knows are passed over.
    pub fn new(properties: &Properties) -> Result<LineReader, String> {
        let flag = |name| properties.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let or = |name, default: &str| properties.get(name).unwrap_or(default).to_owned();
        let headers_separator = or("headers.separator", ",");
        let reader = LineReader {
            parse_key: flag("parse.key"),
            key_separator: or("key.separator", "\t"),
            parse_headers: flag("parse.headers"),
            headers_delimiter: or("headers.delimiter", "\t"),
            headers_separator: Regex::new(&headers_separator).map_err(|error| error.to_string())?,
            headers_key_separator: or("headers.key.separator", ":"),
            ignore_error: flag("ignore.error"),
            null_marker: properties.get("null.marker").map(str::to_owned),
            line_number: 0,
        };
        let delimiter = ("headers.delimiter", Some(&reader.headers_delimiter));
        let separator = ("headers.separator", Some(&headers_separator));
        let key_in_header = ("headers.key.separator", Some(&reader.headers_key_separator));
        let null = ("null.marker", reader.null_marker.as_ref());
        let pairs = [
            (delimiter, separator),
            (delimiter, key_in_header),
            (separator, key_in_header),
            (null, ("key.separator", Some(&reader.key_separator))),
            (null, separator),
            (null, delimiter),
            (null, key_in_header),
        ];
        match pairs.iter().find(|(one, other)| one.1 == other.1) {
            Some((one, other)) => Err(format!("{} and {} may not be equal", one.0, other.0)),
            None => Ok(reader),
        }
    }

    /// The record of the next line.
    pub fn parse<'a>(&mut self, line: &'a str) -> Result<Line<'a>, String> {
        self.line_number += 1;
        let mut rest = line;
        let headers = match self.parse_headers {
            true => self.cut(line, &mut rest, &self.headers_delimiter, "headers delimiter")?,
            false => None,
        };
        let key = match self.parse_key {
            true => self.cut(line, &mut rest, &self.key_separator, "key separator")?,
            false => None,
        };
        let headers = match headers.and_then(|headers| self.unless_null(headers)) {
            Some(headers) => self.split_headers(headers)?,
            None => Vec::new(),
        };
        Ok(Line { key: key.and_then(|key| self.unless_null(key)), value: self.unless_null(rest), headers })
    }

    fn unless_null<'a>(&self, text: &'a str) -> Option<&'a str> {
        (self.null_marker.as_deref() != Some(text)).then_some(text)
    }

    /// What stands before the separator; `rest` is then what stands behind it.
    fn cut<'a>(
        &self,
        line: &str,
        rest: &mut &'a str,
        separator: &str,
        what: &str,
    ) -> Result<Option<&'a str>, String> {
        match rest.split_once(separator) {
            Some((before, behind)) => {
                *rest = behind;
                Ok(Some(before))
            }
            None if self.ignore_error => Ok(None),
            None => Err(format!("No {what} found on line number {}: '{line}'", self.line_number)),
        }
    }

    fn split_headers<'a>(&self, headers: &'a str) -> Result<Vec<(&'a str, Option<&'a str>)>, String> {
        let mut pairs: Vec<&str> = Vec::new();
        for pair in self.headers_separator.split(headers) {
            pairs.push(pair.map_err(|error| error.to_string())?);
        }
        // As Java's split: empty pairs at the end are none.
        while pairs.len() > 1 && pairs.last() == Some(&"") {
            pairs.pop();
        }
        let mut split = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let Some((key, value)) = pair.split_once(&*self.headers_key_separator) else {
                if self.ignore_error {
                    split.push((pair, None));
                    continue;
                }
                return Err(format!(
                    "No header key separator found in pair '{pair}' on line number {}",
                    self.line_number
                ));
            };
            if self.unless_null(key).is_none() {
                return Err(format!(
                    "Header keys should not be equal to the null marker '{key}' as they can't be null"
                ));
            }
            split.push((key, self.unless_null(value)));
        }
        Ok(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &[&str]) -> Result<LineReader, String> {
        let mut properties = Properties::default();
        properties.add_pairs(pairs);
        LineReader::new(&properties)
    }

    #[test]
    fn a_line_is_a_value_unless_more_is_asked_for() {
        let line = "a\tb";
        assert_eq!(
            reader(&[]).expect("defaults").parse(line),
            Ok(Line { key: None, value: Some(line), headers: vec![] })
        );
        let mut keyed = reader(&["parse.key=true", "key.separator=b"]).expect("valid");
        assert_eq!(keyed.parse(line), Ok(Line { key: Some("a\t"), value: Some(""), headers: vec![] }));
    }

    #[test]
    fn headers_stand_before_the_key() {
        let mut reader =
            reader(&["parse.key=true", "parse.headers=true", "null.marker=NULL"]).expect("valid");
        let line = reader.parse("h1:v1,h1:NULL\tNULL\tvalue");
        let headers = vec![("h1", Some("v1")), ("h1", None)];
        assert_eq!(line, Ok(Line { key: None, value: Some("value"), headers }));
        assert_eq!(reader.parse("NULL\tk\tNULL"), Ok(Line { key: Some("k"), value: None, headers: vec![] }));
        let null_key = "Header keys should not be equal to the null marker 'NULL' as they can't be null";
        assert_eq!(reader.parse("NULL:v\tk\tv"), Err(null_key.into()));
    }

    #[test]
    fn what_is_missing_is_told_with_its_line_or_ignored() {
        let mut strict = reader(&["parse.key=true"]).expect("valid");
        strict.parse("k\tv").expect("whole");
        assert_eq!(strict.parse("none"), Err("No key separator found on line number 2: 'none'".into()));
        let mut lax = reader(&["parse.key=true", "parse.headers=true", "ignore.error=true"]).expect("valid");
        assert_eq!(lax.parse("x\tv"), Ok(Line { key: None, value: Some("v"), headers: vec![("x", None)] }));
    }

    #[test]
    fn separators_differ_from_each_other_and_from_null() {
        let error = reader(&["headers.delimiter=,"]).expect_err("as headers.separator");
        assert_eq!(error, "headers.delimiter and headers.separator may not be equal");
        let error = reader(&["null.marker=:"]).expect_err("as headers.key.separator");
        assert_eq!(error, "null.marker and headers.key.separator may not be equal");
    }
}
