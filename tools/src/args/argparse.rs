//! The command lines of the few of Kafka's tools that are built on argparse4j, and what that says where one is wrong.

use super::{HELP, Opt, Parsed, Takes, usage};
use crate::console::{Console, Stop};

/// A tool that is built on argparse4j, or one of its commands.
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

/// An argument that may be an option.
enum Word<'a> {
    /// Neither an option nor anything like it.
    Plain,
    /// This option, and its value if that stands behind an equals sign.
    Known(&'static Opt, Option<&'a str>),
    /// An option that this parser leaves to [`Parsed`]: help, or one that is not there.
    Other,
}

impl Argparse {
    /// Reads the arguments; `-h` and `--help` print the help, on standard output, and end with 0.
    ///
    /// # Errors
    /// [`Stop::Code`], all said.
    pub fn parse(&self, console: &mut Console, arguments: &[String]) -> Result<Parsed, Stop> {
        if self.is_help(arguments) {
            self.help(console)?;
            return Err(Stop::Code(0));
        }
        self.read(arguments).map_err(|message| self.error(console, &message))
    }

    /// Prints the help, on standard output.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn help(&self, console: &mut Console) -> Result<(), Stop> {
        let Argparse { name, form, purpose, options } = self;
        let usage = usage(options, &[HELP]);
        console.line(format_args!("usage: {name} {form}\n\n{purpose}\n\n{}", usage.trim_end()))
    }

    /// Whether the help is asked for.
    pub fn is_help(&self, arguments: &[String]) -> bool {
        arguments.iter().any(|argument| argument == "-h" || argument == "--help")
    }

    /// Reads the arguments, without saying anything. The beginning of an option's name that begins no other's is enough;
    /// an option's value does not look like an option, unless it is a number below zero.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(&self, arguments: &[String]) -> Result<Parsed, String> {
        match Parsed::parse(self.options, &self.whole_names(arguments)?) {
            Ok(parsed) => match parsed.misfit() {
                Some(misfit) => Err(format!(
                    "argument {}: could not convert '{}' to {} ({misfit})",
                    self.shown(misfit.option),
                    misfit.value,
                    misfit.kind
                )),
                None => Ok(parsed),
            },
            Err(super::ArgumentError::NoArgument(name)) => Err(self.no_value(name)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The arguments before the first that is neither an option nor an option's value, and those from it on.
    pub fn split<'a>(&self, arguments: &'a [String]) -> (&'a [String], &'a [String]) {
        let mut at = 0;
        while let Some(argument) = arguments.get(at) {
            at += match self.word(argument) {
                Ok(Word::Plain) => break,
                Ok(Word::Known(Opt { takes: Takes::One(..), .. }, None)) => 2,
                Ok(Word::Known(..) | Word::Other) | Err(_) => 1,
            };
        }
        arguments.split_at(at.min(arguments.len()))
    }

    /// The arguments with the names of options that were cut short as they are.
    fn whole_names(&self, arguments: &[String]) -> Result<Vec<String>, String> {
        let mut whole = Vec::with_capacity(arguments.len());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (option, attached) = match self.word(argument)? {
                Word::Known(option, attached) => (option, attached),
                Word::Plain if argument == "--" => {
                    whole.push(argument.clone());
                    whole.extend(rest.by_ref().cloned());
                    break;
                }
                // A number below zero that is no option's value is nothing.
                Word::Plain if argument.len() == 1 || !argument.starts_with('-') => {
                    whole.push(argument.clone());
                    continue;
                }
                Word::Plain | Word::Other => return Err(format!("unrecognized arguments: '{argument}'")),
            };
            whole.push(format!("--{}", option.name));
            if !matches!(option.takes, Takes::One(..)) {
                continue;
            }
            let value = match attached {
                Some(value) => value,
                None => match rest.next() {
                    Some(value) if value != "--" && !looks_like_an_option(value) => value,
                    _ => return Err(self.no_value(option.name)),
                },
            };
            whole.push(value.to_owned());
        }
        Ok(whole)
    }

    /// What an argument is.
    fn word<'a>(&self, argument: &'a str) -> Result<Word<'a>, String> {
        if !looks_like_an_option(argument) {
            return Ok(Word::Plain);
        }
        let text = argument.trim_start_matches('-');
        let is_long = argument.starts_with("--");
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        // One hyphen for a name of one letter, two for others.
        let of_its_kind = || self.options.iter().filter(|option| (option.name.len() > 1) == is_long);
        if let Some(option) = of_its_kind().find(|option| option.name == name) {
            return Ok(Word::Known(option, value));
        }
        let mut begun: Vec<&'static Opt> =
            of_its_kind().filter(|option| is_long && option.name.starts_with(name)).collect();
        begun.sort_by_key(|option| option.name);
        match begun[..] {
            [] => Ok(Word::Other),
            [option] => Ok(Word::Known(option, value)),
            _ => {
                let names: Vec<String> = begun.iter().map(|option| format!("--{}", option.name)).collect();
                Err(format!("ambiguous option: --{name} could match {}", names.join(", ")))
            }
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
        let names: Vec<&str> = commands.iter().map(|(name, _)| *name).collect();
        let (command, own) = commands[choice(parsed.rest.first(), &names)?];
        let others = commands.iter().flat_map(|(_, options)| options.iter());
        match others.filter(|option| !own.contains(option)).find(|option| parsed.has(option)) {
            Some(option) => Err(format!("unrecognized arguments: '--{option}'")),
            None => Ok(command),
        }
    }

    fn no_value(&self, name: &str) -> String {
        format!("argument {}: expected one argument", self.shown(name))
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

/// Which of the commands `given` is, counted from 0.
///
/// # Errors
/// Where none is given, or one that is not there.
pub fn choice(given: Option<&String>, commands: &[&str]) -> Result<usize, String> {
    let Some(given) = given else { return Err("too few arguments".into()) };
    commands.iter().position(|name| name == given).ok_or_else(|| {
        let names: Vec<String> = commands.iter().map(|name| format!("'{name}'")).collect();
        format!("invalid choice: '{given}' (choose from {})", names.join(", "))
    })
}

/// Whether it begins with a hyphen, is no number below zero, and does not end the options.
fn looks_like_an_option(argument: &str) -> bool {
    match argument.strip_prefix('-') {
        None | Some("" | "-") => false,
        Some(text) => !text.bytes().all(|it| it.is_ascii_digit() || it == b'.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARSER: Argparse = Argparse {
        name: "tool",
        form: "",
        purpose: "",
        options: &[
            Opt::text("topic", "TOPIC", "A topic."),
            Opt::short("producer-epoch", "EPOCH", "An epoch."),
            Opt::long("producer-id", "ID", "An id.").or("7"),
            Opt::flag("version", "The version."),
            Opt::flag("v", "The same.").alias_of("version"),
        ],
    };

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn read(text: &str) -> Result<Parsed, String> {
        PARSER.read(&words(text))
    }

    #[test]
    fn the_beginning_of_a_name_is_enough_where_it_begins_no_other() {
        let parsed = read("--to a --producer-e=3 --topic b").expect("well formed");
        assert_eq!((parsed.last("topic"), parsed.last("producer-epoch")), (Some("b"), Some("3")));
        assert_eq!(parsed.last("producer-id"), Some("7"), "the default");
        assert_eq!(
            read("--prod 3").expect_err("two options"),
            "ambiguous option: --prod could match --producer-epoch, --producer-id"
        );
        assert!(read("-v").expect("well formed").has("version"));
    }

    #[test]
    fn a_value_looks_like_no_option_unless_it_is_a_number() {
        assert_eq!(read("--producer-id -1").expect("well formed").last("producer-id"), Some("-1"));
        for line in ["--topic", "--topic --version", "--topic -x", "--topic -- x"] {
            assert_eq!(read(line).expect_err("no value"), "argument --topic: expected one argument");
        }
        assert_eq!(read("--topic=-x").expect("well formed").last("topic"), Some("-x"));
    }

    #[test]
    fn what_no_option_is_is_told_as_it_stands() {
        for wrong in ["--nothing", "-topic", "--nothing=1", "-1"] {
            let told = format!("unrecognized arguments: '{wrong}'");
            assert_eq!(read(wrong).expect_err("unknown"), told);
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_told_in_javas_words() {
        for (line, why) in [
            ("--producer-epoch 70000", "'70000' to Short (Value out of range. Value:\"70000\" Radix:10)"),
            ("--producer-epoch x", "'x' to Short (For input string: \"x\")"),
            ("--producer-epoch 99999999999", "'99999999999' to Short (For input string: \"99999999999\")"),
        ] {
            let told = format!("argument --producer-epoch: could not convert {why}");
            assert_eq!(read(line).expect_err("no short"), told);
        }
        let told = "argument --producer-id: could not convert '' to Long (For input string: \"\")";
        assert_eq!(read("--producer-id=").expect_err("nothing"), told);
    }

    #[test]
    fn a_command_stands_behind_the_options_of_all_and_their_values() {
        for (line, before) in [
            ("--topic list list --x", "--topic list"),
            ("--topic=t list --x", "--topic=t"),
            ("--version list --x", "--version"),
            ("list --x", ""),
        ] {
            let line = words(line);
            let (own, rest) = PARSER.split(&line);
            assert_eq!((own, rest), (&words(before)[..], &words("list --x")[..]));
        }
        let line = words("--topic");
        assert_eq!(PARSER.split(&line), (&line[..], &[][..]));
        assert_eq!(choice(None, &["a"]), Err("too few arguments".into()));
        let told = "invalid choice: 'c' (choose from 'a', 'b')";
        assert_eq!(choice(Some(&"c".into()), &["a", "b"]), Err(told.into()));
        assert_eq!(choice(Some(&"b".into()), &["a", "b"]), Ok(1));
    }
}
