//! What argparse4j says for the few of Kafka's tools that are built on it, of a command line that is wrong.

use super::{HELP, Opt, Parsed, usage};
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
        if self.is_help(arguments) {
            let Argparse { name, form, purpose, options } = self;
            console.line(format_args!(
                "usage: {name} {form}\n\n{purpose}\n\n{}",
                usage(options, &[HELP]).trim_end()
            ))?;
            return Err(Stop::Code(0));
        }
        self.read(arguments).map_err(|message| self.error(console, &message))
    }

    /// Whether the help is asked for.
    pub fn is_help(&self, arguments: &[String]) -> bool {
        arguments.iter().any(|argument| argument == "-h" || argument == "--help")
    }

    /// Reads the arguments, without saying anything.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(&self, arguments: &[String]) -> Result<Parsed, String> {
        match Parsed::parse(self.options, arguments) {
            Ok(parsed) => match parsed.misfit() {
                Some((name, value, kind)) => Err(format!(
                    "argument {}: could not convert '{value}' to {kind} (For input string: \"{value}\")",
                    self.shown(name)
                )),
                None => Ok(parsed),
            },
            Err(super::ArgumentError::Unrecognized(name)) => {
                Err(format!("unrecognized arguments: '--{name}'"))
            }
            Err(super::ArgumentError::NoArgument(name)) => {
                Err(format!("argument {}: expected one argument", self.shown(name)))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Which of the commands is given; `commands` are those that there are, each with the options that not all of them have.
    ///
    /// # Errors
    /// Where none is given, or one that is not there, or an option of another.
    pub fn command<'a>(
        &self,
        parsed: &Parsed,
        commands: &[(&'a str, &[&'static str])],
    ) -> Result<&'a str, String> {
        let Some(given) = parsed.rest.first() else { return Err("too few arguments".into()) };
        let Some((command, own)) = commands.iter().find(|(name, _)| name == given) else {
            let names: Vec<String> = commands.iter().map(|(name, _)| format!("'{name}'")).collect();
            return Err(format!("invalid choice: '{given}' (choose from {})", names.join(", ")));
        };
        let others = commands.iter().flat_map(|(_, options)| options.iter());
        match others.filter(|option| !own.contains(option)).find(|option| parsed.has(option)) {
            Some(option) => Err(format!("unrecognized arguments: '--{option}'")),
            None => Ok(command),
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
