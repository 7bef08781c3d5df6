//! The usage text: two columns of together at most 80 characters, in the order of names, as joptsimple's.

use super::{Kind, Opt, Takes};
use std::{cmp::min, iter};

const WIDTH: usize = 80;
const GAP: usize = 2;
const INDENT: usize = 2;

/// The table of all options, with those that every tool of its kind has.
pub fn usage(options: &[Opt], common: &[Opt]) -> String {
    let mut sorted: Vec<&Opt> = options.iter().chain(common).collect();
    sorted.sort_by_key(|option| option.name);
    let mut rows = vec![("Option".into(), "Description".into()), ("------".into(), "-----------".into())];
    rows.extend(sorted.into_iter().map(|option| (left(option), right(option))));
    let widest = |column: fn(&(String, String)) -> &String| {
        rows.iter().flat_map(|row| column(row).lines()).map(|line| line.chars().count()).max().unwrap_or(0)
    };
    let left_width = min((WIDTH - GAP) / 2, widest(|row| &row.0));
    let right_width = min(WIDTH - GAP - left_width, widest(|row| &row.1));
    let mut out = String::new();
    for (left, right) in &rows {
        let (left, right) = (fit(left, left_width), fit(right, right_width));
        for index in 0..left.len().max(right.len()) {
            let cell = |column: &[String]| column.get(index).cloned().unwrap_or_default();
            let line = format!("{:left_width$}{:GAP$}{}", cell(&left), "", cell(&right));
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

fn left(option: &Opt) -> String {
    let kind = |kind| match kind {
        Kind::Text => "String",
        Kind::Short => "Short",
        Kind::Integer => "Integer",
        Kind::Long => "Long",
        Kind::Double => "Double",
    };
    let described = |kind: &str, what: &str| {
        if what.is_empty() { kind.to_owned() } else { format!("{kind}: {what}") }
    };
    match option.takes {
        Takes::Nothing => format!("--{}", option.name),
        Takes::One(of, what) => format!("--{} <{}>", option.name, described(kind(of), what)),
        Takes::Perhaps(what) => format!("--{} [{}]", option.name, described("String", what)),
    }
}

fn right(option: &Opt) -> String {
    match option.default {
        Some(default) => format!("{} (default: {default})", option.about),
        None => option.about.into(),
    }
}

/// Breaks at blanks; lines after the first are indented. A word longer than a line stands alone and sticks out.
fn fit(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let length = line.chars().count();
            if length > 0 && length + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
                line.extend(iter::repeat_n(' ', INDENT));
            } else if length > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_the_order_of_names_within_80_columns() {
        const OPTIONS: &[Opt] = &[
            Opt::text(
                "topic",
                "topic",
                "The topic that is meant, and nothing but that topic, however many there are.",
            ),
            Opt::integer("partitions", "# of partitions of the topic", "How many.").or("1"),
        ];
        let text = usage(OPTIONS, super::super::COMMON);
        let expected = "\
Option                                   Description
------                                   -----------
--help                                   Print this.
--partitions <Integer: # of partitions   How many. (default: 1)
  of the topic>
--topic <String: topic>                  The topic that is meant, and nothing
                                           but that topic, however many there
                                           are.
--version                                Print the version.
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }
}
