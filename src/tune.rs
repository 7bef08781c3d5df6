//! Advice about the machine.

use crate::cli::{Tune, TuneCheckOptions};
use corelane_tuning::{ITEMS, Item, Machine, Verdict, check_page, explain_page};
use std::process::ExitCode;

/// `corelane tune`.
pub fn run(command: &Tune) -> ExitCode {
    match command {
        Tune::Check(options) => check(options),
        Tune::Explain { items } => crate::print(&explain_page(&chosen(items))),
    }
}

/// 1 if something could be better, so that a script can stop on it; a user who accepts one thing names the others.
fn check(options: &TuneCheckOptions) -> ExitCode {
    let machine = Machine::new(&options.data_dir);
    let checked: Vec<_> =
        chosen(&options.items).into_iter().map(|item| (item, (item.check)(&machine))).collect();
    let printed = crate::print(&check_page(&checked));
    if checked.iter().any(|(_, outcome)| outcome.verdict == Verdict::CouldBeBetter) {
        return ExitCode::FAILURE;
    }
    printed
}

/// Those with the given names, in the order of all; without a name, all.
fn chosen(names: &[String]) -> Vec<Item> {
    let is_chosen = |item: &&Item| names.is_empty() || names.iter().any(|name| name == item.name);
    ITEMS.iter().filter(is_chosen).copied().collect()
}
