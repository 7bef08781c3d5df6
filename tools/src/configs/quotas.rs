//! Quotas of users, clients and addresses, with which users' SCRAM credentials are shown and altered.

use super::{
    Done,
    entities::{Entities, Kind},
    scram, told,
};
use crate::{
    client::{ClientError, Cluster, Properties, text},
    console::Console,
    java::double,
};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
    alter_client_quotas_request::{EntityData, EntryData, OpData},
    describe_client_quotas_request::ComponentData,
    describe_client_quotas_response::EntryData as Found,
};

/// `ClientQuotaFilterComponent`'s ways to match.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

const QUOTAS: [&str; 4] =
    ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
const CONNECTIONS: &str = "connection_creation_rate";

/// The name of a kind in the protocol.
fn entity_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Users => "user",
        Kind::Clients => "client-id",
        _ => "ip",
    }
}

pub fn describe(entities: &Entities, cluster: &mut Cluster, console: &mut Console) -> Done {
    for found in find(entities, cluster)? {
        let of = |kind: &str, told: &str| {
            let entity = found.entity.iter().find(|entity| entity.entity_type.as_str() == kind)?;
            Some(match &entity.entity_name {
                Some(name) => format!("{told} '{name}'"),
                None => format!("the default {told}"),
            })
        };
        let names = [of("user", "user-principal"), of("client-id", "client-id"), of("ip", "ip")];
        let names: Vec<String> = names.into_iter().flatten().collect();
        let values = found.values.iter().map(|value| format!("{}={}", value.key, double(value.value)));
        let values: Vec<String> = values.collect();
        console.line(format_args!("Quota configs for {} are {}", names.join(", "), values.join(", ")))?;
    }
    let is_about_users = !entities.kinds.contains(&Kind::Clients) && entities.kinds.contains(&Kind::Users);
    if is_about_users && !entities.names.iter().any(String::is_empty) {
        scram::describe(&entities.names, cluster, console)?;
    }
    Ok(())
}

fn find(entities: &Entities, cluster: &mut Cluster) -> Done<Vec<Found>> {
    if entities.names.len() > entities.kinds.len() {
        return told("More entity names specified than entity types");
    }
    let names = entities.names.iter().map(Some).chain(std::iter::repeat(None));
    let components: Vec<ComponentData> = entities
        .kinds
        .iter()
        .zip(names)
        .map(|(kind, name)| {
            let component = ComponentData::default().with_entity_type(text(entity_type(*kind)));
            match name.map(String::as_str) {
                Some("") => component.with_match_type(DEFAULT).with_match(None),
                Some(name) => component.with_match_type(EXACT).with_match(Some(text(name))),
                None => component.with_match_type(ANY).with_match(None),
            }
        })
        .collect();
    let answer: DescribeClientQuotasResponse = cluster.retry("describeClientQuotas", |cluster| {
        cluster.on_any(|connection| {
            let version = connection.version::<DescribeClientQuotasRequest>()?;
            let mut request = DescribeClientQuotasRequest::default();
            request.components = components.clone();
            request.strict = true;
            let answer = connection.call(version, &request)?;
            match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                Some(error) => Err(error),
                None => Ok(answer),
            }
        })
    })?;
    Ok(answer.entries.unwrap_or_default())
}

pub fn alter(entities: &Entities, add: &Properties, delete: &[String], cluster: &mut Cluster) -> Done {
    check(entities, add, delete)?;
    if names(add, delete).any(|name| scram::hash(name).is_some()) {
        return scram::alter(entities.name().unwrap_or_default(), add, delete, cluster);
    }
    let present = find(entities, cluster)?;
    let present: Vec<&str> =
        present.iter().flat_map(|found| &found.values).map(|value| value.key.as_str()).collect();
    let absent: Vec<&str> =
        delete.iter().map(String::as_str).filter(|name| !present.contains(name)).collect();
    if !absent.is_empty() {
        return told(format!("Invalid config(s): {}", absent.join(",")));
    }
    let mut operations = Vec::new();
    for (name, value) in add.iter() {
        let Ok(number) = value.parse::<f64>() else {
            return told(format!("Cannot parse quota configuration value for {name}: {value}"));
        };
        operations.push(OpData::default().with_key(text(name)).with_value(number));
    }
    operations.extend(delete.iter().map(|name| OpData::default().with_key(text(name)).with_remove(true)));
    let named = entities.kinds.iter().zip(&entities.names).map(|(kind, name)| {
        let name = (!name.is_empty()).then(|| text(name));
        EntityData::default().with_entity_type(text(entity_type(*kind))).with_entity_name(name)
    });
    let entry = EntryData::default().with_entity(named.collect()).with_ops(operations);
    cluster.retry("alterClientQuotas", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<AlterClientQuotasRequest>()?;
            let mut request = AlterClientQuotasRequest::default();
            request.entries = vec![entry.clone()];
            let answer = connection.call(version, &request)?;
            let mut errors = answer.entries.iter();
            errors
                .find_map(|entry| ClientError::of(entry.error_code, entry.error_message.as_deref()))
                .map_or(Ok(()), Err)
        })
    })?;
    Ok(())
}

