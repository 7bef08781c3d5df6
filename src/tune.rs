//! Advice about the machine.

use crate::{
    cli::{Tune, TuneApplyOptions, TuneCheckOptions},
    disk_figures, measure,
};
use corelane_tuning::{ITEMS, Item, Machine, Verdict, apply, check_page, explain_page, plan, scripts};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `corelane tune`.
pub fn run(command: &Tune) -> ExitCode {
    match command {
        Tune::Check(options) => check(options),
        Tune::Apply(options) => change(options),
        Tune::Measure(options) => measure::run(options),
        Tune::Explain { items } => crate::print(&explain_page(&chosen(items))),
    }
}

/// This machine, with what is known of the directory's disk.
fn machine(data_dir: &Path) -> Machine {
    Machine::new(data_dir, disk_figures::known(data_dir))
}

/// 1 if something could be better, so that a script can stop on it; a user who accepts one thing names the others.
fn check(options: &TuneCheckOptions) -> ExitCode {
    let machine = machine(&options.data_dir);
    let checked: Vec<_> =
        chosen(&options.items).into_iter().map(|item| (item, (item.check)(&machine))).collect();
    let printed = crate::print(&check_page(&checked));
    if checked.iter().any(|(_, outcome)| outcome.verdict == Verdict::CouldBeBetter) {
        return ExitCode::FAILURE;
    }
    printed
}

fn change(options: &TuneApplyOptions) -> ExitCode {
    let mut machine = machine(&options.check.data_dir);
    let plan = plan(&chosen(&options.check.items), &machine);
    if let Some(file) = &options.script {
        let (change, undo) = scripts(&plan);
        return write_scripts(file, &change, &undo);
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!(
            "corelane tune apply: changing the machine's settings needs root; `--script` writes them down for root to run"
        );
        return ExitCode::FAILURE;
    }
    let (page, is_all_made) = apply(&plan, &mut machine);
    let printed = crate::print(&page);
    if is_all_made { printed } else { ExitCode::FAILURE }
}

/// The undo first: a script that can be run is never there without it.
fn write_scripts(file: &Path, change: &str, undo: &str) -> ExitCode {
    if file == Path::new("-") {
        return crate::print(change);
    }
    let mut undo_file = file.as_os_str().to_owned();
    undo_file.push(".undo");
    let undo_file = PathBuf::from(undo_file);
    for (path, text) in [(undo_file.as_path(), undo), (file, change)] {
        if let Err(error) = write_new(path, text) {
            eprintln!("corelane tune apply: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    crate::print(&format!("Written: {}, and {} takes it back.\n", file.display(), undo_file.display()))
}

/// Never over another file: an older undo may be the only word of what was before.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?.write_all(text.as_bytes())
}

/// Those with the given names, in the order of all; without a name, all.
fn chosen(names: &[String]) -> Vec<Item> {
    let is_chosen = |item: &&Item| names.is_empty() || names.iter().any(|name| name == item.name);
    ITEMS.iter().filter(is_chosen).copied().collect()
}
