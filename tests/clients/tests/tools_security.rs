//! Our editions of Kafka's tools beside Apache Kafka's own, over TLS and SASL, on Apache Kafka's broker: ours has neither yet.

use corelane_client_tests::{Broker, KafkaBroker, Pair, Ran, ours};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{fs, path::Path, process::Command};

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

/// An authority of the test's own.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// A certificate for this name, with its key.
fn certified(name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    (params.signed_by(&key, authority).expect("signed"), key)
}

/// Files of one directory, by their paths.
struct Files(tempfile::TempDir);

impl Files {
    fn write(&self, name: &str, lines: &[&str]) -> String {
        let path = self.path(name);
        fs::write(&path, lines.join("\n")).expect("written");
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }
}

fn login(module: &str, user: &str, password: &str) -> String {
    format!("sasl.jaas.config={module} required username=\"{user}\" password=\"{password}\";")
}

/// Kafka with a listener for each protocol: SSL wants certificates of its clients, SASL_PLAINTEXT has every mechanism and short
/// sessions, SASL_SSL takes PLAIN only.
fn kafka(files: &Files, authority: &CertifiedIssuer<'static, KeyPair>) -> KafkaBroker {
    let (certificate, key) = certified("127.0.0.1", authority);
    let identity = files.write("server.pem", &[&key.serialize_pem(), &certificate.pem()]);
    let trust = files.write("ca.pem", &[&authority.pem()]);
    let mut settings = vec![
        "ssl.keystore.type=PEM".to_owned(),
        format!("ssl.keystore.location={identity}"),
        "ssl.truststore.type=PEM".to_owned(),
        format!("ssl.truststore.location={trust}"),
        "listener.name.ssl.ssl.client.auth=required".to_owned(),
        "listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned(),
        "listener.name.sasl_plaintext.connections.max.reauth.ms=1500".to_owned(),
        "listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN".to_owned(),
    ];
    for listener in ["sasl_plaintext", "sasl_ssl"] {
        let prefix = format!("listener.name.{listener}");
        settings.push(format!("{prefix}.plain.sasl.jaas.config={PLAIN} required user_ann=\"plain secret\";"));
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            settings.push(format!("{prefix}.{mechanism}.sasl.jaas.config={SCRAM} required;"));
        }
    }
    KafkaBroker::start(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], &settings)
}

/// A JVM's store with the certificate of a file in it.
fn keytool(certificate: &str, store: &str, kind: &str) {
    let arguments =
        ["-importcert", "-noprompt", "-alias", "ca", "-storepass", "changeit", "-storetype", kind];
    let output = Command::new("keytool")
        .args(arguments)
        .args(["-file", certificate, "-keystore", store])
        .output()
        .expect("keytool comes with java: run tests/install-clients");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_tools_speak_tls_and_sasl_as_kafkas_do() {
    let files = Files(tempfile::tempdir().expect("a temporary directory"));
    let authority = authority("friend");
    let broker = kafka(&files, &authority);
    let mut pair = Pair::start();
    credentials(&broker, &mut pair);
    let settings = settings(&files, &authority);
    for (protocol, config) in &settings {
        everyday(&broker, &mut pair, protocol, config);
    }
    refusals(&broker, &files, &mut pair);
    sessions(&broker, &settings[1].1);
    pair.finish();
}

/// The settings of clients that are let in, one for each protocol and each form that certificates come in.
fn settings(files: &Files, authority: &CertifiedIssuer<'static, KeyPair>) -> [(&'static str, String); 3] {
    let (certificate, key) = certified("client", authority);
    let in_a_line = |pem: String| pem.replace('\n', " ");
    let trusted = format!("ssl.truststore.certificates={}", in_a_line(authority.pem()));
    let mutual = files.write(
        "mutual.properties",
        &[
            "security.protocol=SSL",
            "ssl.truststore.type=PEM",
            &trusted,
            "ssl.keystore.type=PEM",
            &format!("ssl.keystore.key={}", in_a_line(key.serialize_pem())),
            &format!("ssl.keystore.certificate.chain={}", in_a_line(certificate.pem())),
        ],
    );
    let scram = files.write(
        "scram.properties",
        &[
            "security.protocol=SASL_PLAINTEXT",
            "sasl.mechanism=SCRAM-SHA-512",
            // Kafka's tools read Latin-1.
            &login(SCRAM, "bob,=", "gr\\u00f6\\u00dfer \\\\\"x"),
        ],
    );
    let store = files.path("trust.jks");
    keytool(&files.path("ca.pem"), &store, "PKCS12");
    let plain = files.write(
        "plain.properties",
        &[
            "security.protocol=SASL_SSL",
            // What everybody has in files that are older than PKCS12 in JVMs.
            "ssl.truststore.type=JKS",
            &format!("ssl.truststore.location={store}"),
            "ssl.truststore.password=changeit",
            "sasl.mechanism=PLAIN",
            &login(PLAIN, "ann", "plain secret"),
        ],
    );
    [("SSL", mutual), ("SASL_PLAINTEXT", scram), ("SASL_SSL", plain)]
}

