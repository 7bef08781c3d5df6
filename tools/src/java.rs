//! What Kafka's tools have from Java, where it can be seen from outside.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fancy_regex::Regex;
use std::time::Duration;
use uuid::Uuid;

/// Kafka's text of an id: base64 of its 16 bytes (`org.apache.kafka.common.Uuid`).
pub fn id_text(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// An id from Kafka's text.
pub fn id_from(text: &str) -> Result<Uuid, String> {
    if text.len() > 24 {
        return Err(format!(
            "Input string with prefix `{}` is too long to be decoded as a base64 UUID",
            text.chars().take(24).collect::<String>()
        ));
    }
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| error.to_string())?;
    let length = bytes.len();
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| {
        format!("Input string `{text}` decoded as {length} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID")
    })?;
    Ok(Uuid::from_bytes(bytes))
}

/// A UUID in its usual form, as `java.util.UUID` prints it.
pub fn uuid_text(text: &str) -> Result<String, String> {
    Uuid::try_parse(text).map(|id| id.to_string()).map_err(|error| error.to_string())
}

/// Which topics an option names: a pattern for the whole name, in which commas mean "or" (`IncludeList`).
#[derive(Clone, Debug)]
pub struct TopicFilter(Regex);

impl TopicFilter {
    /// From an option's text.
    pub fn new(text: &str) -> Result<TopicFilter, String> {
        let quotes = ['"', '\''];
        let text = text.trim().replace(',', "|").replace(' ', "");
        let text = text.trim_start_matches(quotes).trim_end_matches(quotes);
        whole(text).map(TopicFilter).map_err(|_| format!("{text} is an invalid regex."))
    }

    /// Whether it names this topic; without the broker's own topics if they are excluded.
    pub fn allows(&self, topic: &str, exclude_internal: bool) -> bool {
        matches(&self.0, topic) && !(exclude_internal && is_internal(topic))
    }
}

/// A pattern for a whole text. Java's syntax, as far as the fancy-regex crate has it, which is nearly all.
pub fn whole(pattern: &str) -> Result<Regex, String> {
    let compiled = |pattern: &str| Regex::new(pattern).map_err(|error| error.to_string());
    // By itself first: a pattern such as `a)|(b` must not become valid by the brackets around it.
    compiled(pattern)?;
    compiled(&format!("^(?:{pattern})\\z"))
}

/// Whether it matches; a pattern that backtracks without end does not.
pub fn matches(pattern: &Regex, text: &str) -> bool {
    pattern.is_match(text).unwrap_or(false)
}

/// Topics that brokers keep for themselves (`org.apache.kafka.common.internals.Topic`).
pub fn is_internal(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// A duration as `java.time.Duration.parse` has it, without a sign: `P1DT2H3M4.5S`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text, ""),
    };
    let mut total = Duration::ZERO;
    if !days.is_empty() {
        total += Duration::from_secs(days.strip_suffix('D')?.parse::<u64>().ok()?.checked_mul(86_400)?);
    }
    let mut rest = time;
    for (unit, seconds) in [('H', 3600), ('M', 60)] {
        if let Some((number, behind)) = rest.split_once(unit) {
            total =
                total.checked_add(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))?;
            rest = behind;
        }
    }
    if !rest.is_empty() {
        let seconds: f64 = rest.strip_suffix('S')?.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    }
    (!days.is_empty() || !time.is_empty()).then_some(total)
}

/// A `double` as Java prints it.
pub fn double(value: f64) -> String {
    decimal(value, &format!("{value:?}"), &format!("{value:e}"))
}

/// A number as Java prints it, from Rust's texts of it: with an exponent from ten million on and below a thousandth.
pub fn decimal(value: f64, plain: &str, scientific: &str) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return plain.into();
    }
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

/// `a,b,c` of anything.
pub fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

/// A table as `ToolsUtils.prettyPrintTable` prints it: columns as wide as their widest cell, a tab behind each.
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = headers.iter().map(|&header| header.into()).collect();
    let all = || std::iter::once(&header).chain(rows);
    let widths: Vec<usize> = (0..headers.len())
        .map(|column| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in all() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}\t"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_22_characters_of_base64_for_urls() {
        let id = id_from("MkU3OEVBNTcwNTJENDM2Qg").expect("an id");
        assert_eq!(id_text(id), "MkU3OEVBNTcwNTJENDM2Qg");
        assert!(id_from("YQ").expect_err("too short").contains("decoded as 1 bytes"));
    }

    #[test]
    fn a_filter_means_whole_names_and_commas_mean_or() {
        let filter = TopicFilter::new("'a.*, b'").expect("valid");
        assert!(filter.allows("a1", false) && filter.allows("b", false));
        assert!(!filter.allows("b1", false) && !filter.allows("xa", false));
        assert!(TopicFilter::new("(?!x).*").expect("lookahead").allows("y", false));
        assert_eq!(TopicFilter::new("[").expect_err("invalid"), "[ is an invalid regex.");
        assert!(!TopicFilter::new("__.*").expect("valid").allows("__consumer_offsets", true));
    }

    #[test]
    fn durations_are_those_of_iso_8601_up_to_days() {
        assert_eq!(duration("P1DT2H3M4.5S"), Some(Duration::from_millis(93_784_500)));
        assert_eq!(duration("pt5m"), Some(Duration::from_secs(300)));
        for text in ["", "P", "PT", "5M", "P1Y", "PT1X", "PT99999999999999999999S"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_table_has_a_tab_behind_each_column() {
        assert_eq!(table(&["A", "LONG"], &[vec!["aa".into(), "b".into()]]), "A \tLONG\t\naa\tb   \t\n");
    }
}
