//! `--list`.

use super::{Done, Failure};
use crate::{
    args::Command,
    client::{
        Cluster,
        error::Result,
        groups::{self, ListedGroup},
    },
    console::Console,
    say,
};

/// All states a consumer group can be in, as they are printed and, without regard to case, named.
const STATES: [&str; 7] =
    ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"];

/// Groups of consumers, of either protocol, and those that only keep offsets.
pub fn consumer_groups(cluster: &mut Cluster) -> Result<Vec<ListedGroup>> {
    filtered(cluster, &[], &["consumer".into(), "classic".into()])
}

fn filtered(cluster: &mut Cluster, states: &[String], kinds: &[String]) -> Result<Vec<ListedGroup>> {
    let mut groups = groups::list_groups(cluster, states, kinds)?;
    groups.retain(|group| group.protocol.is_empty() || group.protocol == "consumer");
    Ok(groups)
}

pub fn list(command: &Command, cluster: &mut Cluster, console: &mut Console) -> Done {
    let (with_kind, with_state) = (command.has("type"), command.has("state"));
    if !with_kind && !with_state {
        for group in consumer_groups(cluster)? {
            say!(console, "{}", group.id);
        }
        return Ok(());
    }
    let kinds = kinds(command.value("type")?.unwrap_or_default())?;
    let states = states(command.value("state")?.unwrap_or_default())?;
    let groups = filtered(cluster, &states, &kinds)?;
    for line in lines(&groups, with_kind, with_state) {
        say!(console, "{line}");
    }
    Ok(())
}

fn states(text: &str) -> Done<Vec<String>> {
    let mut states = Vec::new();
    for name in text.split(',').filter(|_| !text.is_empty()) {
        let known = STATES.into_iter().find(|state| state.eq_ignore_ascii_case(name.trim()));
        let Some(state) = known else {
            return Err(Failure::Usage(format!(
                "Invalid state list '{text}'. Valid states are: {}",
                STATES.join(", ")
            )));
        };
        states.push(state.to_owned());
    }
    Ok(states)
}

fn kinds(text: &str) -> Done<Vec<String>> {
    let text = text.to_ascii_lowercase();
    let mut kinds = Vec::new();
    for name in text.split(',').filter(|_| !text.is_empty()).map(str::trim) {
        if !["classic", "consumer"].contains(&name) {
            return Err(Failure::Usage(format!(
                "Invalid types list '{text}'. Valid types are: Consumer, Classic"
            )));
        }
        kinds.push(name.to_owned());
    }
    Ok(kinds)
}

fn lines(groups: &[ListedGroup], with_kind: bool, with_state: bool) -> Vec<String> {
    let width = groups.iter().map(|group| group.id.chars().count()).max().unwrap_or(0).max(15) + 10;
    let line = |id: &str, kind: &str, state: &str| {
        let mut line = format!("{id:width$}");
        if with_kind {
            line.push_str(&format!(" {kind:20}"));
        }
        if with_state {
            line.push_str(&format!(" {state:20}"));
        }
        line
    };
    let mut lines = vec![line("GROUP", "TYPE", "STATE")];
    lines.extend(groups.iter().map(|group| {
        let kind = match group.kind.as_str() {
            "classic" => "Classic",
            "consumer" => "Consumer",
            "share" => "Share",
            "streams" => "Streams",
            "" => "Unknown",
            other => other,
        };
        let state = if group.state.is_empty() { "Unknown" } else { &group.state };
        line(&group.id, kind, state)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_in_any_case() {
        let known = states("stable, EMPTY").unwrap_or_default();
        assert_eq!(known, ["Stable", "Empty"]);
        assert!(
            matches!(states("happy"), Err(Failure::Usage(text)) if text.starts_with("Invalid state list 'happy'."))
        );
        assert!(matches!(kinds("share"), Err(Failure::Usage(_))));
    }

    #[test]
    fn columns_are_as_wide_as_kafkas() {
        let group = ListedGroup {
            id: "g".into(),
            protocol: String::new(),
            state: "Empty".into(),
            kind: "classic".into(),
        };
        let lines = lines(&[group], true, true);
        assert_eq!(lines[1], format!("{:25} {:20} {:20}", "g", "Classic", "Empty"));
    }
}
