//! Runs a hot path, for callgrind to count it; or has all of them counted and judged.

use anyhow::{Context, bail};
use corelane_cost_tests::{
    count, guard,
    paths::{self, HotPath},
};
use std::{env, process::ExitCode};

const USAGE: &str = "\
corelane-cost check    counts all hot paths under callgrind and compares them with the baselines
corelane-cost accept   counts them and writes the baselines
corelane-cost NAME     runs one, for callgrind to count it:";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [word] = arguments.as_slice() else { bail!("{}", usage()) };
    let ours = || env::current_exe().context("cannot tell where this program is");
    match word.as_str() {
        "check" => {
            let judgement = guard::judge(&ours()?)?;
            print!("{}", judgement.text());
            judgement.verdict()
        }
        "accept" => {
            let (before, file) = guard::accept(&ours()?)?;
            print!("{}", before.text());
            println!("{} is written", file.display());
            Ok(())
        }
        count::PROCESSOR => {
            println!("{}", count::processor());
            Ok(())
        }
        name => match paths::ALL.iter().find(|path| path.name == name) {
            Some(path) => {
                HotPath::run(path);
                Ok(())
            }
            None => bail!("{}", usage()),
        },
    }
}

fn usage() -> String {
    let names: Vec<String> =
        paths::ALL.iter().map(|path| format!("  {:<24} {}", path.name, path.what)).collect();
    format!("{USAGE}\n{}", names.join("\n"))
}
