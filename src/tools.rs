//! Kafka's command-line tools in this binary: by the name it is called by, or as its first argument.

use crate::cli::{Arguments, Shell};
use clap::CommandFactory;
use std::{env, ffi::OsString, path::Path, process::ExitCode};

/// Runs the tool that was asked for, if one was.
pub fn run_if_called() -> Option<ExitCode> {
    let mut arguments = env::args_os();
    let called = arguments.next()?;
    let tool = named(&called).or_else(|| named(&arguments.next()?))?;
    // What is not UTF-8 can be no name or value of the protocol.
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    Some(tool.main(&arguments))
}

fn named(name: &OsString) -> Option<&'static corelane_tools::Tool> {
    corelane_tools::named(name.to_str()?)
}

/// `corelane tools install`.
pub fn install(directory: &Path) -> ExitCode {
    let linked = env::current_exe()
        .map_err(|error| format!("the binary does not know where it is: {error}"))
        .and_then(|binary| corelane_tools::install(&binary, directory));
    match linked {
        Ok(links) => {
            let lines: String = links.iter().map(|link| format!("{}\n", link.display())).collect();
            crate::print(&lines)
        }
        Err(problem) => {
            eprintln!("corelane: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// `corelane completions`.
pub fn completions(shell: Shell) -> ExitCode {
    let (own, tools) = match shell {
        Shell::Bash => (clap_complete::Shell::Bash, corelane_tools::Shell::Bash),
        Shell::Zsh => (clap_complete::Shell::Zsh, corelane_tools::Shell::Zsh),
        Shell::Fish => (clap_complete::Shell::Fish, corelane_tools::Shell::Fish),
    };
    let mut script = Vec::new();
    clap_complete::generate(own, &mut Arguments::command(), "corelane", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned() + &corelane_tools::completions(tools);
    crate::print(&script)
}
