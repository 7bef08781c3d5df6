//! The one binary. It parses and calls; it decides nothing.

mod cli;
mod container;
mod disk_figures;
mod host_name;
mod logging;
mod measure;
mod report;
mod signals;
mod start;
mod tools;
mod tune;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = tools::run_if_called() {
        return code;
    }
    let arguments = cli::Arguments::parse();
    match arguments.command {
        Some(cli::Command::ConfigDocs) => print(&corelane_core::config::manual()),
        Some(cli::Command::Tune(command)) => tune::run(&command),
        Some(cli::Command::Tools(cli::Tools::Install { directory })) => tools::install(&directory),
        Some(cli::Command::Completions { shell }) => tools::completions(shell),
        Some(cli::Command::Container(options)) => container::run(&options, arguments.log_level.as_deref()),
        Some(cli::Command::Start(options)) => start::run(&options, arguments.log_level.as_deref()),
        None => start::run(&cli::StartOptions::default(), arguments.log_level.as_deref()),
    }
}

/// Writes to standard output; a reader that has seen enough (`| head`) is no failure.
fn print(page: &str) -> ExitCode {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}
