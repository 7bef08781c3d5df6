//! The committed figures, and the judgement whether a hot path has grown.

use anyhow::{Context, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// What figures depend on besides the project's sources, by name.
pub type Conditions = BTreeMap<String, String>;

/// A path may cost so many percent more, or less, than its baseline before something is said.
const PERCENT: u64 = 5;

const HEAD: &str = "\
# Instructions per request in data shards, as callgrind counts them, and what they were counted under.
# `cargo xtask cost` counts anew and compares; `cargo xtask cost --accept` writes this file.
";

/// A table of figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baselines {
    /// What they were counted under.
    pub conditions: Conditions,
    /// Instructions per request of each hot path.
    pub figures: BTreeMap<String, u64>,
}

impl Baselines {
    /// Reads [`Baselines::render`]'s text.
    ///
    /// # Errors
    /// The line that is neither.
    pub fn parse(text: &str) -> anyhow::Result<Baselines> {
        let mut baselines = Baselines::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some((name, value)) = line.split_once(" = ") {
                baselines.conditions.insert(name.to_owned(), value.to_owned());
                continue;
            }
            let (name, figure) = line.split_once(' ').with_context(|| format!("{line:?} is no figure"))?;
            let figure = figure.trim().parse().with_context(|| format!("{line:?} has no figure"))?;
            baselines.figures.insert(name.to_owned(), figure);
        }
        Ok(baselines)
    }

    /// As text for a file.
    pub fn render(&self) -> String {
        let mut text = HEAD.to_owned();
        text.push('\n');
        for (name, value) in &self.conditions {
            writeln!(text, "{name} = {value}").expect("a string takes what is written");
        }
        text.push('\n');
        for (name, figure) in &self.figures {
            writeln!(text, "{name:<24} {figure:>9}").expect("a string takes what is written");
        }
        text
    }

    /// Judges new figures by these.
    pub fn judge(&self, counted: &Baselines) -> Judgement {
        let names: BTreeSet<&String> = self.figures.keys().chain(counted.figures.keys()).collect();
        let judged = names.into_iter().map(|name| {
            let (baseline, now) = (self.figures.get(name).copied(), counted.figures.get(name).copied());
            Judged { name: name.clone(), baseline, now, verdict: verdict(baseline, now) }
        });
        let other = counted.conditions.iter().filter_map(|(name, now)| {
            let baseline = self.conditions.get(name).map_or("unknown", String::as_str);
            (baseline != now).then(|| format!("{name} is {now}; the baselines are of {baseline}"))
        });
        Judgement { paths: judged.collect(), other_conditions: other.collect() }
    }
}

/// What is to be said of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Same,
    /// It costs more, by over 5 %.
    Grown,
    /// It costs less, by over 5 %.
    Shrunk,
    /// It has no baseline.
    New,
    /// There is a baseline and no path.
    Gone,
}

fn verdict(baseline: Option<u64>, now: Option<u64>) -> Verdict {
    match (baseline, now) {
        (Some(baseline), Some(now)) if now * 100 > baseline * (100 + PERCENT) => Verdict::Grown,
        (Some(baseline), Some(now)) if now * 100 < baseline * (100 - PERCENT) => Verdict::Shrunk,
        (Some(_), Some(_)) => Verdict::Same,
        (None, _) => Verdict::New,
        (Some(_), None) => Verdict::Gone,
    }
}

/// One path, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// Instructions per request, as committed.
    pub baseline: Option<u64>,
    /// Instructions per request, as counted.
    pub now: Option<u64>,
    /// What is to be said.
    pub verdict: Verdict,
}

/// All paths, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// By name.
    pub paths: Vec<Judged>,
    /// What differs from what the baselines were counted under, in words.
    pub other_conditions: Vec<String>,
}

impl Judgement {
    /// Figures beside their baselines, and what is to be done.
    pub fn text(&self) -> String {
        let mut text =
            format!("{:<24} {:>9} {:>9} {:>8}\n", "instructions per request", "baseline", "now", "");
        for path in &self.paths {
            let figure = |figure: Option<u64>| figure.map_or("-".to_owned(), |figure| figure.to_string());
            let change = match (path.baseline, path.now) {
                (Some(baseline), Some(now)) if baseline > 0 => {
                    format!("{:+.1} %", (now as f64 / baseline as f64 - 1.0) * 100.0)
                }
                _ => String::new(),
            };
            let word = match path.verdict {
                Verdict::Same => "",
                Verdict::Grown => "  HAS GROWN",
                Verdict::Shrunk => "  has shrunk",
                Verdict::New => "  has no baseline",
                Verdict::Gone => "  is no hot path any more",
            };
            let (baseline, now) = (figure(path.baseline), figure(path.now));
            let line = format!("{:<24} {baseline:>9} {now:>9} {change:>8}{word}", path.name);
            writeln!(text, "{}", line.trim_end()).expect("a string takes what is written");
        }
        for other in &self.other_conditions {
            writeln!(text, "note: {other}").expect("a string takes what is written");
        }
        if self.paths.iter().any(|path| path.verdict != Verdict::Same) {
            text.push_str("`cargo xtask cost --accept` writes these figures as the new baselines.\n");
        }
        text
    }

