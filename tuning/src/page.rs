//! What people read.

use crate::{Item, Outcome, Verdict};
use std::fmt::Write as _;

/// Columns of running text.
const WIDTH: usize = 88;

/// A table, a row per item, and a line that sums it up.
pub fn check_page(checked: &[(Item, Outcome)]) -> String {
    let headings = ["ITEM", "FOUND", "WANTED", "VERDICT"].map(str::to_owned);
    let row = |(item, outcome): &(Item, Outcome)| {
        [item.name.to_owned(), outcome.found.clone(), outcome.wanted.clone(), told(&outcome.verdict)]
    };
    let rows: Vec<_> = std::iter::once(headings).chain(checked.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [first, second, third] = [width(0), width(1), width(2)];
    let mut page = String::new();
    for [item, found, wanted, verdict] in &rows {
        // The last column is not filled up: no line ends in blanks.
        line(&mut page, format_args!("{item:first$}  {found:second$}  {wanted:third$}  {verdict}"));
    }
    let count =
        |is_one: fn(&Verdict) -> bool| checked.iter().filter(|(_, outcome)| is_one(&outcome.verdict)).count();
    let better = count(|verdict| *verdict == Verdict::CouldBeBetter);
    let unknown = count(|verdict| matches!(verdict, Verdict::CannotTell(_)));
    let absent = count(|verdict| matches!(verdict, Verdict::NotHere(_)));
    let good = checked.len() - better - unknown - absent;
    let sum = format!("{good} good, {better} could be better, {absent} not here, {unknown} cannot be told.");
    line(&mut page, format_args!("\n{sum}"));
    if better > 0 {
        line(&mut page, format_args!("`corelane tune explain ITEM` says why, and what changes it."));
    }
    page
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Good => "good".into(),
        Verdict::CouldBeBetter => "could be better".into(),
        Verdict::NotHere(reason) => format!("not here: {reason}"),
        Verdict::CannotTell(reason) => format!("cannot tell: {reason}"),
    }
}

/// The reasons and commands of these items.
pub fn explain_page(items: &[Item]) -> String {
    let mut page = String::new();
    for item in items {
        if !page.is_empty() {
            page.push('\n');
        }
        line(&mut page, format_args!("{}", item.name));
        for text in wrapped(item.why, WIDTH - 2) {
            line(&mut page, format_args!("  {text}"));
        }
        for (heading, commands) in [("change:", item.change), ("undo:", item.undo)] {
            line(&mut page, format_args!("\n  {heading}"));
            for command in commands.lines() {
                line(&mut page, format_args!("    {command}"));
            }
        }
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes everything");
}

/// Lines of at most `width` characters, unless a word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::<String>::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ITEMS;

    fn outcome(found: &str, wanted: &str, verdict: Verdict) -> Outcome {
        Outcome { found: found.into(), wanted: wanted.into(), verdict }
    }

    #[test]
    fn the_columns_of_a_table_stand_under_each_other() {
        let item = |name| Item { name, ..ITEMS[0] };
        let page = check_page(&[
            (item("a"), outcome("60", "at most 1", Verdict::CouldBeBetter)),
            (item("a-longer-one"), outcome("none", "none", Verdict::Good)),
            (item("b"), outcome("-", "x", Verdict::CannotTell("no /proc".into()))),
            (item("c"), outcome("-", "y", Verdict::NotHere("one node".into()))),
        ]);
        let expected = "\
ITEM          FOUND  WANTED     VERDICT
a             60     at most 1  could be better
a-longer-one  none   none       good
b             -      x          cannot tell: no /proc
c             -      y          not here: one node

1 good, 1 could be better, 1 not here, 1 cannot be told.
`corelane tune explain ITEM` says why, and what changes it.
";
        assert_eq!(page, expected);
    }

    #[test]
    fn a_machine_without_fault_gets_no_advice() {
        let page = check_page(&[(ITEMS[0], outcome("performance", "performance", Verdict::Good))]);
        assert!(page.ends_with("\n1 good, 0 could be better, 0 not here, 0 cannot be told.\n"), "{page}");
    }

    #[test]
    fn no_line_of_an_explanation_is_too_wide_for_a_terminal() {
        let page = explain_page(ITEMS);
        let widest = page.lines().max_by_key(|line| line.chars().count()).expect("lines");
        assert!(widest.chars().count() <= 110, "{widest}");
        assert!(page.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn a_word_too_long_for_a_line_stands_alone() {
        assert_eq!(wrapped("a bb cccccc d", 4), ["a bb", "cccccc", "d"]);
    }
}
