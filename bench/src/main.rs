//! The load generator's command line.

use clap::Parser;
use corelane_bench::{command, options::Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corelane-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
