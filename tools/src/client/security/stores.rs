//! Where keys and certificates come from: `ssl.keystore.*` and `ssl.truststore.*`. PEM, in files and in the settings
//! themselves, and PKCS12, which is what `keytool` writes whatever the file is called. JKS proper is not read: what
//! converts it is said.

use super::Secret;
use crate::client::config::Properties;
use base64::{Engine, engine::general_purpose::STANDARD};
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy, PrivateKeyChain};
use pkcs8::{
    EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef,
    der::{Encode, asn1::OctetStringRef},
    spki::SubjectPublicKeyInfoRef,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer},
    server::ParsedCertificate,
};
use std::fs;

/// A certificate, those that vouch for it, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Who the client is (`ssl.keystore.*`), if anybody.
///
/// # Errors
/// In Kafka's words where it has some.
pub fn identity(properties: &Properties) -> Result<Option<Identity>, String> {
    let get = |name| properties.get(name);
    let store = (get("ssl.keystore.type").unwrap_or("JKS"), get("ssl.keystore.location"));
    let password = get("ssl.keystore.password");
    let key_password = get("ssl.key.password").map(Secret::new);
    match (get("ssl.keystore.key"), get("ssl.keystore.certificate.chain"), store, password) {
        (Some(_), _, (kind, _), _) if kind != "PEM" => {
            Err(format!("SSL private key can be specified only for PEM, but key store type is {kind}."))
        }
        (Some(_), None, ..) => {
            Err("SSL private key is specified, but certificate chain is not specified.".into())
        }
        (Some(_), _, (_, Some(_)), _) => {
            Err("Both SSL key store location and separate private key are specified.".into())
        }
        (Some(_), _, _, Some(_)) => Err(
            "SSL key store password cannot be specified with PEM format, only key password may be specified."
                .into(),
        ),
        (Some(key), Some(chain), ..) => pem_identity(key, chain, key_password.as_ref()).map(Some),
        (None, Some(_), ..) => {
            Err("SSL certificate chain is specified, but private key is not specified".into())
        }
        (None, None, ("PEM", Some(_)), Some(_)) => Err(
            "SSL key store password cannot be specified with PEM format, only key password may be specified"
                .into(),
        ),
        (None, None, ("PEM", Some(path)), None) => {
            let failed = |why| format!("Failed to load PEM SSL keystore {path}: {why}");
            let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            pem_identity(&text, &text, key_password.as_ref()).map(Some).map_err(failed)
        }
        (None, None, (_, None), Some(_)) => {
            Err("SSL key store is not specified, but key store password is specified.".into())
        }
        (None, None, (_, Some(_)), None) => {
            Err("SSL key store is specified, but key store password is not specified.".into())
        }
        (None, None, (kind, Some(path)), Some(password)) => {
            stored_identity(kind, path, &Secret::new(password)).map(Some)
        }
        (None, None, (_, None), None) => Ok(None),
    }
}

/// Whom the client trusts (`ssl.truststore.*`); `None` where nothing is said.
///
/// # Errors
/// In Kafka's words where it has some.
pub fn trusted(properties: &Properties) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    let get = |name| properties.get(name);
    let kind = get("ssl.truststore.type").unwrap_or("JKS");
    let (location, password) = (get("ssl.truststore.location"), get("ssl.truststore.password"));
    let has_no_password = || "SSL trust store password cannot be specified for PEM format.".to_owned();
    match (get("ssl.truststore.certificates"), location, password) {
        (Some(_), ..) if kind != "PEM" => Err(format!(
            "SSL trust store certs can be specified only for PEM, but trust store type is {kind}."
        )),
        (Some(_), Some(_), _) => {
            Err("Both SSL trust store location and separate trust certificates are specified.".into())
        }
        (Some(_), None, Some(_)) => Err(has_no_password()),
        (Some(text), None, None) => certificates(text).map(Some),
        (None, Some(_), Some(_)) if kind == "PEM" => Err(has_no_password()),
        (None, Some(path), None) if kind == "PEM" => {
            let failed = |why| format!("Failed to load PEM SSL keystore {path}: {why}");
            let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            certificates(&text).map(Some).map_err(failed)
        }
        (None, None, Some(_)) => {
            Err("SSL trust store is not specified, but trust store password is specified.".into())
        }
        (None, Some(path), password) => {
            let store = load(kind, path, &Secret::new(password.unwrap_or_default()))?;
            let taken = store.entries().filter_map(|(_, entry)| match entry {
                KeyStoreEntry::Certificate(certificate) => Some(certificate),
                // As Java: the certificate of a key is trusted, too.
                KeyStoreEntry::PrivateKeyChain(chain) => chain.certs().first(),
                KeyStoreEntry::Secret(_) => None,
            });
            let taken: Vec<_> = taken.map(|it| CertificateDer::from(it.as_der().to_vec())).collect();
            match taken.is_empty() {
                true => Err(format!(
                    "{path} holds no trusted certificate: keytool -importcert puts some in, openssl's -export does not"
                )),
                false => Ok(Some(taken)),
            }
        }
        (None, None, None) => Ok(None),
    }
}

