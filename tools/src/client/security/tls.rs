//! TLS by rustls, with ring's ciphers, from the settings under `ssl.`.

use super::{refuse_classes, stores};
use crate::client::config::Properties;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    version::{TLS12, TLS13},
};
use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

/// How connections are encrypted.
pub struct Tls(Arc<ClientConfig>);

/// Keys are nobody's business.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads the settings and the files that they name. Without a trust store it trusts whom the system trusts
    /// (`SSL_CERT_FILE`, `SSL_CERT_DIR`, or where the distribution keeps its certificates), as a JVM trusts its `cacerts`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(properties: &Properties) -> Result<Tls, String> {
        refuse_classes(properties, &["ssl.engine.factory.class", "ssl.provider", "security.providers"])?;
        let mut provider = ring::default_provider();
        keep_suites(&mut provider, properties.get("ssl.cipher.suites").unwrap_or_default())?;
        let algorithms = provider.signature_verification_algorithms;
        let checks_names = match properties.get("ssl.endpoint.identification.algorithm").map(str::trim) {
            None => true,
            Some(name) if name.eq_ignore_ascii_case("https") => true,
            Some("") => false,
            Some(name) => return Err(format!("Unknown identification algorithm: {name}")),
        };
        let anchors = match stores::trusted(properties)? {
            Some(anchors) => anchors,
            None => system_roots()?,
        };
        let mut roots = RootCertStore::empty();
        if let (0, _) = roots.add_parsable_certificates(anchors.iter().cloned()) {
            return Err("the trust store holds no certificate that can be read".into());
        }
        let verifier = Verifier { roots, anchors, checks_names, algorithms };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions(properties)?)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match stores::identity(properties)? {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the private key or certificate cannot be used: {error}"))?,
            None => builder.with_no_client_auth(),
        };
        Ok(Tls(Arc::new(config)))
    }

    /// Shakes hands with whoever is at the other end of the socket.
    ///
    /// # Errors
    /// Those of the socket; those of TLS hold a [`rustls::Error`].
    pub fn connect(&self, host: &str, socket: TcpStream, limit: Duration) -> io::Result<Transport> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let wrong = |error| io::Error::new(ErrorKind::InvalidData, error);
        let mut session = ClientConnection::new(Arc::clone(&self.0), name).map_err(wrong)?;
        let deadline = Instant::now() + limit;
        let mut stream = &socket;
        while session.is_handshaking() || session.wants_write() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if session.wants_write() {
                socket.set_write_timeout(Some(left))?;
                session.write_tls(&mut stream)?;
                continue;
            }
            socket.set_read_timeout(Some(left))?;
            match session.read_tls(&mut stream) {
                Ok(0) => {
                    let why = "the other side ended the handshake; does its listener speak TLS?";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
                }
                // The loop looks at the time again.
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                    continue;
                }
                read => read?,
            };
            if let Err(error) = session.process_new_packets() {
                // The other side is told why, if it still listens.
                let _ = session.write_tls(&mut stream);
                return Err(wrong(error));
            }
        }
        Ok(Transport::Tls(Box::new(StreamOwned::new(session, socket))))
    }
}

/// `ssl.enabled.protocols` as far as they are still safe; `ssl.protocol` may say less only by being unknown.
fn versions(properties: &Properties) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let protocol = properties.get("ssl.protocol").unwrap_or("TLSv1.3");
    if !["TLS", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"].contains(&protocol) {
        return Err(format!("{protocol} SSLContext not available (ssl.protocol)"));
    }
    let enabled = properties.get("ssl.enabled.protocols").unwrap_or("TLSv1.2,TLSv1.3");
    let names: Vec<&str> = list(enabled).collect();
    let known = [("TLSv1.3", &TLS13), ("TLSv1.2", &TLS12)];
    let wanted = known.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    let versions: Vec<_> = wanted.map(|(_, version)| version).collect();
    match versions.is_empty() {
        true => Err(format!("ssl.enabled.protocols={enabled}: these tools speak TLSv1.2 and TLSv1.3")),
        false => Ok(versions),
    }
}

/// `ssl.cipher.suites` by their names in Java; those that ring does not have are left out, as long as one is left.
fn keep_suites(provider: &mut CryptoProvider, setting: &str) -> Result<(), String> {
    let names: Vec<&str> = list(setting).collect();
    if names.is_empty() {
        return Ok(());
    }
    let name =
        |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
    let known = provider.cipher_suites.iter().map(name).collect::<Vec<_>>().join(", ");
    provider.cipher_suites.retain(|suite| names.contains(&name(suite).as_str()));
    match provider.cipher_suites.is_empty() {
        true => Err(format!("none of ssl.cipher.suites is known to these tools, which have {known}")),
        false => Ok(()),
    }
}

fn list(setting: &str) -> impl Iterator<Item = &str> {
    setting.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "the system has no trusted certificates{why}: install ca-certificates or set ssl.truststore.location"
        ));
    }
    Ok(found.certs)
}

