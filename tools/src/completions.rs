//! What shells complete, from the tools' tables.

use crate::{
    TOOLS, Tool,
    args::{COMMON, Opt, Takes},
};
use std::fmt::Write;

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// A script for the shell that completes options of all tools, by both of their names and behind `corelane`.
pub fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

fn options(tool: &Tool) -> impl Iterator<Item = &'static Opt> {
    let has = |name: &str| tool.options.iter().any(|option| option.name == name);
    tool.options.iter().chain(COMMON.iter().filter(move |option| !has(option.name)))
}

/// Whether a file is to be named.
fn is_path(option: &Opt) -> bool {
    matches!(option.takes, Takes::One(_, what) if what.contains("file") || what.contains("path"))
        || option.name.ends_with("-file")
}

fn bash() -> String {
    let mut out = String::from(
        "_corelane_tool() {\n    local tool=${1##*/} word=$2 before=$3 options files\n    tool=${tool%.sh}\n    case $tool in\n",
    );
    for tool in TOOLS {
        let names = |wanted: fn(&Opt) -> bool| {
            let names =
                options(tool).filter(|option| wanted(option)).map(|option| format!("--{}", option.name));
            names.collect::<Vec<_>>().join(" ")
        };
        let _ = writeln!(
            out,
            "        {}) options='{}' files='{}' ;;",
            tool.name,
            names(|_| true),
            names(is_path)
        );
    }
    out.push_str(
        "    esac\n    if [[ \" $files \" == *\" $before \"* ]]; then\n        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n    \
         else\n        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n    fi\n}\n",
    );
    for tool in TOOLS {
        let _ = writeln!(out, "complete -F _corelane_tool {0} {0}.sh", tool.name);
    }
    out
}

/// Text between single quotes, in a description between brackets.
fn quoted(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first
        .replace('\\', "\\\\")
        .replace('\'', "'\\''")
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:")
}

fn zsh() -> String {
    let mut out = String::new();
    for tool in TOOLS {
        let function = format!("_{}", tool.name.replace('-', "_"));
        let _ = writeln!(out, "{function}() {{\n    _arguments \\");
        for option in options(tool) {
            let value = match option.takes {
                Takes::Nothing => String::new(),
                _ if is_path(option) => ":file:_files".into(),
                Takes::One(..) => ":value: ".into(),
                Takes::Perhaps(_) => "::value: ".into(),
            };
            let _ = writeln!(out, "        '*--{}[{}]{value}' \\", option.name, quoted(option.about));
        }
        let _ = writeln!(out, "        '*: :'\n}}\ncompdef {function} {0} {0}.sh", tool.name);
    }
    out
}

fn fish() -> String {
    let mut out = String::new();
    for tool in TOOLS {
        for name in [tool.name.to_owned(), format!("{}.sh", tool.name)] {
            for option in options(tool) {
                let value = match option.takes {
                    Takes::Nothing => "",
                    Takes::One(..) if is_path(option) => " -r -F",
                    Takes::One(..) => " -x",
                    Takes::Perhaps(_) => " -f",
                };
                let about = option
                    .about
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .replace('\\', "\\\\")
                    .replace('\'', "\\'");
                let _ = writeln!(out, "complete -c {name} -l {}{value} -d '{about}'", option.name);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn every_option_of_every_tool_is_completed_by_each_shell() {
        for (shell, form) in [(Shell::Bash, "--"), (Shell::Zsh, "'*--"), (Shell::Fish, "-l ")] {
            let script = completions(shell);
            for tool in TOOLS {
                assert!(script.contains(&format!("{}.sh", tool.name)), "{shell:?} {}", tool.name);
                for option in options(tool) {
                    assert!(script.contains(&format!("{form}{}", option.name)), "{shell:?} {}", option.name);
                }
            }
        }
    }

    #[test]
    fn bash_takes_the_script_and_completes_an_option() {
        let script = format!(
            "{}\n_corelane_tool /opt/bin/kafka-topics.sh --part kafka-topics.sh\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            completions(Shell::Bash)
        );
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let completed = String::from_utf8_lossy(&output.stdout);
        let completed: Vec<&str> = completed.lines().collect();
        assert_eq!(completed, ["--partitions", "--partition-size-limit-per-response"]);
    }
}