    /// Whether the baselines hold. A path that has shrunk is worth a new baseline, and no failure; nor is one that has grown
    /// where something else has changed that figures depend on, for nobody knows then by how much it is the sources.
    ///
    /// # Errors
    /// The paths for which they do not.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let failed = self.paths.iter().filter(|path| match path.verdict {
            Verdict::Same | Verdict::Shrunk => false,
            Verdict::Grown => self.other_conditions.is_empty(),
            Verdict::New | Verdict::Gone => true,
        });
        let names: Vec<&str> = failed.map(|path| path.name.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        bail!(
            "{} grew by over {PERCENT} % or have no baseline. What callgrind_annotate says of target/cost/…/NAME.callgrind \
             tells where the instructions go. If they must, say why in the commit that renews the baseline",
            names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(figures: &[(&str, u64)]) -> Baselines {
        let conditions = Conditions::from([("rustc".to_owned(), "rustc 1.95.0 (a b)".to_owned())]);
        let figures = figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect();
        Baselines { conditions, figures }
    }

    fn verdicts(baseline: &[(&str, u64)], now: &[(&str, u64)]) -> (Vec<Verdict>, bool) {
        let judgement = table(baseline).judge(&table(now));
        let verdicts = judgement.paths.iter().map(|path| path.verdict).collect();
        (verdicts, judgement.verdict().is_ok())
    }

    #[test]
    fn a_path_that_grows_with_another_compiler_is_told_of_and_does_not_fail() {
        let mut now = table(&[("a", 12_000)]);
        now.conditions.insert("rustc".to_owned(), "rustc 1.96.0 (c d)".to_owned());
        let judgement = table(&[("a", 10_000)]).judge(&now);
        assert!(judgement.verdict().is_ok());
        assert!(judgement.text().contains("HAS GROWN"), "{}", judgement.text());
    }

    #[test]
    fn a_path_that_grows_by_over_a_twentieth_fails() {
        assert_eq!(verdicts(&[("a", 10_000)], &[("a", 10_500)]), (vec![Verdict::Same], true));
        assert_eq!(verdicts(&[("a", 10_000)], &[("a", 10_501)]), (vec![Verdict::Grown], false));
        // Whatever the others do.
        let judged = verdicts(&[("a", 10_000), ("b", 10_000)], &[("a", 5_000), ("b", 11_000)]);
        assert_eq!(judged, (vec![Verdict::Shrunk, Verdict::Grown], false));
    }

    #[test]
    fn a_path_that_shrinks_by_over_a_twentieth_is_told_and_does_not_fail() {
        assert_eq!(verdicts(&[("a", 10_000)], &[("a", 9_500)]), (vec![Verdict::Same], true));
        assert_eq!(verdicts(&[("a", 10_000)], &[("a", 9_499)]), (vec![Verdict::Shrunk], true));
        let text = table(&[("a", 10_000)]).judge(&table(&[("a", 9_000)])).text();
        assert!(text.contains("-10.0 %  has shrunk") && text.contains("--accept"), "{text}");
    }

    #[test]
    fn a_path_without_a_baseline_and_a_baseline_without_a_path_fail() {
        assert_eq!(verdicts(&[], &[("a", 1)]), (vec![Verdict::New], false));
        assert_eq!(verdicts(&[("a", 1)], &[]), (vec![Verdict::Gone], false));
    }

    #[test]
    fn other_conditions_are_told() {
        let mut counted = table(&[("a", 1)]);
        assert_eq!(table(&[("a", 1)]).judge(&counted).other_conditions, Vec::<String>::new());
        counted.conditions.insert("rustc".to_owned(), "rustc 2".to_owned());
        let text = table(&[("a", 1)]).judge(&counted).text();
        assert!(text.contains("note: rustc is rustc 2; the baselines are of rustc 1.95.0 (a b)"), "{text}");
    }

    #[test]
    fn a_table_is_read_back_as_it_was_written() {
        let table = table(&[("a-rather-long-name-of-a-path", 1), ("b", 123_456_789_012)]);
        assert_eq!(Baselines::parse(&table.render()).expect("a table"), table);
        for wrong in ["a", "a b", "a 1 2"] {
            assert!(Baselines::parse(wrong).is_err(), "{wrong}");
        }
    }
}
