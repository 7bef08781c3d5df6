//! What was set, where, and which setting wins.

use super::{
    describe::{ConfigSource, Synonym},
    table::{Kind, Row, broker_row},
};
use imbl::OrdMap;

/// The broker's settings in three layers over the defaults. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings {
    /// By file, environment or override.
    pub(super) fixed: OrdMap<String, String>,
    /// At run time, for the whole cluster.
    pub(super) cluster: OrdMap<String, String>,
    /// At run time, for this broker.
    pub(super) node: OrdMap<String, String>,
}

impl Settings {
    /// The settings of a key, the winning one first, without the default. One that is not a value of the key is
    /// passed over: what is checked before it is recorded can only be wrong after a downgrade.
    pub(super) fn layers<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (ConfigSource, &'a str)> {
        [
            (ConfigSource::DynamicBroker, &self.node),
            (ConfigSource::DynamicDefaultBroker, &self.cluster),
            (ConfigSource::StaticBroker, &self.fixed),
        ]
        .into_iter()
        .filter_map(|(source, layer)| Some((source, layer.get(row.name)?.trim())))
        .filter(|(_, value)| row.check(value).is_ok())
    }

    /// The winning value of a key; `None` where nobody gave one and there is no default.
    pub(super) fn winning<'a>(&'a self, row: &'a Row) -> Option<(ConfigSource, &'a str)> {
        self.layers(row).next().or_else(|| row.default.map(|value| (ConfigSource::Default, value)))
    }

    /// Every setting that bears on what these names, the winning one first, stand for, the defaults last.
    pub(super) fn synonyms(&self, names: &[&'static str]) -> Vec<Synonym> {
        let described = |name: &'static str| {
            let row = row_of(name);
            let shown = move |value: &str| (row.kind != Kind::Password).then(|| value.to_owned());
            let given = self.layers(row).map(move |(source, value)| (source, shown(value)));
            let default = row.default.map(|value| (ConfigSource::Default, shown(value)));
            given.chain(default).map(move |(source, value)| Synonym { name, value, source })
        };
        names.iter().flat_map(|name| described(name)).collect()
    }

    /// The winning value of a key that somebody set.
    pub(super) fn given(&self, name: &str) -> Option<(ConfigSource, &str)> {
        self.layers(row_of(name)).next()
    }

    /// A text; `None` where there is none or it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.winning(row_of(name)).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// An integer that has a default.
    pub(super) fn integer(&self, name: &str) -> i64 {
        self.text(name).and_then(|value| value.parse().ok()).expect("checked, and the row has a default")
    }

    /// As [`Settings::integer`], for a key of 32 bits.
    pub(super) fn int(&self, name: &str) -> i32 {
        i32::try_from(self.integer(name)).expect("the row's type is INT")
    }

    /// A real number that has a default.
    pub(super) fn real(&self, name: &str) -> f64 {
        self.text(name).and_then(|value| value.parse().ok()).expect("checked, and the row has a default")
    }

    /// As [`Settings::integer`], for a size; what lies below zero is zero.
    pub(super) fn size(&self, name: &str) -> u64 {
        u64::try_from(self.integer(name)).unwrap_or(0)
    }

    /// A truth value that has a default.
    pub(super) fn boolean(&self, name: &str) -> bool {
        self.text(name).and_then(super::table::boolean).expect("checked, and the row has a default")
    }

    /// The items of a list.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        super::table::list(self.text(name).unwrap_or("")).map(str::to_owned).collect()
    }
}

fn row_of(name: &str) -> &'static Row {
    broker_row(name).expect("named in this crate, and a test reads every honoured row")
}
