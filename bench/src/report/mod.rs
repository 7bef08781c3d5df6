//! What a run found, for people and for programs.

mod table;

use crate::latency::Latencies;
use serde_json::{Map, Value, json};

/// The percentiles that are reported.
pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// In snake case, with its unit at the end: its name in the JSON.
    pub name: String,
    /// What it is called in the table.
    pub label: String,
    /// The number.
    pub value: f64,
    /// Its unit in the table.
    pub unit: &'static str,
    /// What to know about it.
    pub note: String,
}

impl Figure {
    /// Without a note.
    pub fn new(name: &str, label: &str, value: f64, unit: &'static str) -> Figure {
        Figure { name: name.into(), label: label.into(), value, unit, note: String::new() }
    }

    /// With one.
    pub fn note(mut self, note: impl Into<String>) -> Figure {
        self.note = note.into();
        self
    }
}

/// Figures that belong together.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// In the order of the table.
    pub figures: Vec<Figure>,
}

impl Section {
    /// Without figures so far.
    pub fn new(name: &str) -> Section {
        Section { name: name.into(), figures: Vec::new() }
    }

    /// With one more.
    pub fn push(&mut self, figure: Figure) -> &mut Section {
        self.figures.push(figure);
        self
    }
}

/// One line of percentiles.
#[derive(Clone, Debug)]
pub struct LatencyRow {
    /// What waited for what.
    pub name: String,
    /// How long.
    pub latencies: Latencies,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The subcommand.
    pub command: String,
    /// The machine, and what was run against.
    pub conditions: Vec<(String, String)>,
    /// The options.
    pub settings: Vec<(String, String)>,
    /// The results.
    pub sections: Vec<Section>,
    /// The latencies.
    pub latencies: Vec<LatencyRow>,
    /// What went wrong: Kafka's name of the code, and how often.
    pub errors: Vec<(String, u64)>,
    /// What a reader must know, above all when a figure is not what its name suggests.
    pub warnings: Vec<String>,
}

impl Report {
    /// For a terminal.
    pub fn to_table(&self) -> String {
        table::render(self)
    }

    /// For programs: conditions, settings, sections with their figures by name, latencies in milliseconds.
    pub fn to_json(&self) -> Value {
        let texts = |pairs: &[(String, String)]| -> Map<String, Value> {
            pairs.iter().map(|(name, text)| (name.clone(), json!(text))).collect()
        };
        let section = |section: &Section| {
            let figures: Map<String, Value> =
                section.figures.iter().map(|one| (one.name.clone(), json!(one.value))).collect();
            (section.name.clone(), Value::Object(figures))
        };
        let latency = |row: &LatencyRow| {
            let mut figures: Map<String, Value> = PERCENTILES
                .iter()
                .map(|(name, percent)| ((*name).to_owned(), json!(row.latencies.percentile_ms(*percent))))
                .collect();
            figures.insert("max".into(), json!(row.latencies.max_ms()));
            figures.insert("mean".into(), json!(row.latencies.mean_ms()));
            figures.insert("count".into(), json!(row.latencies.count()));
            (row.name.clone(), Value::Object(figures))
        };
        json!({
            "command": self.command,
            "conditions": texts(&self.conditions),
            "settings": texts(&self.settings),
            "sections": self.sections.iter().map(section).collect::<Map<_, _>>(),
            "latency_ms": self.latencies.iter().map(latency).collect::<Map<_, _>>(),
            "errors": self.errors.iter().map(|(name, count)| (name.clone(), json!(count))).collect::<Map<_, _>>(),
            "warnings": self.warnings,
        })
    }
}
