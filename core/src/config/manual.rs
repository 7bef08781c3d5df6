//! The manual: every key of every table, as markdown.

use super::table::{self, Row, Status, Update};
use std::fmt::Write;

/// A page of all settings: what `corelane config-docs` prints.
pub fn manual() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         Names, types, defaults and ranges are those of Kafka 4.3; keys that begin with `corelane.` are this broker's \
         own. A setting is read from the file (`--config`), over it from the environment (`KAFKA_NODE_ID` is \
         `node.id`), over that from `--override key=value`.\n\n\
         A setting that is marked *no effect* is accepted so that existing files load, and a log line says so at the \
         start. One marked *not built* refuses the start unless it has its default.\n\n\
         Two defaults differ from Kafka's in what they promise: `log.flush.interval.messages` and `flush.messages` \
         are 1, every append is flushed before it is acknowledged.\n",
    );
    page.push_str("\n# Broker\n");
    for (heading, rows) in &table::BROKER {
        section(&mut page, heading, rows, true);
    }
    page.push_str("\n# Topic\n");
    section(&mut page, "Topics", table::TOPIC, false);
    page.push_str("\n# Group\n");
    section(&mut page, "Groups", table::GROUP, false);
    page.push_str("\n# Client metrics\n");
    section(&mut page, "Subscriptions", table::CLIENT_METRICS, false);
    page
}

fn section(page: &mut String, heading: &str, rows: &[Row], broker: bool) {
    let told = || rows.iter().filter(|row| row.update != Update::Internal);
    let written = (|| {
        writeln!(page, "\n## {heading}\n")?;
        writeln!(page, "| key | type | default | range | changed | meaning |\n|---|---|---|---|---|---|")?;
        told().try_for_each(|row| writeln!(page, "{}", line(row, broker)))
    })();
    written.expect("a string takes whatever is written to it");
}

fn line(row: &Row, broker: bool) -> String {
    let default = match row.default {
        Some("") => "(empty)".into(),
        Some(default) => format!("`{default}`"),
        None => String::new(),
    };
    let changed = match row.update {
        _ if row.status != Status::Honoured => "",
        Update::ClusterWide => "at run time",
        Update::Dynamic => "at run time only",
        Update::ReadOnly | Update::PerBroker | Update::Internal => "with a restart",
    };
    let inherited = match table::topic_synonyms(row.name) {
        [] => String::new(),
        _ if broker => String::new(),
        names => {
            let names: Vec<_> = names.iter().map(|(name, _)| format!("`{name}`")).collect();
            format!(" The broker's: {}.", names.join(", "))
        }
    };
    let status = match row.status {
        Status::Honoured => String::new(),
        Status::Without(reason) => format!(" *No effect:* {reason}."),
        Status::Refused(feature) => format!(" *Not built:* {feature}."),
    };
    format!(
        "| `{}` | {} | {default} | {} | {changed} | {}{inherited}{status} |",
        row.name,
        row.kind.word().to_lowercase(),
        row.range(),
        row.doc,
    )
}
