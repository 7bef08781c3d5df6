//! TLS, SASL, access control and clients' quotas, which are not built yet; throttled replication.

use super::reason::ONE_DIRECTORY;

rows! {
    "alter.log.dirs.replication.quota.window.num": Int = Some("11"),
        AtLeast(1),
        ReadOnly, Refused("quotas") =>
        "How many samples of the quota on moves between directories are kept.";
    "alter.log.dirs.replication.quota.window.size.seconds": Int = Some("1"),
        AtLeast(1),
        ReadOnly, Refused("quotas") =>
        "How long a sample of the quota on moves between directories lasts.";
    "authorizer.class.name": String = Some(""), Any, ReadOnly, Refused("access control") =>
        "The class that decides who may do what.";
    "client.quota.callback.class": Class = None, Any, ReadOnly, Refused("quotas") =>
        "A class that decides clients' quotas.";
    "connection.failed.authentication.delay.ms": Int = Some("100"), AtLeast(0), ReadOnly, Refused("SASL") =>
        "How long the closing of a connection is delayed after a failed authentication.";
    "connections.max.reauth.ms": Long = Some("0"), Any, ReadOnly, Refused("SASL") =>
        "After how long a SASL connection must authenticate again.";
    "controller.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Refused("quotas") =>
        "How many samples of the quota on controller mutations are kept.";
    "controller.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Refused("quotas") =>
        "How long a sample of the quota on controller mutations lasts.";
    "delegation.token.expiry.check.interval.ms": Long = Some("3600000"),
        AtLeast(1),
        ReadOnly, Refused("SASL") =>
        "How often expired delegation tokens are looked for.";
    "delegation.token.expiry.time.ms": Long = Some("86400000"), AtLeast(1), ReadOnly, Refused("SASL") =>
        "For how long a delegation token is valid until it is renewed.";
    "delegation.token.max.lifetime.ms": Long = Some("604800000"), AtLeast(1), ReadOnly, Refused("SASL") =>
        "How long a delegation token can live, renewed or not.";
    "delegation.token.secret.key": Password = None, Any, ReadOnly, Refused("SASL") =>
        "The secret with which delegation tokens are made.";
    "follower.replication.throttled.rate": Long = Some("9223372036854775807"), AtLeast(0), Dynamic, Honoured =>
        "Bytes per second that this broker fetches at most of the replicas in follower.replication.throttled.replicas.";
    "leader.replication.throttled.rate": Long = Some("9223372036854775807"), AtLeast(0), Dynamic, Honoured =>
        "Bytes per second that this broker sends at most of the replicas in leader.replication.throttled.replicas.";
    "principal.builder.class": Class = Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
        Any,
        PerBroker, Refused("access control") =>
        "The class that names the principal of a connection.";
    "quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Refused("quotas") =>
        "How many samples of client quotas are kept.";
    "quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Refused("quotas") =>
        "How long a sample of client quotas lasts.";
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = Some("9223372036854775807"),
        AtLeast(0),
        Dynamic, Without(ONE_DIRECTORY) =>
        "Bytes per second that are copied at most between this broker's log directories.";
    "replication.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Honoured =>
        "How many samples of what throttled replicas move are kept.";
    "replication.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Honoured =>
        "How long a sample of what throttled replicas move lasts.";
    "sasl.client.callback.handler.class": Class = None, Any, ReadOnly, Refused("SASL") =>
        "The class that answers SASL callbacks of this broker as a client.";
    "sasl.enabled.mechanisms": List = Some("GSSAPI"), Any, PerBroker, Refused("SASL") =>
        "The SASL mechanisms offered.";
    "sasl.jaas.config": Password = None, Any, PerBroker, Refused("SASL") =>
        "JAAS login contexts of SASL connections.";
    "sasl.kerberos.kinit.cmd": String = Some("/usr/bin/kinit"), Any, PerBroker, Refused("SASL") =>
        "Where kinit is.";
    "sasl.kerberos.min.time.before.relogin": Long = Some("60000"), Any, PerBroker, Refused("SASL") =>
        "How long a Kerberos login waits before its renewal is tried.";
    "sasl.kerberos.principal.to.local.rules": List = Some("DEFAULT"), Any, PerBroker, Refused("SASL") =>
        "How Kerberos principals become short names.";
    "sasl.kerberos.service.name": String = None, Any, PerBroker, Refused("SASL") =>
        "The Kerberos principal of the service.";
    "sasl.kerberos.ticket.renew.jitter": Double = Some("0.05"), Any, PerBroker, Refused("SASL") =>
        "By how much the renewal of a ticket is varied.";
    "sasl.kerberos.ticket.renew.window.factor": Double = Some("0.8"), Any, PerBroker, Refused("SASL") =>
        "After which share of a ticket's lifetime it is renewed.";
    "sasl.login.callback.handler.class": Class = None, Any, ReadOnly, Refused("SASL") =>
        "The class that answers SASL login callbacks.";
    "sasl.login.class": Class = None, Any, ReadOnly, Refused("SASL") =>
        "The class that logs in.";
    "sasl.login.connect.timeout.ms": Int = None, Any, ReadOnly, Refused("SASL") =>
        "How long a connection to the login provider may take to open.";
    "sasl.login.read.timeout.ms": Int = None, Any, ReadOnly, Refused("SASL") =>
        "How long the login provider may take to answer.";
    "sasl.login.refresh.buffer.seconds": Short = Some("300"), Any, PerBroker, Refused("SASL") =>
        "How long before its end a credential is renewed at the latest.";
    "sasl.login.refresh.min.period.seconds": Short = Some("60"), Any, PerBroker, Refused("SASL") =>
        "How long lies between two renewals of a credential at least.";
    "sasl.login.refresh.window.factor": Double = Some("0.8"), Any, PerBroker, Refused("SASL") =>
        "After which share of its lifetime a credential is renewed.";
    "sasl.login.refresh.window.jitter": Double = Some("0.05"), Any, PerBroker, Refused("SASL") =>
        "By how much the renewal of a credential is varied.";
    "sasl.login.retry.backoff.max.ms": Long = Some("10000"), Any, ReadOnly, Refused("SASL") =>
        "The longest wait before a failed login is tried again.";
    "sasl.login.retry.backoff.ms": Long = Some("100"), Any, ReadOnly, Refused("SASL") =>
        "How long a failed login waits before it is tried again.";
    "sasl.mechanism.controller.protocol": String = Some("GSSAPI"), Any, ReadOnly, Refused("SASL") =>
        "The SASL mechanism used with controllers.";
    "sasl.mechanism.inter.broker.protocol": String = Some("GSSAPI"), Any, PerBroker, Refused("SASL") =>
        "The SASL mechanism used between brokers.";
    "sasl.oauthbearer.assertion.algorithm": String = Some("RS256"),
        OneOfAnyCase(&["ES256", "RS256"]),
        ReadOnly, Refused("SASL") =>
        "The algorithm that signs an OAuth client's assertion.";
    "sasl.oauthbearer.assertion.claim.aud": String = None, Any, ReadOnly, Refused("SASL") =>
        "The audience of an OAuth client's assertion.";
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = Some("300"),
        Between(0, 86400),
        ReadOnly, Refused("SASL") =>
        "For how long an OAuth client's assertion is valid.";
    "sasl.oauthbearer.assertion.claim.iss": String = None, Any, ReadOnly, Refused("SASL") =>
        "The issuer of an OAuth client's assertion.";
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean = Some("false"), Any, ReadOnly, Refused("SASL") =>
        "Whether an OAuth client's assertion bears an id of its own.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = Some("60"),
        Between(0, 3600),
        ReadOnly, Refused("SASL") =>
        "How far before its making an OAuth client's assertion is valid.";
    "sasl.oauthbearer.assertion.claim.sub": String = None, Any, ReadOnly, Refused("SASL") =>
        "The subject of an OAuth client's assertion.";
    "sasl.oauthbearer.assertion.file": String = None, Any, ReadOnly, Refused("SASL") =>
        "A file that holds an OAuth client's assertion ready made.";
    "sasl.oauthbearer.assertion.private.key.file": String = None, Any, ReadOnly, Refused("SASL") =>
        "The file of the key that signs an OAuth client's assertion.";
    "sasl.oauthbearer.assertion.private.key.passphrase": Password = None, Any, ReadOnly, Refused("SASL") =>
        "The passphrase of the key that signs an OAuth client's assertion.";
    "sasl.oauthbearer.assertion.template.file": String = None, Any, ReadOnly, Refused("SASL") =>
        "A file from which OAuth clients' assertions are made.";
    "sasl.oauthbearer.client.credentials.client.id": String = None, Any, ReadOnly, Refused("SASL") =>
        "The client id of the OAuth client credentials grant.";
    "sasl.oauthbearer.client.credentials.client.secret": Password = None, Any, ReadOnly, Refused("SASL") =>
        "The client secret of the OAuth client credentials grant.";
    "sasl.oauthbearer.clock.skew.seconds": Int = Some("30"), Any, ReadOnly, Refused("SASL") =>
        "By how much the clocks of an OAuth provider and of this broker may differ.";
    "sasl.oauthbearer.expected.audience": List = Some(""), Any, ReadOnly, Refused("SASL") =>
        "The audiences of which an OAuth token must name one.";
    "sasl.oauthbearer.expected.issuer": String = None, Any, ReadOnly, Refused("SASL") =>
        "The issuer that an OAuth token must name.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = Some("3600000"), Any, ReadOnly, Refused("SASL") =>
        "How often the OAuth provider's keys are fetched.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = Some("10000"),
        Any,
        ReadOnly, Refused("SASL") =>
        "The longest wait before the OAuth provider's keys are fetched again after failures.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = Some("100"), Any, ReadOnly, Refused("SASL") =>
        "How long a failed fetch of the OAuth provider's keys waits before its repetition.";
    "sasl.oauthbearer.jwks.endpoint.url": String = None, Any, ReadOnly, Refused("SASL") =>
        "Where the OAuth provider's keys are.";
    "sasl.oauthbearer.jwt.retriever.class": Class = Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"),
        Any,
        ReadOnly, Refused("SASL") =>
        "The class that fetches OAuth tokens.";
    "sasl.oauthbearer.jwt.validator.class": Class = Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"),
        Any,
        ReadOnly, Refused("SASL") =>
        "The class that checks OAuth tokens.";
    "sasl.oauthbearer.scope": String = None, Any, ReadOnly, Refused("SASL") =>
        "The scope an OAuth client asks for.";
    "sasl.oauthbearer.scope.claim.name": String = Some("scope"), Any, ReadOnly, Refused("SASL") =>
        "The claim of an OAuth token that holds its scope.";
    "sasl.oauthbearer.sub.claim.name": String = Some("sub"), Any, ReadOnly, Refused("SASL") =>
        "The claim of an OAuth token that holds its subject.";
    "sasl.oauthbearer.token.endpoint.url": String = None, Any, ReadOnly, Refused("SASL") =>
        "Where OAuth tokens are issued.";
    "sasl.server.callback.handler.class": Class = None, Any, ReadOnly, Refused("SASL") =>
        "The class that answers SASL callbacks of this broker as a server.";
    "sasl.server.max.receive.size": Int = Some("524288"), Any, ReadOnly, Refused("SASL") =>
        "The largest SASL message read before a connection is authenticated.";
    "security.inter.broker.protocol": String = Some("PLAINTEXT"),
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        ReadOnly, Refused("SASL") =>
        "The security protocol between brokers; only PLAINTEXT is served.";
    "security.providers": String = None, Any, ReadOnly, Refused("TLS") =>
        "Java security providers to register.";
    "ssl.allow.dn.changes": Boolean = Some("false"), Any, ReadOnly, Refused("TLS") =>
        "Whether a reloaded certificate may bear another distinguished name.";
    "ssl.allow.san.changes": Boolean = Some("false"), Any, ReadOnly, Refused("TLS") =>
        "Whether a reloaded certificate may bear other alternative names.";
    "ssl.cipher.suites": List = Some(""), Any, PerBroker, Refused("TLS") =>
        "The TLS cipher suites offered.";
    "ssl.client.auth": String = Some("none"),
        OneOf(&["required", "requested", "none"]),
        PerBroker, Refused("TLS") =>
        "Whether clients must show a certificate.";
    "ssl.enabled.protocols": List = Some("TLSv1.2,TLSv1.3"), Any, PerBroker, Refused("TLS") =>
        "The TLS versions offered.";
    "ssl.endpoint.identification.algorithm": String = Some("https"), Any, PerBroker, Refused("TLS") =>
        "How a server's name is held against its certificate.";
    "ssl.engine.factory.class": Class = None, Any, PerBroker, Refused("TLS") =>
        "The class that makes TLS engines.";
    "ssl.key.password": Password = None, Any, PerBroker, Refused("TLS") =>
        "The password of the private key.";
    "ssl.keymanager.algorithm": String = Some("SunX509"), Any, PerBroker, Refused("TLS") =>
        "The algorithm of the key manager.";
    "ssl.keystore.certificate.chain": Password = None, Any, PerBroker, Refused("TLS") =>
        "The certificate chain, as PEM.";
    "ssl.keystore.key": Password = None, Any, PerBroker, Refused("TLS") =>
        "The private key, as PEM.";
    "ssl.keystore.location": String = None, Any, PerBroker, Refused("TLS") =>
        "The file of the key store.";
    "ssl.keystore.password": Password = None, Any, PerBroker, Refused("TLS") =>
        "The password of the key store.";
    "ssl.keystore.type": String = Some("JKS"), Any, PerBroker, Refused("TLS") =>
        "The format of the key store.";
    "ssl.principal.mapping.rules": String = Some("DEFAULT"), Any, ReadOnly, Refused("TLS") =>
        "How certificates' names become principals.";
    "ssl.protocol": String = Some("TLSv1.3"), Any, PerBroker, Refused("TLS") =>
        "The TLS version of the context.";
    "ssl.provider": String = None, Any, PerBroker, Refused("TLS") =>
        "The TLS provider.";
    "ssl.secure.random.implementation": String = None, Any, PerBroker, Refused("TLS") =>
        "The random number generator of TLS.";
    "ssl.trustmanager.algorithm": String = Some("PKIX"), Any, PerBroker, Refused("TLS") =>
        "The algorithm of the trust manager.";
    "ssl.truststore.certificates": Password = None, Any, PerBroker, Refused("TLS") =>
        "The trusted certificates, as PEM.";
    "ssl.truststore.location": String = None, Any, PerBroker, Refused("TLS") =>
        "The file of the trust store.";
    "ssl.truststore.password": Password = None, Any, PerBroker, Refused("TLS") =>
        "The password of the trust store.";
    "ssl.truststore.type": String = Some("JKS"), Any, PerBroker, Refused("TLS") =>
        "The format of the trust store.";
}
