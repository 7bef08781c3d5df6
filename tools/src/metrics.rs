//! `--print-metrics`: what a client counted, in the form of Kafka's tools (`ToolsUtils.printMetrics`) and under Kafka's names.
//! There are fewer than a Java client has: what this one does not measure is not told.

use crate::{
    console::{Console, Outcome},
    say,
};
use std::collections::BTreeMap;

/// The metrics of one client.
pub struct Metrics {
    client_id: String,
    values: BTreeMap<String, f64>,
}

impl Metrics {
    /// None yet.
    pub fn new(client_id: &str) -> Metrics {
        Metrics { client_id: client_id.to_owned(), values: BTreeMap::new() }
    }

    /// Adds some of a group, by name.
    pub fn add(&mut self, group: &str, values: impl IntoIterator<Item = (&'static str, f64)>) {
        for (name, value) in values {
            self.values.insert(format!("{group}:{name}:{{client-id={}}}", self.client_id), value);
        }
    }

    /// Prints them in the order of their names.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(&self, console: &mut Console) -> Outcome {
        for line in self.lines() {
            say!(console, "{line}");
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let width = self.values.keys().map(String::len).max().unwrap_or_default();
        let header = format!("\n{:width$}   Value", "Metric Name");
        let line = |(name, value): (&String, &f64)| format!("{name:width$} : {value:.3}");
        std::iter::once(header).chain(self.values.iter().map(line)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_stand_under_each_other_as_kafkas_do() {
        let mut metrics = Metrics::new("me");
        metrics.add("producer-metrics", [("request-total", 7.0), ("connection-count", f64::NAN)]);
        let lines = [
            "\nMetric Name                                        Value",
            "producer-metrics:connection-count:{client-id=me} : NaN",
            "producer-metrics:request-total:{client-id=me}    : 7.000",
        ];
        assert_eq!(metrics.lines(), lines);
    }
}
