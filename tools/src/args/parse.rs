//! From arguments to options, as joptsimple does it for Kafka's tools: no abbreviations, `--name value`, `--name=value`
//! and, of old, `-name value`; an option may come many times.

use super::{COMMON, Kind, Opt, Takes};

/// What is wrong with a command line, in joptsimple's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// An option that the tool does not have.
    #[error("{0} is not a recognized option")]
    Unrecognized(String),
    /// An option at the end that needs a value.
    #[error("Option {0} requires an argument")]
    NoArgument(&'static str),
    /// A value that is not of its kind.
    #[error("Cannot parse argument '{value}' of option {option}")]
    NotParsed {
        /// As given.
        value: String,
        /// Whose it is.
        option: &'static str,
    },
    /// An option given more than once of which the tool wants one value.
    #[error("Found multiple arguments for option {0}, but you asked for only one")]
    Several(&'static str),
}

/// A value that is not of its option's kind; its text says why not, in Java's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit<'a> {
    /// Whose it is.
    pub option: &'static str,
    /// As given.
    pub value: &'a str,
    /// What Java calls the kind.
    pub kind: &'static str,
}

impl std::fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.value;
        // `Short.parseShort` reads an int first.
        if self.kind == "Short" && value.parse::<i32>().is_ok() {
            write!(f, "Value out of range. Value:\"{value}\" Radix:10")
        } else {
            write!(f, "For input string: \"{value}\"")
        }
    }
}