/// Trusts as Java's does: a chain to an anchor, or a server's certificate that is itself an anchor, and names only where
/// they are to be checked.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    anchors: Vec<CertificateDer<'static>>,
    checks_names: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        match verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        ) {
            // openssl's `req -x509` marks what it signs by itself as an authority; webpki takes no such for a server. Times
            // have errors of their own, and were looked at before.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.anchors.iter().any(|anchor| anchor == end_entity) => {}
            verified => verified?,
        }
        if self.checks_names {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What bytes travel by.
pub enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Transport {
    /// The socket, to wait on and for its settings.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => &stream.sock,
        }
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// As [`Write::write_all`].
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.write_all(bytes),
            Transport::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    /// Reads what is there, as the socket's settings say.
    ///
    /// # Errors
    /// As [`Read::read`].
    pub fn receive(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(chunk),
            Transport::Tls(stream) => stream.read(chunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::properties;

    struct Made {
        authority: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
        server: (rcgen::Certificate, rcgen::KeyPair),
    }

    /// An authority, and a server's certificate of it for this name.
    fn made(name: &str) -> Made {
        let mut own = rcgen::CertificateParams::new([]).expect("no names");
        own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        own.distinguished_name.push(rcgen::DnType::CommonName, format!("who vouches for {name}"));
        let key = rcgen::KeyPair::generate().expect("a key");
        let authority = rcgen::CertifiedIssuer::self_signed(own, key).expect("signed");
        let key = rcgen::KeyPair::generate().expect("a key");
        let server = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        let server = server.signed_by(&key, &authority).expect("signed");
        Made { authority, server: (server, key) }
    }

    /// What a client with these settings finds at a server that answers one byte to each, or why it does not.
    fn connect(chain: &[&rcgen::Certificate], key: &rcgen::KeyPair, pairs: &[&str]) -> Result<u8, String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let chain = chain.iter().map(|it| it.der().clone()).collect();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key.into())
            .expect("a server");
        let address = listener.local_addr().expect("bound");
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            let mut session = rustls::ServerConnection::new(Arc::new(config)).expect("a session");
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let mut byte = [0];
            // Whoever does not trust the server says nothing.
            if stream.read_exact(&mut byte).is_ok() {
                stream.write_all(&[byte[0] + 1]).expect("sent");
            }
        });
        let limit = Duration::from_secs(60);
        let tls = Tls::read(&properties(pairs))?;
        let socket = TcpStream::connect(address).expect("connected");
        let answer =
            tls.connect("localhost", socket, limit).map_err(|error| error.to_string()).map(|mut it| {
                it.socket().set_read_timeout(Some(limit)).expect("set");
                it.send(&[41]).expect("sent");
                let mut byte = [0];
                assert_eq!(it.receive(&mut byte).expect("an answer"), 1);
                byte[0]
            });
        server.join().expect("the server does not panic");
        answer
    }

    #[test]
    fn a_server_is_believed_with_a_chain_to_an_anchor_and_the_right_name() {
        let right = made("localhost");
        let other = made("elsewhere");
        let pem = |made: &Made| format!("ssl.truststore.certificates={}", made.authority.pem());
        let kind = "ssl.truststore.type=PEM";
        let (certificate, key) = &right.server;
        assert_eq!(connect(&[certificate], key, &[kind, &pem(&right)]), Ok(42));
        let told = connect(&[certificate], key, &[kind, &pem(&other)]).expect_err("not trusted");
        assert!(told.contains("UnknownIssuer"), "{told}");
        let (certificate, key) = &other.server;
        let told = connect(&[certificate], key, &[kind, &pem(&other)]).expect_err("another name");
        assert!(told.contains("not valid for name"), "{told}");
        let unchecked = "ssl.endpoint.identification.algorithm=";
        assert_eq!(connect(&[certificate], key, &[kind, &pem(&other), unchecked]), Ok(42));
        let old = "ssl.enabled.protocols=TLSv1.2";
        assert_eq!(connect(&[certificate], key, &[kind, &pem(&other), unchecked, old]), Ok(42));
    }

    #[test]
    fn a_server_whose_certificate_is_an_anchor_itself_is_believed() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut own = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = own.self_signed(&key).expect("signed");
        let trust = |pem: &str| format!("ssl.truststore.certificates={pem}");
        let kind = "ssl.truststore.type=PEM";
        assert_eq!(connect(&[&certificate], &key, &[kind, &trust(&certificate.pem())]), Ok(42));
        // The same name and key do not make it the same certificate.
        own.serial_number = Some(7.into());
        let twin = own.self_signed(&key).expect("signed");
        assert!(connect(&[&twin], &key, &[kind, &trust(&certificate.pem())]).is_err());
        own.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let expired = own.self_signed(&key).expect("signed");
        let told = connect(&[&expired], &key, &[kind, &trust(&expired.pem())]).expect_err("expired");
        assert!(told.contains("expired"), "{told}");
    }

    #[test]
    fn versions_of_old_are_left_out_and_not_enough() {
        let read = |setting: &str| versions(&properties(&[&format!("ssl.enabled.protocols={setting}")]));
        let seen = |setting: &str| {
            let versions = read(setting).expect("some");
            versions.iter().map(|version| format!("{:?}", version.version)).collect::<Vec<_>>()
        };
        assert_eq!(seen("TLSv1.2, TLSv1.1"), ["TLSv1_2"]);
        assert_eq!(seen("TLSv1.2,TLSv1.3"), ["TLSv1_3", "TLSv1_2"]);
        assert!(read("TLSv1").expect_err("too old").contains("TLSv1.2 and TLSv1.3"));
        assert!(versions(&properties(&["ssl.protocol=SSLv9"])).is_err());
    }

    #[test]
    fn cipher_suites_go_by_their_names_in_java() {
        let kept = |setting: &str| {
            let mut provider = ring::default_provider();
            keep_suites(&mut provider, setting).map(|()| provider.cipher_suites.len())
        };
        assert_eq!(kept("TLS_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_128_CBC_SHA"), Ok(1));
        assert_eq!(kept("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384"), Ok(2));
        assert!(kept("TLS_RSA_WITH_AES_128_CBC_SHA").expect_err("none").contains("TLS_AES_128_GCM_SHA256"));
        assert_eq!(kept(""), Ok(ring::default_provider().cipher_suites.len()));
    }
}
