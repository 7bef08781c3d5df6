//! What argparse4j says for the few of Kafka's tools that are built on it, of a command line that is wrong.

use super::{Opt, Parsed, usage};
use crate::console::{Console, Stop};

/// A tool that is built on argparse4j.
#[derive(Clone, Copy, Debug)]
pub struct Argparse {
    /// The tool.
    pub name: &'static str,
    /// What follows it in the usage line.
    pub form: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Its options.
    pub options: &'static [Opt],
}

impl Argparse {
    /// Reads the arguments; `-h` and `--help` print the help, on standard output, and end with 0.
    ///
    /// # Errors
    /// [`Stop::Code`], all said.
    pub fn parse(&self, console: &mut Console, arguments: &[String]) -> Result<Parsed, Stop> {
        if arguments.iter().any(|argument| argument == "-h" || argument == "--help") {
            let Argparse { name, form, purpose, options } = self;
            console
                .line(format_args!("usage: {name} {form}\n\n{purpose}\n\n{}", usage(options).trim_end()))?;
            return Err(Stop::Code(0));
        }
        match Parsed::parse(self.options, arguments) {
            Ok(parsed) => match parsed.misfit() {
                Some((name, value, kind)) => {
                    let message = format!(
                        "argument {}: could not convert '{value}' to {kind} (For input string: \"{value}\")",
                        self.shown(name)
                    );
                    Err(self.error(console, &message))
                }
                None => Ok(parsed),
            },
            Err(super::ArgumentError::Unrecognized(name)) => {
                Err(self.error(console, &format!("unrecognized arguments: '--{name}'")))
            }
            Err(super::ArgumentError::NoArgument(name)) => {
                Err(self.error(console, &format!("argument {}: expected one argument", self.shown(name))))
            }
            Err(error) => Err(self.error(console, &error.to_string())),
        }
    }

    /// All names of an option.
    fn shown(&self, name: &str) -> String {
        let first = self.options.iter().find(|option| option.name == name).and_then(|it| it.same_as);
        let first = first.unwrap_or(name);
        let others = self.options.iter().filter(|option| option.same_as == Some(first));
        others.fold(format!("--{first}"), |shown, option| format!("{shown}/-{}", option.name))
    }

    /// Ends with the usage line and a message.
    pub fn error(&self, console: &mut Console, message: &str) -> Stop {
        let Argparse { name, form, .. } = self;
        match console.complain(&format!("usage: {name} {form}\n{name}: error: {message}")) {
            Ok(()) => Stop::Code(1),
            Err(stop) => stop,
        }
    }
}