fn stored_identity(kind: &str, path: &str, password: &Secret) -> Result<Identity, String> {
    let store = load(kind, path, password)?;
    let chain: Option<(&str, &PrivateKeyChain)> = store.private_key_chain();
    let (_, chain) = chain.ok_or_else(|| format!("{path} holds no private key with a certificate"))?;
    let certificates: Vec<_> =
        chain.certs().iter().map(|it| CertificateDer::from(it.as_der().to_vec())).collect();
    let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()).into();
    let key = with_public_half(&key, &certificates).unwrap_or(key);
    Ok((certificates, key))
}

/// `id-ecPublicKey` (RFC 5480).
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// A JVM leaves the public half out of a key on an elliptic curve (`ECPrivateKey`, RFC 5915), and ring does not take such a
/// key: the certificate has that half. `None` where nothing is to be added.
fn with_public_half(key: &PrivateKeyDer<'_>, chain: &[CertificateDer<'_>]) -> Option<PrivateKeyDer<'static>> {
    let PrivateKeyDer::Pkcs8(whole) = key else { return None };
    let info = PrivateKeyInfoRef::try_from(whole.secret_pkcs8_der()).ok()?;
    // Without a public half its length takes one byte, for each of the curves.
    let [0x30, length, fields @ ..] = info.private_key.as_bytes() else { return None };
    if info.algorithm.oid != ELLIPTIC || usize::from(*length) != fields.len() {
        return None;
    }
    let [0x02, 0x01, 0x01, 0x04, secret, after @ ..] = fields else { return None };
    if after.get(usize::from(*secret)..)?.contains(&0xa1) {
        return None;
    }
    let subject = ParsedCertificate::try_from(chain.first()?).ok()?.subject_public_key_info();
    let subject = SubjectPublicKeyInfoRef::try_from(subject.as_ref()).ok()?;
    let point = [&[0], subject.subject_public_key.as_bytes()?].concat();
    let public = tagged(0xa1, &tagged(0x03, &point));
    let completed = tagged(0x30, &[fields, &public].concat());
    let info = PrivateKeyInfoRef::new(info.algorithm, OctetStringRef::new(&completed).ok()?);
    Some(PrivatePkcs8KeyDer::from(info.to_der().ok()?).into())
}

/// A value of DER of at most 65535 bytes.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let [.., high, low] = value.len().to_be_bytes();
    let length: &[u8] = match (high, low) {
        (0, 0..128) => &[low],
        (0, _) => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag], length, value].concat()
}

/// A file of either of the types that a JVM takes for each other.
fn load(kind: &str, path: &str, password: &Secret) -> Result<KeyStore, String> {
    let failed = |why: &str| format!("Failed to load SSL keystore {path} of type {kind}: {why}");
    if !["JKS", "PKCS12"].iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Err(failed("these tools read PEM and PKCS12"));
    }
    let bytes = fs::read(path).map_err(|error| failed(&error.to_string()))?;
    if let [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] = bytes[..] {
        return Err(failed(&format!(
            "JKS itself is not read, but PKCS12 is: keytool -importkeystore -srckeystore {path} \
             -destkeystore {path}.p12 -deststoretype PKCS12"
        )));
    }
    KeyStore::from_pkcs12(&bytes, password.reveal(), Pkcs12ImportPolicy::Strict)
        .map_err(|error| failed(&format!("it is damaged, or the password is wrong ({error})")))
}

fn pem_identity(key: &str, chain: &str, password: Option<&Secret>) -> Result<Identity, String> {
    let keys: Vec<_> = blocks(key).filter(|(label, _)| label.ends_with("PRIVATE KEY")).collect();
    let (label, key) = match keys.len() {
        0 => return Err("No matching PRIVATE KEY entries in PEM file".into()),
        1 => keys.into_iter().next().ok_or_else(String::new)?,
        count => return Err(format!("Expected one private key, but found {count}")),
    };
    let key = key?;
    let key: PrivateKeyDer<'static> = match (label, password) {
        ("ENCRYPTED PRIVATE KEY", None) => {
            return Err("the private key is encrypted: ssl.key.password is needed".into());
        }
        ("ENCRYPTED PRIVATE KEY", Some(password)) => {
            let plain = EncryptedPrivateKeyInfoRef::try_from(&key[..])
                .and_then(|info| info.decrypt(password.reveal()))
                .map_err(|error| format!("the private key cannot be decrypted: {error}"))?;
            PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into()
        }
        ("RSA PRIVATE KEY", _) => PrivatePkcs1KeyDer::from(key).into(),
        ("EC PRIVATE KEY", _) => PrivateSec1KeyDer::from(key).into(),
        _ => PrivatePkcs8KeyDer::from(key).into(),
    };
    let chain = certificates(chain)?;
    let key = with_public_half(&key, &chain).unwrap_or(key);
    Ok((chain, key))
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = blocks(text).filter(|(label, _)| label.ends_with("CERTIFICATE"));
    let found: Vec<_> = found.map(|(_, bytes)| bytes.map(CertificateDer::from)).collect::<Result<_, _>>()?;
    match found.is_empty() {
        true => Err("No matching CERTIFICATE entries in PEM file".into()),
        false => Ok(found),
    }
}

