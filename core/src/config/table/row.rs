//! One key.

/// A value's type, as Kafka calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// true or false.
    Boolean,
    /// A text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A real number.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// A text that is told to nobody.
    Password,
}

impl Kind {
    /// `DescribeConfigsResponse.ConfigType`'s number.
    pub const fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    /// Kafka's word for it, in errors and in the manual.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }
}

/// Which values of its type a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    /// Every one.
    Any,
    /// From this on.
    AtLeast(i64),
    /// From the first through the second.
    Between(i64, i64),
    /// From the first through the second.
    RealBetween(f64, f64),
    /// 1 to 9, or -1.
    GzipLevel,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of these, in whatever case.
    OneOfAnyCase(&'static [&'static str]),
    /// Any number of these.
    ListOf(&'static [&'static str]),
    /// Some text.
    NotEmpty,
    /// `*`, or partition:broker pairs.
    ThrottledReplicas,
    /// earliest, latest, or by_duration: and an ISO 8601 duration (KIP-1106).
    OffsetReset,
}

/// How a key is altered, in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// With a restart.
    ReadOnly,
    /// At run time, for one broker or for all. (Topic settings are all altered at run time.)
    ClusterWide,
    /// At run time, for one broker.
    PerBroker,
    /// At run time only, for one broker or for all; it is told of only where it is set.
    Dynamic,
    /// With a restart; nobody is told of it.
    Internal,
}

/// What setting a key does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What it says.
    Honoured,
    /// Nothing, for this reason; a log line tells.
    Without(&'static str),
    /// It needs this feature, which is not built yet: anything but its default (or nothing) refuses the start.
    Refused(&'static str),
}

/// One key of a table.
#[derive(Debug)]
pub struct Row {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// As it would be written in a file; `None` where there is none.
    pub default: Option<&'static str>,
    /// Its range.
    pub valid: Valid,
    /// How it is altered.
    pub update: Update,
    /// What it does.
    pub status: Status,
    /// What it means, in a sentence.
    pub doc: &'static str,
}

impl Row {
    /// Whether a text is a value of this key.
    ///
    /// # Errors
    /// Kafka's words (`Invalid value 5 for configuration segment.bytes: Value must be at least 1048576`), which
    /// tools and tests of its users look for.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let text = text.trim();
        let invalid =
            |why: String| Err(format!("Invalid value {text} for configuration {}: {why}", self.name));
        match self.kind {
            Kind::Boolean => match boolean(text) {
                Some(_) => Ok(()),
                None => invalid("Expected value to be either true or false".into()),
            },
            Kind::Int | Kind::Short | Kind::Long => match self.integer(text) {
                Some(number) => self.integer_in_range(number).or_else(invalid),
                None => invalid(format!("Not a number of type {}", self.kind.word())),
            },
            Kind::Double => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => self.real_in_range(number).or_else(invalid),
                _ => invalid("Not a number of type DOUBLE".into()),
            },
            Kind::List => self.list_in_range(text).or_else(invalid),
            Kind::String | Kind::Class | Kind::Password => self.text_in_range(text).or_else(invalid),
        }
    }

    /// Whether two texts are the same value of this key.
    pub fn same(&self, left: &str, right: &str) -> bool {
        let (left, right) = (left.trim(), right.trim());
        match self.kind {
            Kind::Boolean => boolean(left) == boolean(right),
            Kind::Int | Kind::Short | Kind::Long => self.integer(left) == self.integer(right),
            Kind::Double => left.parse::<f64>() == right.parse::<f64>(),
            Kind::List => list(left).eq(list(right)),
            Kind::String | Kind::Class | Kind::Password => left == right,
        }
    }

    /// The range in words, for the manual.
    pub fn range(&self) -> String {
        match self.valid {
            Valid::Any => String::new(),
            Valid::AtLeast(least) => format!("≥ {least}"),
            Valid::Between(least, most) => format!("{least} to {most}"),
            Valid::RealBetween(least, most) => format!("{least} to {most}"),
            Valid::GzipLevel => "1 to 9, or -1".into(),
            Valid::OneOf(values) | Valid::OneOfAnyCase(values) => values.join(", "),
            Valid::ListOf(values) => format!("any of {}", values.join(", ")),
            Valid::NotEmpty => "not empty".into(),
            Valid::ThrottledReplicas => "* or partition:broker,…".into(),
            Valid::OffsetReset => "earliest, latest, by_duration:PnDTnHnMn.nS".into(),
        }
    }

    fn integer(&self, text: &str) -> Option<i64> {
        let number: i64 = text.parse().ok()?;
        let fits = match self.kind {
            Kind::Int => i32::try_from(number).is_ok(),
            Kind::Short => i16::try_from(number).is_ok(),
            Kind::Boolean
            | Kind::String
            | Kind::Long
            | Kind::Double
            | Kind::List
            | Kind::Class
            | Kind::Password => true,
        };
        fits.then_some(number)
    }

    fn integer_in_range(&self, number: i64) -> Result<(), String> {
        match self.valid {
            Valid::AtLeast(least) if number < least => Err(format!("Value must be at least {least}")),
            Valid::Between(least, _) if number < least => Err(format!("Value must be at least {least}")),
            Valid::Between(_, most) if number > most => Err(format!("Value must be no more than {most}")),
            Valid::GzipLevel if number != -1 && !(1..=9).contains(&number) => {
                Err("Value must be between 1 and 9 or equal to -1".into())
            }
            _ => Ok(()),
        }
    }

    fn real_in_range(&self, number: f64) -> Result<(), String> {
        match self.valid {
            Valid::RealBetween(least, _) if number < least => Err(format!("Value must be at least {least}")),
            Valid::RealBetween(_, most) if number > most => Err(format!("Value must be no more than {most}")),
            _ => Ok(()),
        }
    }

    fn list_in_range(&self, text: &str) -> Result<(), String> {
        match self.valid {
            Valid::ListOf(values) if list(text).any(|item| !values.contains(&item)) => {
                Err(format!("String must be one of: {}", values.join(", ")))
            }
            Valid::ThrottledReplicas
                if text != "*" && !list(text).all(|item| throttled_replica(item).is_some()) =>
            {
                Err(format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                ))
            }
            _ => Ok(()),
        }
    }

    fn text_in_range(&self, text: &str) -> Result<(), String> {
        match self.valid {
            Valid::OneOf(values) if !values.contains(&text) => {
                Err(format!("String must be one of: {}", values.join(", ")))
            }
            Valid::OneOfAnyCase(values) if !values.iter().any(|value| value.eq_ignore_ascii_case(text)) => {
                Err(format!("String must be one of (case insensitive): {}", values.join(", ")))
            }
            Valid::NotEmpty if text.is_empty() => Err("String may not be empty".into()),
            Valid::OffsetReset if !is_offset_reset(text) => Err(format!(
                "Invalid value `{text}` for configuration {}. The value must be either 'earliest', 'latest' or of \
                 the format 'by_duration:<PnDTnHnMn.nS>'.",
                self.name
            )),
            _ => Ok(()),
        }
    }
}

