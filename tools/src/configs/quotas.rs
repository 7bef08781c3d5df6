//! Quotas of users, clients and addresses, and users' SCRAM credentials, which are shown only.

use super::{
    Done,
    entities::{Entities, Kind},
    told,
};
use crate::{
    client::{ClientError, Cluster, Properties, text},
    console::Console,
};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    alter_client_quotas_request::{EntityData, EntryData, OpData},
    describe_client_quotas_request::ComponentData,
    describe_client_quotas_response::EntryData as Found,
    describe_user_scram_credentials_request::UserName,
};

/// `ClientQuotaFilterComponent`'s ways to match.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

const QUOTAS: [&str; 4] =
    ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
const CONNECTIONS: &str = "connection_creation_rate";
const MECHANISMS: [&str; 3] = ["UNKNOWN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

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
        let values = found.values.iter().map(|value| format!("{}={}", value.key, decimal(value.value)));
        let values: Vec<String> = values.collect();
        console.line(format_args!("Quota configs for {} are {}", names.join(", "), values.join(", ")))?;
    }
    let is_about_users = !entities.kinds.contains(&Kind::Clients) && entities.kinds.contains(&Kind::Users);
    if is_about_users && !entities.names.iter().any(String::is_empty) {
        describe_scram(entities, cluster, console)?;
    }
    Ok(())
}

/// As Java prints a double: never without a point.
fn decimal(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e7 {
        format!("{value:.1}")
    } else {
        format!("{value:?}").replace('e', "E")
    }
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

fn describe_scram(entities: &Entities, cluster: &mut Cluster, console: &mut Console) -> Done {
    let users: Vec<UserName> =
        entities.names.iter().map(|name| UserName::default().with_name(text(name))).collect();
    let answer: DescribeUserScramCredentialsResponse =
        cluster.retry("describeUserScramCredentials", |cluster| {
            cluster.on_any(|connection| {
                let version = connection.version::<DescribeUserScramCredentialsRequest>()?;
                let mut request = DescribeUserScramCredentialsRequest::default();
                request.users = Some(users.clone());
                let answer = connection.call(version, &request)?;
                match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                    Some(error) => Err(error),
                    None => Ok(answer),
                }
            })
        })?;
    for user in answer.results {
        // RESOURCE_NOT_FOUND: a user without credentials is none of those that are listed.
        if user.error_code == 91 {
            continue;
        }
        let name = &user.user;
        if let Some(error) = ClientError::of(user.error_code, user.error_message.as_deref()) {
            let class = error.class();
            console.line(format_args!(
                "Error retrieving SCRAM credential configs for user-principal '{name}': {class}: {error}"
            ))?;
            continue;
        }
        let mechanism = |number: i8| {
            usize::try_from(number)
                .ok()
                .and_then(|number| MECHANISMS.get(number))
                .copied()
                .unwrap_or("UNKNOWN")
        };
        let infos: Vec<String> = user
            .credential_infos
            .iter()
            .map(|info| format!("{}=iterations={}", mechanism(info.mechanism), info.iterations))
            .collect();
        console.line(format_args!(
            "SCRAM credential configs for user-principal '{name}' are {}",
            infos.join(", ")
        ))?;
    }
    Ok(())
}

pub fn alter(entities: &Entities, add: &Properties, delete: &[String], cluster: &mut Cluster) -> Done {
    check(entities, add, delete)?;
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

fn check(entities: &Entities, add: &Properties, delete: &[String]) -> Done {
    let names = || add.iter().map(|(name, _)| name).chain(delete.iter().map(String::as_str));
    if entities.first() == Kind::Ips {
        let unknown: Vec<&str> = names().filter(|name| *name != CONNECTIONS).collect();
        return match unknown.is_empty() {
            true => Ok(()),
            false => told(format!(
                "Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: {}",
                unknown.join(",")
            )),
        };
    }
    let is_scram = |name: &str| MECHANISMS[1..].contains(&name);
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
    if names().any(is_scram) {
        return told("SCRAM credentials cannot be altered with this tool: it is not built yet");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: Kind, name: &str) -> String {
        let entities = Entities { kinds: vec![kind], names: vec!["x".into()] };
        let mut add = Properties::default();
        add.set(name, "1");
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
        assert!(checked(Kind::Users, "SCRAM-SHA-256").contains("not built yet"));
    }

    #[test]
    fn a_whole_number_has_a_point() {
        assert_eq!(decimal(1024.0), "1024.0");
        assert_eq!(decimal(0.5), "0.5");
    }
}