/// Sets, shows and takes back users' credentials; leaves those that the settings name, set by our edition.
fn credentials(broker: &KafkaBroker, pair: &mut Pair) {
    let server = ["--bootstrap-server", broker.address("PLAINTEXT")];
    let on = |arguments: &[&'static str]| [&server[..], arguments].concat();
    let tool = "kafka-configs";
    // A user is altered once in a request.
    for add in ["SCRAM-SHA-256=[iterations=8192,password=pw]", "SCRAM-SHA-512=[password=pw]"] {
        pair.each(tool, &on(&["--alter", "--user", "{}", "--add-config", add]), ["eve-a", "eve-b"]);
    }
    let quota = ["--alter", "--user", "eve-a", "--add-config", "producer_byte_rate=1024000"];
    pair.same(tool, &on(&quota));
    pair.same(tool, &on(&["--describe", "--user", "eve-a"]));
    pair.same(tool, &on(&["--describe", "--user", "eve-b"]));
    pair.same_lines(tool, &on(&["--describe", "--entity-type", "users"]));
    pair.each(
        tool,
        &on(&["--alter", "--user", "{}", "--delete-config", "SCRAM-SHA-256"]),
        ["eve-a", "eve-b"],
    );
    pair.same(tool, &on(&["--describe", "--user", "eve-b"]));
    for arguments in [
        &["--alter", "--user", "eve-a", "--delete-config", "SCRAM-SHA-256"][..],
        &["--alter", "--user", "eve-a", "--add-config", "SCRAM-SHA-256=[iterations=100,password=pw]"],
        &["--alter", "--user-defaults", "--add-config", "SCRAM-SHA-256=[password=pw]"],
        &["--alter", "--user", "eve-a", "--add-config", "SCRAM-SHA-256=[password=pw],producer_byte_rate=1"],
        &["--alter", "--client", "shop", "--add-config", "SCRAM-SHA-256=[password=pw]"],
        &["--alter", "--user", "eve-a", "--delete-config", "SCRAM-SHA-512,producer_byte_rate"],
    ] {
        pair.same(tool, &on(arguments));
    }
    let many = ours(
        tool,
        &on(&[
            "--alter",
            "--user",
            "eve-a",
            "--add-config",
            "SCRAM-SHA-256=[iterations=99999,password=sesame]",
        ]),
        "",
    );
    assert!(many.code == 1 && many.err.contains("UnacceptableCredential"), "{many:?}");
    assert!(!many.err.contains("sesame"), "{many:?}");
    let bob = ["--alter", "--user", "bob,=", "--add-config", "SCRAM-SHA-512=[password=größer \"x]"];
    done(&ours(tool, &on(&bob), ""));
}

fn done(ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// What one does every day, over one protocol.
fn everyday(broker: &KafkaBroker, pair: &mut Pair, protocol: &str, config: &str) {
    let server = ["--bootstrap-server", broker.address(protocol), "--command-config", config];
    let (java, own) = (format!("{protocol}-java"), format!("{protocol}-own"));
    let create = [&server[..], &["--create", "--topic", "{}", "--partitions", "1"]].concat();
    pair.each("kafka-topics", &create, [&java, &own]);
    pair.same("kafka-topics", &[&server[..], &["--list"]].concat());
    pair.same("kafka-configs", &[&server[..], &["--describe", "--user", "eve-b"]].concat());
    let text = "one\ntwo\nthree\n";
    pair.same_with_input("kafka-console-producer", &[&server[..], &["--topic", &own]].concat(), text);
    let read = ["--topic", &own, "--from-beginning", "--max-messages", "6"];
    let read = pair.same("kafka-console-consumer", &[&server[..], &read].concat());
    assert_eq!(read.out, [text, text].concat());
}

/// Whom one of both ends does not believe.
fn refusals(broker: &KafkaBroker, files: &Files, pair: &mut Pair) {
    let trust = format!("ssl.truststore.location={}", files.path("ca.pem"));
    let stranger = files.write("stranger.pem", &[&authority("stranger").pem()]);
    let strange = format!("ssl.truststore.location={stranger}");
    let pem = "ssl.truststore.type=PEM";
    let short = "default.api.timeout.ms=1500\nrequest.timeout.ms=1000";
    let (plain, scram) = ("sasl.mechanism=PLAIN", "sasl.mechanism=SCRAM-SHA-256");
    let sasl = "security.protocol=SASL_PLAINTEXT";
    let both = "security.protocol=SASL_SSL";
    let ssl = "security.protocol=SSL";
    let (wrong, ann) = (login(PLAIN, "ann", "wrong sesame"), login(PLAIN, "ann", "plain secret"));
    let unknown = login(SCRAM, "nobody", "wrong sesame");
    let eve = login(SCRAM, "eve-a", "wrong sesame");
    let mut cases: Vec<(&str, &str, Vec<&str>)> = vec![
        ("wrong password", "SASL_PLAINTEXT", vec![sasl, plain, &wrong]),
        ("wrong password, SCRAM", "SASL_PLAINTEXT", vec![sasl, "sasl.mechanism=SCRAM-SHA-512", &eve]),
        ("nobody", "SASL_PLAINTEXT", vec![sasl, scram, &unknown]),
        ("mechanism", "SASL_SSL", vec![both, pem, &trust, scram, &eve]),
        ("issuer", "SASL_SSL", vec![both, pem, &strange, plain, &ann]),
        ("no certificate", "SSL", vec![ssl, pem, &trust]),
        ("no certificate, TLS 1.2", "SSL", vec![ssl, pem, &trust, "ssl.enabled.protocols=TLSv1.2"]),
        ("TLS where there is none", "PLAINTEXT", vec![ssl, pem, &trust, short]),
        ("SASL where there is none", "PLAINTEXT", vec![sasl, plain, &ann]),
        ("no SASL where there is some", "SASL_PLAINTEXT", vec![short]),
        ("no such protocol", "PLAINTEXT", vec!["security.protocol=TLS"]),
        ("no login", "PLAINTEXT", vec![sasl, plain]),
        ("no file", "PLAINTEXT", vec![ssl, "ssl.truststore.location=/nothing"]),
        ("password without a store", "PLAINTEXT", vec![ssl, "ssl.keystore.password=sesame"]),
    ];
    let ours_alone = ["TLS where there is some"];
    cases.push((ours_alone[0], "SSL", vec![short]));
    for (case, protocol, lines) in &cases {
        let config = files.write("refused.properties", lines);
        let server = ["--bootstrap-server", broker.address(protocol), "--command-config", &config];
        let list = [&server[..], &["--list"]].concat();
        if !ours_alone.contains(case) {
            pair.same("kafka-topics", &list);
        }
        let own = ours("kafka-topics", &list, "");
        assert!(own.code == 1 && !own.err.contains("sesame"), "{case}: {own:?}");
        let reason = match *case {
            "issuer" => "UnknownIssuer",
            "no certificate" => "BadCertificate",
            "TLS where there is some" => "security.protocol has to be SSL or SASL_SSL",
            "no file" => "No such file",
            _ => "",
        };
        assert!(own.err.contains(reason), "{case}: {own:?}");
    }
    // The broker calls itself 127.0.0.1.
    let elsewhere = broker.address("SASL_SSL").replace("127.0.0.1", "localhost");
    let config = files.write("refused.properties", &[both, pem, &trust, plain, &ann]);
    let server = ["--bootstrap-server", &elsewhere, "--command-config", &config];
    pair.same("kafka-topics", &[&server[..], &["--list"]].concat());
    let unchecked = "ssl.endpoint.identification.algorithm=";
    let config = files.write("unchecked.properties", &[both, pem, &trust, plain, &ann, unchecked]);
    let server = ["--bootstrap-server", &elsewhere, "--command-config", &config];
    pair.same("kafka-topics", &[&server[..], &["--list"]].concat());
    // Clients that keep state tell it in ways of their own.
    let config = files.write("wrong.properties", &[sasl, plain, &wrong]);
    let server = ["--bootstrap-server", broker.address("SASL_PLAINTEXT"), "--command-config", &config];
    pair.same_with_input("kafka-console-producer", &[&server[..], &["--topic", "x"]].concat(), "one\n");
    let read = ["--topic", "x", "--max-messages", "1", "--timeout-ms", "20000"];
    pair.same("kafka-console-consumer", &[&server[..], &read].concat());
    let store = files.path("old.jks");
    keytool(&files.path("ca.pem"), &store, "JKS");
    refuses_old_stores(broker, files, &store);
}

fn refuses_old_stores(broker: &KafkaBroker, files: &Files, store: &str) {
    assert!(Path::new(store).exists());
    let lines = ["security.protocol=SSL", &format!("ssl.truststore.location={store}")];
    let config = files.write("old.properties", &lines);
    let list = ["--bootstrap-server", broker.address("SSL"), "--command-config", &config, "--list"];
    let own = ours("kafka-topics", &list, "");
    assert!(own.code == 1 && own.err.contains("keytool -importkeystore"), "{own:?}");
}

/// The broker ends a connection whose client does not say again who it is within a second and a half; without another
/// attempt, what is under way at that moment would be lost.
fn sessions(broker: &KafkaBroker, config: &str) {
    let server = ["--bootstrap-server", broker.address("SASL_PLAINTEXT"), "--command-config", config];
    let load = [
        "--topic",
        "SASL_PLAINTEXT-own",
        "--num-records",
        "500",
        "--throughput",
        "100",
        "--record-size",
        "10",
    ];
    let once = ["--command-property", "retries=0", "enable.idempotence=false", "acks=1"];
    let sent = ours("kafka-producer-perf-test", &[&server[..], &load, &once].concat(), "");
    done(&sent);
    let summary = sent.out.lines().last().unwrap_or_default();
    assert!(summary.starts_with("500 records sent") && sent.err.is_empty(), "{sent:?}");
}

#[test]
fn a_broker_without_sasl_refuses_in_kafkas_words() {
    let broker = Broker::start();
    let server = ["--bootstrap-server", broker.address()];
    let mut pair = Pair::start();
    let delete = ["--alter", "--user", "ann", "--delete-config", "SCRAM-SHA-256"];
    let refused = pair.same("kafka-configs", &[&server[..], &delete].concat());
    assert_eq!(refused.code, 1, "{refused:?}");
    let own = ours("kafka-configs", &[&server[..], &delete].concat(), "");
    assert!(own.err.contains("UnsupportedVersionException: The node does not support"), "{own:?}");
    pair.finish();
    broker.stop();
}