/// true or false, in whatever case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The items of a list; an empty text has none.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The partition and the broker that an item of a list of throttled replicas names.
pub(crate) fn throttled_replica(item: &str) -> Option<(i32, i32)> {
    let (partition, broker) = item.split_once(':')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    Some((number(partition)?, number(broker)?))
}

fn is_offset_reset(text: &str) -> bool {
    matches!(text, "earliest" | "latest") || text.strip_prefix("by_duration:").is_some_and(is_duration)
}

/// An ISO 8601 duration as Java reads one, but for signs: `P`, days, then after a `T` hours, minutes, seconds, each at
/// most once, in this order, at least one of them.
fn is_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, time) = rest.split_once('T').map_or((rest, None), |(days, time)| (days, Some(time)));
    let parts = |mut text: &str, units: &str| {
        let mut units = units.chars();
        while !text.is_empty() {
            let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
            let unit = text[digits..].chars().next()?;
            let number = &text[..digits];
            units.find(|known| *known == unit)?;
            let whole = number.parse::<u32>().is_ok();
            let seconds = unit == 'S' && number.starts_with(|digit: char| digit.is_ascii_digit());
            let fraction = seconds && number.parse::<f64>().is_ok();
            if !(whole || fraction) {
                return None;
            }
            text = &text[digits + unit.len_utf8()..];
        }
        Some(())
    };
    let some = !days.is_empty() || time.is_some();
    let whole_time = time.is_none_or(|time| !time.is_empty() && parts(time, "HMS").is_some());
    some && parts(days, "D").is_some() && whole_time
}
