//! The command lines of Kafka's tools: one table of options per tool, from which come parsing ([`Parsed`]), the usage
//! text ([`usage`]) and the completions of shells.

mod argparse;
mod check;
mod help;
mod parse;

pub use argparse::{Argparse, choice};
pub use check::Command;
pub use help::usage;
pub use parse::{ArgumentError, Misfit, Parsed};

/// What an option takes after its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value of this kind.
    One(Kind, &'static str),
    /// A text, if one follows that does not look like an option.
    Perhaps(&'static str),
}

/// What a value must be. Looked at when a tool asks for it, as in Kafka: a wrong one that nobody needs is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Text,
    /// 16 bits.
    Short,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Long,
    /// A number with a point.
    Double,
}

/// One option of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Without hyphens. An option with two names has a row for each; the table's [`Opt::same_as`] joins them.
    pub name: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// What it counts as where it is not given.
    pub default: Option<&'static str>,
    /// One sentence or two, for the usage text.
    pub about: &'static str,
    /// The option of which this is another name.
    pub same_as: Option<&'static str>,
}

impl Opt {
    /// One that takes no value.
    pub const fn flag(name: &'static str, about: &'static str) -> Opt {
        Opt { name, takes: Takes::Nothing, default: None, about, same_as: None }
    }

    /// One that takes a text; `what` names it in the usage.
    pub const fn text(name: &'static str, what: &'static str, about: &'static str) -> Opt {
        Opt { name, takes: Takes::One(Kind::Text, what), default: None, about, same_as: None }
    }

    /// One that takes a number of 16 bits.
    pub const fn short(name: &'static str, what: &'static str, about: &'static str) -> Opt {
        Opt { name, takes: Takes::One(Kind::Short, what), default: None, about, same_as: None }
    }

    /// One that takes a number of 32 bits.
    pub const fn integer(name: &'static str, what: &'static str, about: &'static str) -> Opt {
        Opt { name, takes: Takes::One(Kind::Integer, what), default: None, about, same_as: None }
    }

    /// One that takes a number of 64 bits.
    pub const fn long(name: &'static str, what: &'static str, about: &'static str) -> Opt {
        Opt { name, takes: Takes::One(Kind::Long, what), default: None, about, same_as: None }
    }

    /// One that takes a number with a point.
    pub const fn double(name: &'static str, what: &'static str, about: &'static str) -> Opt {
        Opt { name, takes: Takes::One(Kind::Double, what), default: None, about, same_as: None }
    }

    /// One that takes a text, if one follows.
    pub const fn perhaps(name: &'static str, what: &'static str, about: &'static str) -> Opt {
        Opt { name, takes: Takes::Perhaps(what), default: None, about, same_as: None }
    }

    /// With a default.
    pub const fn or(mut self, default: &'static str) -> Opt {
        self.default = Some(default);
        self
    }

    /// Another name of `name`.
    pub const fn alias_of(mut self, name: &'static str) -> Opt {
        self.same_as = Some(name);
        self
    }
}

/// `--bootstrap-server` of tools that need one.
pub const BOOTSTRAP_SERVER: Opt = Opt::text(
    "bootstrap-server",
    "server to connect to",
    "REQUIRED: brokers to begin with, as HOST1:PORT1,HOST2:PORT2.",
);

/// `--command-config` of tools that administer.
pub const COMMAND_CONFIG: Opt =
    Opt::text("command-config", "config file", "A properties file with settings of the client.");

/// What every tool of Kafka's that is built on joptsimple has.
pub const COMMON: &[Opt] = &[HELP, Opt::flag("version", "Print the version.")];

/// What every tool has.
const HELP: Opt = Opt::flag("help", "Print this.");
