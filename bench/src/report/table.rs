//! The report as aligned text.

use super::{LatencyRow, PERCENTILES, Report, Section};

/// Where the values of conditions, settings and figures begin.
const LABEL_COLUMNS: usize = 30;
const VALUE_COLUMNS: usize = 14;
const LATENCY_COLUMNS: usize = 10;

pub(super) fn render(report: &Report) -> String {
    let mut out = format!("corelane-bench {}\n", report.command);
    texts(&mut out, "conditions", &report.conditions);
    texts(&mut out, "settings", &report.settings);
    for one in &report.sections {
        section(&mut out, one);
    }
    latencies(&mut out, &report.latencies);
    if !report.errors.is_empty() {
        out.push_str("\nerrors\n");
        for (name, count) in &report.errors {
            let value = number(*count as f64);
            out.push_str(&format!("  {name:LABEL_COLUMNS$}{value:>VALUE_COLUMNS$}\n"));
        }
    }
    for warning in &report.warnings {
        out.push_str(&format!("\nnote: {warning}\n"));
    }
    out
}

fn texts(out: &mut String, title: &str, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for (name, text) in pairs {
        out.push_str(&format!("  {name:LABEL_COLUMNS$}{text}\n"));
    }
}

fn section(out: &mut String, section: &Section) {
    out.push_str(&format!("\n{}\n", section.name));
    for figure in &section.figures {
        let value = number(figure.value);
        let line = format!(
            "  {:LABEL_COLUMNS$}{value:>VALUE_COLUMNS$} {:14}{}",
            figure.label, figure.unit, figure.note
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn latencies(out: &mut String, rows: &[LatencyRow]) {
    if rows.is_empty() {
        return;
    }
    out.push_str(&format!("\n{:<32}", "latency (ms)"));
    for (name, _) in PERCENTILES {
        out.push_str(&format!("{name:>LATENCY_COLUMNS$}"));
    }
    out.push_str(&format!("{:>LATENCY_COLUMNS$}{:>VALUE_COLUMNS$}\n", "max", "count"));
    for row in rows {
        out.push_str(&format!("  {:LABEL_COLUMNS$}", row.name));
        let found = PERCENTILES.iter().map(|(_, percent)| row.latencies.percentile_ms(*percent));
        for value in found.chain([row.latencies.max_ms()]) {
            let text = value.map_or_else(|| "-".to_owned(), number);
            out.push_str(&format!("{text:>LATENCY_COLUMNS$}"));
        }
        out.push_str(&format!("{:>VALUE_COLUMNS$}\n", number(row.latencies.count() as f64)));
    }
}

/// Whole numbers with thin groups of three; others with as many decimals as leave three digits.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1000.0 || value.fract() == 0.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction {
        Some(fraction) => format!("{sign}{grouped}.{fraction}"),
        None => format!("{sign}{grouped}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{latency::Latencies, report::Figure};

    #[test]
    fn numbers_keep_three_digits_and_group_thousands() {
        let cases =
            [(0.0, "0"), (1_234_567.8, "1,234,568"), (123.45, "123.5"), (12.345, "12.35"), (0.0123, "0.012")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(number(-1234.0), "-1,234");
    }

    #[test]
    fn columns_line_up_whatever_the_figures() {
        let mut latencies = Latencies::new();
        latencies.record(0, 1_234_567_890_123);
        let mut section = Section::new("produce");
        section.push(Figure::new("a", "a", 1.0, "x")).push(Figure::new(
            "b",
            "longer label",
            1_000_000.0,
            "x",
        ));
        let rows = vec![
            LatencyRow { name: "slow".into(), latencies },
            LatencyRow { name: "none".into(), latencies: Latencies::new() },
        ];
        let report = Report { sections: vec![section], latencies: rows, ..Report::default() };
        let table = report.to_table();
        let lines: Vec<&str> = table.lines().collect();
        let ends: Vec<_> = lines.iter().filter(|line| line.ends_with(" x")).map(|line| line.len()).collect();
        assert_eq!(ends.len(), 2);
        assert_eq!(ends[0], ends[1], "{table}");
        let rows: Vec<_> = lines.iter().skip_while(|line| !line.starts_with("latency")).collect();
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{table}");
    }
}