fn names<'a>(add: &'a Properties, delete: &'a [String]) -> impl Iterator<Item = &'a str> {
    add.iter().map(|(name, _)| name).chain(delete.iter().map(String::as_str))
}

fn check(entities: &Entities, add: &Properties, delete: &[String]) -> Done {
    if entities.first() == Kind::Ips {
        let unknown: Vec<&str> = names(add, delete).filter(|name| *name != CONNECTIONS).collect();
        return match unknown.is_empty() {
            true => Ok(()),
            false => told(format!(
                "Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: {}",
                unknown.join(",")
            )),
        };
    }
    let is_scram = |name: &str| scram::hash(name).is_some();
    let (kind, may_be) = match entities.kinds.contains(&Kind::Clients) {
        true => ("clients", "quota configs"),
        false => ("users", "quota and SCRAM credential configs"),
    };
    let unexpected = |name: &&str| !QUOTAS.contains(name) && (kind == "clients" || !is_scram(name));
    let added: Vec<&str> = add.iter().map(|(name, _)| name).filter(unexpected).collect();
    let deleted: Vec<&str> = delete.iter().map(String::as_str).filter(unexpected).collect();
    for (names, what, list) in [(added, "added", "Set"), (deleted, "deleted", "ArrayBuffer")] {
        if !names.is_empty() {
            return told(format!(
                "Only {may_be} can be {what} for '{kind}' using --bootstrap-server. Unexpected config names: {list}({})",
                names.join(", ")
            ));
        }
    }
    if names(add, delete).any(is_scram) {
        if entities.names.iter().any(String::is_empty) {
            return told(
                "The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using --bootstrap-server.",
            );
        }
        if names(add, delete).any(|name| QUOTAS.contains(&name)) {
            return told(format!(
                "Cannot alter both quota and SCRAM credential configs simultaneously for '{kind}' using --bootstrap-server."
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: Kind, name: &str) -> String {
        checked_for(kind, "x", &[name])
    }

    fn checked_for(kind: Kind, entity: &str, configs: &[&str]) -> String {
        let entities = Entities { kinds: vec![kind], names: vec![entity.into()] };
        let mut add = Properties::default();
        for name in configs {
            add.set(name, "1");
        }
        match check(&entities, &add, &[]) {
            Ok(()) => String::new(),
            Err(super::super::Failure::Told(text)) => text,
            Err(_) => panic!("told"),
        }
    }

    #[test]
    fn each_kind_has_its_own_quotas() {
        assert_eq!(checked(Kind::Clients, "producer_byte_rate"), "");
        assert_eq!(checked(Kind::Ips, CONNECTIONS), "");
        assert!(
            checked(Kind::Ips, "producer_byte_rate")
                .starts_with("Only connection quota configs can be added")
        );
        assert!(
            checked(Kind::Clients, "SCRAM-SHA-256").ends_with("Unexpected config names: Set(SCRAM-SHA-256)")
        );
        assert_eq!(checked(Kind::Users, "SCRAM-SHA-256"), "");
    }

    #[test]
    fn credentials_are_those_of_a_user_with_a_name_and_come_without_quotas() {
        let default = checked_for(Kind::Users, "", &["SCRAM-SHA-512"]);
        assert!(default.starts_with("The use of --entity-default or --user-defaults"), "{default}");
        let both = checked_for(Kind::Users, "ann", &["SCRAM-SHA-512", "producer_byte_rate"]);
        assert!(both.starts_with("Cannot alter both quota and SCRAM"), "{both}");
    }
}