/// The options of a command line.
#[derive(Clone, Debug)]
pub struct Parsed {
    options: &'static [Opt],
    /// In their order; the first name of an option that has two.
    given: Vec<(&'static str, Option<String>)>,
    /// What is neither an option nor belongs to one.
    pub rest: Vec<String>,
    /// Whether there was nothing at all.
    pub is_empty: bool,
}

impl Parsed {
    /// Reads `arguments` by the table.
    ///
    /// # Errors
    /// [`ArgumentError::Unrecognized`], [`ArgumentError::NoArgument`].
    pub fn parse(options: &'static [Opt], arguments: &[String]) -> Result<Parsed, ArgumentError> {
        let is_empty = arguments.is_empty();
        let mut parsed = Parsed { options, given: Vec::new(), rest: Vec::new(), is_empty };
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                parsed.rest.extend(arguments.by_ref().cloned());
                break;
            }
            let Some(name_and_value) = option_text(argument) else {
                parsed.rest.push(argument.clone());
                continue;
            };
            let (name, value) = match name_and_value.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name_and_value, None),
            };
            let option = parsed.named(name).ok_or_else(|| unrecognized(argument, name))?;
            let attached = value.filter(|value| !value.is_empty()).map(str::to_owned);
            let value = match option.takes {
                Takes::Nothing => None,
                Takes::One(..) => match attached.or_else(|| arguments.next().cloned()) {
                    Some(value) => Some(value),
                    None => return Err(ArgumentError::NoArgument(option.name)),
                },
                Takes::Perhaps(_) => attached.or_else(|| {
                    arguments.next_if(|next| option_text(next).is_none() && *next != "--").cloned()
                }),
            };
            parsed.given.push((option.same_as.unwrap_or(option.name), value));
        }
        Ok(parsed)
    }

    fn named(&self, name: &str) -> Option<&'static Opt> {
        self.options.iter().chain(COMMON).find(|option| option.name == name)
    }

    /// The row of an option that the tool's own code asks for.
    fn row(&self, name: &'static str) -> &'static Opt {
        self.named(name).unwrap_or_else(|| panic!("the table has no option {name}"))
    }

    /// The table it was read by.
    pub fn options(&self) -> &'static [Opt] {
        self.options
    }

    /// Whether the option was given.
    ///
    /// # Panics
    /// As all that take a name: when the tool's table has no such option, a bug.
    pub fn has(&self, name: &'static str) -> bool {
        let name = self.row(name).name;
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// Those among `names` that were given, in their order and as often as they were.
    pub fn order(&self, names: &[&'static str]) -> Vec<&'static str> {
        self.given.iter().map(|(given, _)| *given).filter(|given| names.contains(given)).collect()
    }

    /// All values of the option, in their order; its default where it was not given.
    pub fn values(&self, name: &'static str) -> Vec<&str> {
        let row = self.row(name);
        if !self.has(name) {
            return row.default.into_iter().collect();
        }
        let of_this = self.given.iter().filter(|(given, _)| *given == row.name);
        of_this.filter_map(|(_, value)| value.as_deref()).collect()
    }

    /// The option's only value, or its default.
    ///
    /// # Errors
    /// [`ArgumentError::Several`].
    pub fn value(&self, name: &'static str) -> Result<Option<&str>, ArgumentError> {
        match self.values(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(ArgumentError::Several(name)),
        }
    }

    /// The option's last value, or its default: argparse4j forgets those before it.
    pub fn last(&self, name: &'static str) -> Option<&str> {
        self.values(name).pop()
    }

    /// The option's only value as a number of 32 bits, or its default.
    ///
    /// # Errors
    /// [`ArgumentError::Several`], [`ArgumentError::NotParsed`].
    pub fn integer(&self, name: &'static str) -> Result<Option<i32>, ArgumentError> {
        debug_assert!(matches!(self.row(name).takes, Takes::One(Kind::Integer, _)));
        self.number(name)
    }

    /// The option's only value as a number of 64 bits, or its default.
    ///
    /// # Errors
    /// As [`Parsed::integer`].
    pub fn long(&self, name: &'static str) -> Result<Option<i64>, ArgumentError> {
        debug_assert!(matches!(self.row(name).takes, Takes::One(Kind::Long, _)));
        self.number(name)
    }

    /// The option's only value as a number with a point, or its default.
    ///
    /// # Errors
    /// As [`Parsed::integer`].
    pub fn double(&self, name: &'static str) -> Result<Option<f64>, ArgumentError> {
        debug_assert!(matches!(self.row(name).takes, Takes::One(Kind::Double, _)));
        self.number(name)
    }

    /// The first value that is not of its option's kind.
    pub fn misfit(&self) -> Option<Misfit<'_>> {
        self.given.iter().find_map(|(option, value)| {
            let value = value.as_deref()?;
            let Takes::One(kind, _) = self.row(option).takes else { return None };
            let (fits, kind) = match kind {
                Kind::Text => return None,
                Kind::Short => (value.parse::<i16>().is_ok(), "Short"),
                Kind::Integer => (value.parse::<i32>().is_ok(), "Integer"),
                Kind::Long => (value.parse::<i64>().is_ok(), "Long"),
                Kind::Double => (value.parse::<f64>().is_ok(), "Double"),
            };
            (!fits).then_some(Misfit { option, value, kind })
        })
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, ArgumentError> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let parsed = value.parse();
        parsed.map(Some).map_err(|_| ArgumentError::NotParsed { value: value.to_owned(), option: name })
    }
}

/// What stands behind the hyphens, if this looks like an option.
fn option_text(argument: &str) -> Option<&str> {
    match argument.strip_prefix("--") {
        Some("") => None,
        Some(long) => Some(long),
        None => argument.strip_prefix('-').filter(|short| !short.is_empty()),
    }
}

/// Behind one hyphen joptsimple looks for a cluster of letters, and complains of the first.
fn unrecognized(argument: &str, name: &str) -> ArgumentError {
    let told = if argument.starts_with("--") { name.into() } else { name.chars().take(1).collect() };
    ArgumentError::Unrecognized(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        Opt::text("topic", "topic", "A topic."),
        Opt::integer("partitions", "n", "A number."),
        Opt::perhaps("codec", "codec", "A codec."),
        Opt::text("list", "names", "Names.").or("a"),
        Opt::text("names", "names", "Names.").alias_of("list"),
        Opt::flag("force", "Do."),
    ];

    fn parse(arguments: &[&str]) -> Result<Parsed, ArgumentError> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
        Parsed::parse(OPTIONS, &arguments)
    }

    #[test]
    fn a_value_follows_its_option_or_an_equals_sign() {
        let parsed = parse(&["--topic", "--force", "--partitions=3", "-force", "x"]).expect("well formed");
        assert_eq!(parsed.value("topic"), Ok(Some("--force")), "whatever follows is the value");
        assert_eq!(parsed.integer("partitions"), Ok(Some(3)));
        assert!(parsed.has("force"), "one hyphen is enough");
        assert_eq!(parsed.rest, ["x"]);
    }

    #[test]
    fn an_empty_value_behind_an_equals_sign_is_none() {
        let parsed = parse(&["--topic=", "t"]).expect("well formed");
        assert_eq!(parsed.value("topic"), Ok(Some("t")));
    }

    #[test]
    fn an_optional_value_does_not_look_like_an_option() {
        let parsed = parse(&["--codec", "--force"]).expect("well formed");
        assert!(parsed.has("codec") && parsed.has("force"));
        assert_eq!(parsed.value("codec"), Ok(None));
        assert_eq!(parse(&["--codec", "lz4"]).expect("well formed").value("codec"), Ok(Some("lz4")));
    }

    #[test]
    fn an_unknown_option_is_named_and_an_abbreviation_is_unknown() {
        for (argument, named) in [("--topi", "topi"), ("--nope=1", "nope"), ("-nope", "n")] {
            let error = parse(&[argument, "t"]).expect_err("unknown");
            assert_eq!(error.to_string(), format!("{named} is not a recognized option"));
        }
    }

    #[test]
    fn a_value_that_is_missing_or_wrong_is_told() {
        let error = parse(&["--topic"]).expect_err("nothing follows");
        assert_eq!(error.to_string(), "Option topic requires an argument");
        let error =
            parse(&["--partitions", "x"]).expect("parsed").integer("partitions").expect_err("no number");
        assert_eq!(error.to_string(), "Cannot parse argument 'x' of option partitions");
    }

    #[test]
    fn an_option_may_come_often_but_has_one_value_where_one_is_asked_for() {
        let parsed = parse(&["--topic", "a", "--topic", "b"]).expect("well formed");
        assert_eq!(parsed.values("topic"), ["a", "b"]);
        let error = parsed.value("topic").expect_err("two values");
        assert_eq!(
            error.to_string(),
            "Found multiple arguments for option topic, but you asked for only one"
        );
    }

    #[test]
    fn a_default_counts_until_the_option_is_given_under_either_name() {
        assert_eq!(parse(&[]).expect("well formed").value("list"), Ok(Some("a")));
        assert_eq!(parse(&["--names", "b"]).expect("well formed").value("list"), Ok(Some("b")));
    }

    #[test]
    fn what_stands_behind_two_hyphens_is_no_option() {
        let parsed = parse(&["--", "--force"]).expect("well formed");
        assert!(!parsed.has("force"));
        assert_eq!(parsed.rest, ["--force"]);
    }
}