/// The blocks of PEM with their labels. A block may stand on one line, as in a properties file, and anything may stand
/// between blocks: so Kafka reads them, where PEM proper is bound to lines.
fn blocks(text: &str) -> impl Iterator<Item = (&str, Result<Vec<u8>, String>)> {
    let block = |part: &'_ str| -> Option<(usize, usize, usize)> {
        let label = part.find("-----")?;
        let body = label + 5;
        let end = body + part[body..].find("-----END")?;
        Some((label, body, end))
    };
    text.split("-----BEGIN ").skip(1).filter_map(move |part| {
        let (label, body, end) = block(part)?;
        let lines = part[body..end].lines().filter(|line| !line.contains(':'));
        let letters: String = lines.flat_map(str::split_whitespace).collect();
        let bytes = STANDARD.decode(letters).map_err(|_| "a PEM entry is not base64".to_owned());
        Some((part[..label].trim(), bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::properties;

    /// Of no other use: made by `openssl pkcs8 -topk8 -v2 aes-256-cbc` for this test.
    const ENCRYPTED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY----- \
        MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhQAMPkosfDAwICCAAw \
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEBcBJSRnJOempmH/NYz3gFMEgZC+ \
        fQSshFD6BQ4OnK+DEdKK8pTUP7nProu85XeigIlJcFvcT17YM0rLY0u+sPSBii49 \
        ki1iT6CsOESpwYNQ0JFU8XLaUlZbGF1XuFHSpKJ/NcYW9MF3Xo7JZW5i84JNOGkd \
        EVPP0MfaC0q0jCD9Q7mQKYqDD0nDRZqhJQYvXX5CeYZ0JqblSYj3rW6r9qGi+fk= \
        -----END ENCRYPTED PRIVATE KEY-----";

    #[test]
    fn blocks_are_found_on_one_line_as_on_several() {
        let one = "-----BEGIN CERTIFICATE----- aGVs bG8= -----END CERTIFICATE-----";
        let several =
            "subject=x\n-----BEGIN CERTIFICATE-----\nComment: y\naGVs\r\nbG8=\n-----END CERTIFICATE-----\n";
        for text in [one, several] {
            let found: Vec<_> = blocks(text).collect();
            assert_eq!(found, [("CERTIFICATE", Ok(b"hello".to_vec()))], "{text}");
        }
        assert_eq!(certificates(&[one, several].concat()).expect("valid").len(), 2);
        assert!(certificates("-----BEGIN CERTIFICATE----- ! -----END CERTIFICATE-----").is_err());
        assert!(certificates("-----BEGIN CERTIFICATE----- aGVs").is_err());
    }

    #[test]
    fn settings_that_contradict_each_other_are_told_in_kafkas_words() {
        let key = |pairs: &[&str]| identity(&properties(pairs)).expect_err("refused");
        let trust = |pairs: &[&str]| trusted(&properties(pairs)).expect_err("refused");
        assert!(key(&["ssl.keystore.key=k"]).ends_with("only for PEM, but key store type is JKS."));
        assert!(key(&["ssl.keystore.type=PEM", "ssl.keystore.key=k"]).contains("chain is not specified"));
        assert!(key(&["ssl.keystore.location=/x"]).contains("password is not specified"));
        assert!(key(&["ssl.keystore.password=p"]).starts_with("SSL key store is not specified"));
        assert!(trust(&["ssl.truststore.password=p"]).starts_with("SSL trust store is not specified"));
        assert!(trust(&["ssl.truststore.certificates=c"]).contains("only for PEM"));
        assert!(identity(&properties(&[])).expect("nothing").is_none());
    }

    fn written(bytes: &[u8]) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("written");
        let path = file.path().to_str().expect("UTF-8").to_owned();
        (file, path)
    }

    #[test]
    fn a_pkcs12_store_is_read_whatever_its_type_is_called() {
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).expect("made");
        let certificate = p12_keystore::Certificate::from_der(made.cert.der()).expect("a certificate");
        let key = p12_keystore::PrivateKey::from_der(&made.signing_key.serialize_der()).expect("a key");
        let mut store = KeyStore::new();
        let chain = PrivateKeyChain::new(vec![1], key, [certificate.clone()]);
        store.add_entry("me", KeyStoreEntry::PrivateKeyChain(chain));
        let (_own, own) = written(&store.writer("sesame").write().expect("written"));
        let mut store = KeyStore::new();
        store.add_entry("ca", KeyStoreEntry::Certificate(certificate));
        let (_trust, trust) = written(&store.writer("sesame").write().expect("written"));
        for kind in ["JKS", "PKCS12", "pkcs12"] {
            let told = properties(&[
                &format!("ssl.keystore.location={own}"),
                &format!("ssl.truststore.location={trust}"),
                &format!("ssl.keystore.type={kind}"),
                &format!("ssl.truststore.type={kind}"),
                "ssl.keystore.password=sesame",
                "ssl.truststore.password=sesame",
            ]);
            let (chain, key) = identity(&told).expect("readable").expect("somebody");
            assert_eq!(chain, [made.cert.der().clone()]);
            assert_eq!(key.secret_der(), made.signing_key.serialize_der());
            assert_eq!(trusted(&told).expect("readable").expect("somebody"), [made.cert.der().clone()]);
        }
        // Java, too, trusts the certificate of a key.
        let mixed =
            properties(&[&format!("ssl.truststore.location={own}"), "ssl.truststore.password=sesame"]);
        assert_eq!(trusted(&mixed).expect("readable").expect("somebody").len(), 1);
        let wrong =
            properties(&[&format!("ssl.truststore.location={trust}"), "ssl.truststore.password=other"]);
        assert!(trusted(&wrong).expect_err("wrong password").contains("the password is wrong"));
    }

    #[test]
    fn a_key_of_a_jvm_gets_its_public_half_from_the_certificate() {
        use rcgen::PublicKeyData;
        use rustls::crypto::ring::sign::any_supported_type;
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
            let certificate =
                rcgen::CertificateParams::new([]).expect("no names").self_signed(&key).expect("signed");
            let chain = [certificate.der().clone()];
            let whole = key.serialize_der();
            let info = PrivateKeyInfoRef::try_from(&whole[..]).expect("a key");
            // Header, version and the secret itself: what a JVM writes.
            let inner = info.private_key.as_bytes();
            let start = inner.windows(3).position(|it| it == [2, 1, 1]).expect("a version");
            let fields = &inner[start..start + 5 + usize::from(inner[start + 4])];
            let half = tagged(0x30, fields);
            let half = PrivateKeyInfoRef::new(info.algorithm, OctetStringRef::new(&half).expect("short"));
            let half: PrivateKeyDer<'_> = PrivatePkcs8KeyDer::from(half.to_der().expect("encoded")).into();
            assert!(any_supported_type(&half).is_err());
            let completed = with_public_half(&half, &chain).expect("completed");
            let signer = any_supported_type(&completed).expect("a key that ring takes");
            let public = signer.public_key().expect("a public half");
            assert_eq!(public.as_ref(), key.subject_public_key_info());
            assert!(with_public_half(&completed, &chain).is_none());
        }
    }

    #[test]
    fn an_encrypted_key_is_read_with_its_password_only() {
        let text = ENCRYPTED_KEY;
        let told = |password: Option<&str>| {
            let mut told = properties(&["ssl.keystore.type=PEM"]);
            told.set("ssl.keystore.key", text);
            told.set(
                "ssl.keystore.certificate.chain",
                "-----BEGIN CERTIFICATE-----aGVsbG8=-----END CERTIFICATE-----",
            );
            password.into_iter().for_each(|password| told.set("ssl.key.password", password));
            identity(&told)
        };
        let (_, key) = told(Some("sesame")).expect("decrypted").expect("somebody");
        assert!(matches!(key, PrivateKeyDer::Pkcs8(_)));
        rcgen::KeyPair::try_from(key.secret_der()).expect("a private key");
        assert!(told(Some("other")).expect_err("wrong").starts_with("the private key cannot be decrypted"));
        assert!(told(None).expect_err("none").contains("ssl.key.password is needed"));
    }

    #[test]
    fn a_store_of_an_old_type_is_refused_with_what_converts_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).expect("written");
        let path = format!("ssl.truststore.location={}", file.path().display());
        let told = trusted(&properties(&[&path])).expect_err("JKS");
        assert!(told.contains("keytool -importkeystore -srckeystore"), "{told}");
        std::fs::write(file.path(), b"anything").expect("written");
        let told = trusted(&properties(&[&path, "ssl.truststore.password=sesame"])).expect_err("nonsense");
        assert!(told.contains("damaged") && !told.contains("sesame"), "{told}");
    }
}
