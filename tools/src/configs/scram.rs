//! Users' SCRAM credentials. The tool salts and hashes: no broker sees a password.

use super::{Done, told};
use crate::{
    client::{
        ClientError, Cluster, Properties,
        security::{
            Secret,
            scram::{Hash, ITERATIONS_MIN, random},
        },
        text,
    },
    console::Console,
};
use bytes::Bytes;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
    alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion},
    describe_user_scram_credentials_request::UserName,
};

const HASHES: [Hash; 2] = [Hash::Sha256, Hash::Sha512];

/// Where a command line names no number, in Kafka's tool.
const ITERATIONS: i32 = 4096;

const SALT_BYTES: usize = 24;

/// Whose credentials a configuration of this name is.
pub fn hash(name: &str) -> Option<Hash> {
    Hash::named(name)
}

/// Prints the credentials of these users, or of all.
pub fn describe(names: &[String], cluster: &mut Cluster, console: &mut Console) -> Done {
    let users: Vec<UserName> = names.iter().map(|name| UserName::default().with_name(text(name))).collect();
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
            let hash = HASHES.into_iter().find(|hash| hash.number() == number);
            hash.map_or("UNKNOWN", Hash::mechanism)
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

/// Sets and takes back one user's credentials.
pub fn alter(user: &str, add: &Properties, delete: &[String], cluster: &mut Cluster) -> Done {
    let mut request = AlterUserScramCredentialsRequest::default();
    for hash in delete.iter().filter_map(|name| hash(name)) {
        let deletion = ScramCredentialDeletion::default().with_name(text(user)).with_mechanism(hash.number());
        request.deletions.push(deletion);
    }
    for (hash, value) in add.iter().filter_map(|(name, value)| Some((hash(name)?, value))) {
        let (iterations, password) = credential(hash, value)?;
        let unusable = |why: &str| ClientError::Broker { code: UNACCEPTABLE, message: Some(why.into()) };
        if password.reveal().is_empty() {
            return Err(unusable("Password must not be empty").into());
        }
        let salt = random::<SALT_BYTES>().map_err(|why| unusable(&why))?;
        let salted = hash.salted(&password, &salt, iterations).ok_or_else(|| unusable("no iterations"))?;
        let upsertion = ScramCredentialUpsertion::default()
            .with_name(text(user))
            .with_mechanism(hash.number())
            .with_iterations(iterations)
            .with_salt(Bytes::copy_from_slice(&salt))
            .with_salted_password(Bytes::from(salted));
        request.upsertions.push(upsertion);
    }
    cluster.retry("alterUserScramCredentials", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<AlterUserScramCredentialsRequest>()?;
            let answer = connection.call(version, &request)?;
            let mut results = answer.results.iter();
            results
                .find_map(|result| ClientError::of(result.error_code, result.error_message.as_deref()))
                .map_or(Ok(()), Err)
        })
    })?;
    Ok(())
}

/// UNACCEPTABLE_CREDENTIAL
const UNACCEPTABLE: i16 = 93;

/// `iterations=N,password=P`, of which the first part may be missing.
fn credential(hash: Hash, value: &str) -> Done<(i32, Secret)> {
    // Kafka's tool repeats the value, which may hold a password.
    let wrong = || format!("Invalid credential property {}=[hidden]", hash.mechanism());
    let (number, rest) = match value.strip_prefix("iterations=") {
        None => (None, value),
        Some(rest) => match rest.split_once(',') {
            None => return told(wrong()),
            Some((number, rest)) => (Some(number), rest),
        },
    };
    let digits = number.map(|number| number.strip_prefix('-').unwrap_or(number)).unwrap_or_default();
    let Some(password) =
        rest.strip_prefix("password=").filter(|_| digits.bytes().all(|it| it.is_ascii_digit()))
    else {
        return told(wrong());
    };
    let iterations = match number {
        None | Some("-1") => ITERATIONS,
        Some(number) => match number.parse() {
            Ok(number) => number,
            Err(_) => return told(format!("For input string: \"{number}\"")),
        },
    };
    if iterations < ITERATIONS_MIN {
        return told(format!(
            "Iterations {iterations} is less than the minimum {ITERATIONS_MIN} required for {}",
            hash.mechanism()
        ));
    }
    Ok((iterations, Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use super::{super::Failure, *};

    fn refused(value: &str) -> String {
        match credential(Hash::Sha256, value) {
            Err(Failure::Told(text)) => text,
            _ => panic!("{value} is not refused"),
        }
    }

    #[test]
    fn iterations_may_be_left_out() {
        for (value, expected, secret) in [
            ("password=pw", 4096, "pw"),
            ("iterations=-1,password=", 4096, ""),
            ("iterations=8192,password=a,b=c", 8192, "a,b=c"),
        ] {
            let Ok((iterations, password)) = credential(Hash::Sha256, value) else { panic!("{value}") };
            assert_eq!((iterations, password.reveal()), (expected, secret));
        }
    }

    #[test]
    fn what_is_no_credential_is_told_without_the_password() {
        assert_eq!(
            refused("iterations=8192,pass=sesame"),
            "Invalid credential property SCRAM-SHA-256=[hidden]"
        );
        assert_eq!(refused("sesame"), "Invalid credential property SCRAM-SHA-256=[hidden]");
        assert_eq!(
            refused("iterations=x,password=sesame"),
            "Invalid credential property SCRAM-SHA-256=[hidden]"
        );
        assert_eq!(refused("iterations=,password=p"), "For input string: \"\"");
        assert_eq!(
            refused("iterations=4095,password=p"),
            "Iterations 4095 is less than the minimum 4096 required for SCRAM-SHA-256"
        );
    }
}
