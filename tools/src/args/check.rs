//! A tool's command line with the checks that Kafka's tools make of it (`org.apache.kafka.server.util.CommandLineUtils`),
//! in the same words.

use super::{COMMON, Opt, Parsed, usage};
use crate::{
    console::{Console, Stop},
    say,
};

/// The command line of one run. What is wrong with it is told on standard error, followed by the usage, and the tool ends
/// with 1.
pub struct Command {
    parsed: Parsed,
}

impl std::ops::Deref for Command {
    type Target = Parsed;

    fn deref(&self) -> &Parsed {
        &self.parsed
    }
}

impl Command {
    /// Reads the arguments; a command line that joptsimple refuses ends with its message.
    ///
    /// # Errors
    /// [`Stop::Failed`], without the usage: Kafka's tools differ in whether they print it.
    pub fn parse(options: &'static [Opt], arguments: &[String]) -> Result<Command, Stop> {
        Ok(Command { parsed: Parsed::parse(options, arguments)? })
    }

    /// As [`Command::parse`], for a tool that prints its usage when it cannot read its command line.
    ///
    /// # Errors
    /// [`Stop::Code`], all said.
    pub fn parse_or_usage(
        console: &mut Console,
        options: &'static [Opt],
        arguments: &[String],
    ) -> Result<Command, Stop> {
        match Parsed::parse(options, arguments) {
            Ok(parsed) => Ok(Command { parsed }),
            Err(error) => Err(usage_stop(console, options, &error.to_string())),
        }
    }

    /// Ends with the usage, after a message.
    pub fn usage(&self, console: &mut Console, message: &str) -> Stop {
        usage_stop(console, self.parsed.options(), message)
    }

    /// Ends where help or the version was asked for, or nothing was said at all.
    ///
    /// # Errors
    /// [`Stop::Code`] where it was.
    pub fn help_or_version(&self, console: &mut Console, purpose: &str) -> Result<(), Stop> {
        if self.is_empty || self.has("help") {
            return Err(self.usage(console, purpose));
        }
        if self.has("version") {
            say!(console, "{}", crate::VERSION);
            return Err(Stop::Code(0));
        }
        Ok(())
    }

    /// All of these are given.
    ///
    /// # Errors
    /// [`Stop::Code`] where one is not.
    pub fn required(&self, console: &mut Console, names: &[&'static str]) -> Result<(), Stop> {
        match names.iter().find(|name| !self.has(name)) {
            Some(missing) => Err(self.usage(console, &format!("Missing required argument \"[{missing}]\""))),
            None => Ok(()),
        }
    }

    /// Where `used` is given, none of `others` is.
    ///
    /// # Errors
    /// [`Stop::Code`] where one is.
    pub fn excluded(
        &self,
        console: &mut Console,
        used: &'static str,
        others: &[&'static str],
    ) -> Result<(), Stop> {
        let clash = others.iter().find(|other| self.has(used) && self.has(other));
        match clash {
            Some(other) => {
                let message = format!("Option \"[{used}]\" can't be used with option \"[{other}]\"");
                Err(self.usage(console, &message))
            }
            None => Ok(()),
        }
    }

    /// Exactly one of these is given.
    ///
    /// # Errors
    /// [`Stop::Code`] where none is, or several are.
    pub fn one_of(&self, console: &mut Console, names: &[&'static str]) -> Result<(), Stop> {
        if names.iter().filter(|name| self.has(name)).count() == 1 {
            return Ok(());
        }
        let names: Vec<String> = names.iter().map(|name| format!("[{name}]")).collect();
        let message = format!("Exactly one of the following arguments is required: {}", names.join(", "));
        Err(self.usage(console, &message))
    }

    /// Not both of an old option and the new one that takes its place; warns of the old one. Which of the two names to
    /// ask for.
    ///
    /// # Errors
    /// [`Stop::Code`] where both are given.
    pub fn renamed(
        &self,
        console: &mut Console,
        new: &'static str,
        old: &'static str,
        warning: &str,
    ) -> Result<&'static str, Stop> {
        if !self.has(old) {
            return Ok(new);
        }
        if self.has(new) {
            let message = format!("Options --{new} and --{old} cannot be specified together.");
            return Err(self.usage(console, &message));
        }
        say!(console, "{warning}");
        Ok(old)
    }
}

fn usage_stop(console: &mut Console, options: &[Opt], message: &str) -> Stop {
    match console.complain(&format!("{message}\n{}", usage(options, COMMON).trim_end())) {
        Ok(()) => Stop::Code(1),
        Err(stop) => stop,
    }
}
