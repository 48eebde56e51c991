//! Keys of recovery, as Secrets in the system namespace: the control plane's signing key, the departments' keys, and what is known of
//! each repository. None of them stands in a spec, a status, an Event or a log.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::{BASE64, HEXLOWER};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use zhengyun_crds::marks;
use zhengyun_crds::recovery::{DrillRecord, SignatureAlgorithm};

use super::Context;
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub::is_conflict;

/// Secret with the key that signs chains.
const SIGNING: &str = "recovery-signing-key";
/// Key of a Secret that holds a key.
const KEY: &str = "key";
/// Field manager of what is written here.
const MANAGER: &str = "zhengyun-operator-recovery";

/// What is known of a repository from when it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Who signs it.
    pub public_key: String,
    /// The last head of its chain that was seen, as JSON: with it an old copy of the repository shows.
    pub known_head: String,
    /// Name of the key that opens it with the escrow password.
    pub escrow_key: String,
    /// How large it was when that was last measured; none before its first backup.
    pub measured: Option<Measured>,
    /// As which version of its Secret it was read; none before there is one.
    pub version: Option<String>,
}

/// The size of a repository, and when it was measured: by the number of the last link of its chain, which never falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Number of that link.
    pub link: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Measured {
    /// The later one of two; of two at the same link the larger one, for nobody knows which came last.
    pub fn later(known: Option<Self>, new: Self) -> Self {
        match known {
            Some(known) if (known.link, known.bytes) > (new.link, new.bytes) => known,
            _ => new,
        }
    }
}

impl Repository {
    /// Fingerprint of the password key, for whoever puts it into a safe place. The format of the repository names a key after the
    /// SHA-256 of its file.
    pub fn fingerprint(&self) -> Option<String> {
        let hex = self.escrow_key.len() == 64 && self.escrow_key.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| format!("sha256:{}", self.escrow_key))
    }
}

fn secrets(context: &Context) -> Api<Secret> {
    context.namespaced(marks::SYSTEM_NAMESPACE)
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone()).ok()
}

/// The control plane's signing key; made when it is needed for the first time.
pub async fn signing(context: &Context) -> Result<SecretString, ReconcileError> {
    let api = secrets(context);
    for _ in 0..2 {
        if let Some(secret) = api.get_opt(SIGNING).await? {
            return text(&secret, KEY).map(SecretString::from).ok_or_else(|| {
                ReconcileError::Transient(format!(
                    "Secret {SIGNING} in {} has no key {KEY}: bring it back from your backup of the hub; no chain can be continued with another one",
                    marks::SYSTEM_NAMESPACE
                ))
            });
        }
        let pem = generate()?;
        let secret = Secret {
            metadata: kube::api::ObjectMeta { name: Some(SIGNING.to_owned()), ..Default::default() },
            data: Some([(KEY.to_owned(), ByteString(pem.into_bytes()))].into()),
            ..Default::default()
        };
        match api.create(&PostParams::default(), &secret).await {
            Err(error) if !is_conflict(&error) => return Err(error.into()),
            _ => {}
        }
    }
    Err(ReconcileError::Stale(format!("Secret {SIGNING} comes and goes")))
}

fn generate() -> Result<String, ReconcileError> {
    let broken =
        |_| ReconcileError::Transient("no signing key could be made: the system has no random bytes".to_owned());
    let der = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).map_err(broken)?;
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in BASE64.encode(der.as_ref()).as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// Signs a record with the control plane's key. What is signed is the text itself, so nobody has to write JSON the same way again.
pub async fn sign(context: &Context, statement: String) -> Result<DrillRecord, ReconcileError> {
    signed(signing(context).await?.expose_secret(), statement).ok_or_else(|| {
        ReconcileError::Transient(format!(
            "Secret {SIGNING} in {} holds no Ed25519 key as PKCS#8 in PEM: bring it back from your backup of the hub",
            marks::SYSTEM_NAMESPACE
        ))
    })
}

fn signed(pem: &str, statement: String) -> Option<DrillRecord> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&BASE64.decode(body.as_bytes()).ok()?).ok()?;
    Some(DrillRecord {
        digest: format!("sha256:{}", HEXLOWER.encode(digest(&SHA256, statement.as_bytes()).as_ref())),
        algorithm: SignatureAlgorithm::Ed25519Sha256,
        key: format!("ed25519 {}", BASE64.encode(key.public_key().as_ref())),
        signature: BASE64.encode(key.sign(statement.as_bytes()).as_ref()),
        statement,
    })
}

/// The key of a department, from the Secret that its plan names; or why it cannot be used.
///
/// A plan is written by the department, so it could name any Secret of the system namespace: only one that an administrator marked as
/// this department's is read.
pub async fn department(
    context: &Context,
    name: &str,
    department: &str,
) -> Result<Result<SecretString, String>, ReconcileError> {
    let fix = format!(
        "the cloud administrator makes it: kubectl --namespace {} create secret generic {name} --from-literal=key=$(head -c 32 /dev/urandom | base64), and marks it: kubectl --namespace {} label secret {name} {}={department}",
        marks::SYSTEM_NAMESPACE,
        marks::SYSTEM_NAMESPACE,
        marks::LABEL_DEPARTMENT
    );
    let none = || Err(format!("spec.encryption.secretName: there is no key {name} for department {department}: {fix}"));
    let Some(secret) = secrets(context).get_opt(name).await? else { return Ok(none()) };
    // One that is another's is answered like one that is not there.
    if secret.labels().get(marks::LABEL_DEPARTMENT).map(String::as_str) != Some(department) {
        return Ok(none());
    }
    Ok(text(&secret, KEY).map(SecretString::from).ok_or_else(|| {
        format!("spec.encryption.secretName: Secret {name} has no key \"{KEY}\" with text in it: {fix}")
    }))
}

/// Name of the Secret about a repository; names of stores and departments hold no dot.
fn about(store: &str, department: &str) -> String {
    format!("recovery-repository.{store}.{department}")
}

/// Name of the Secret with the escrow password.
pub fn escrow_name(store: &str, department: &str) -> String {
    format!("recovery-escrow.{store}.{department}")
}

/// What is known of a repository; none before it was made.
pub async fn repository(
    context: &Context,
    store: &str,
    department: &str,
) -> Result<Option<Repository>, ReconcileError> {
    let Some(secret) = secrets(context).get_opt(&about(store, department)).await? else { return Ok(None) };
    let given = |key: &str| text(&secret, key).unwrap_or_default();
    Ok(Some(Repository {
        public_key: given("publicKey"),
        known_head: given("knownHead"),
        escrow_key: given("escrowKey"),
        measured: measured(&given("measured")),
        version: secret.resource_version(),
    }))
}

/// As it stands in the Secret: the link and the bytes.
fn measured(text: &str) -> Option<Measured> {
    let (link, bytes) = text.split_once(' ')?;
    Some(Measured { link: link.parse().ok()?, bytes: bytes.parse().ok()? })
}

/// Writes down what is known of a repository, unless somebody else did so since it was read: an operator that stood still must not
/// take a newer head back.
pub async fn remember(
    context: &Context,
    store: &str,
    department: &str,
    known: &Repository,
) -> Result<(), ReconcileError> {
    let encoded = |text: &str| BASE64.encode(text.as_bytes());
    let name = about(store, department);
    let mut body = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": name, "labels": { marks::LABEL_DEPARTMENT: department } },
        "data": {
            "publicKey": encoded(&known.public_key), "knownHead": encoded(&known.known_head),
            "escrowKey": encoded(&known.escrow_key)
        }
    });
    if let (Some(measured), Some(data)) = (known.measured, body.pointer_mut("/data").and_then(Value::as_object_mut)) {
        data.insert("measured".to_owned(), json!(encoded(&format!("{} {}", measured.link, measured.bytes))));
    }
    let Some(version) = &known.version else {
        let secret = serde_json::from_value(body).map_err(|e| ReconcileError::Transient(e.to_string()))?;
        return match secrets(context).create(&PostParams::default(), &secret).await {
            // It was written down already, and may be further by now; unless the hub refused it for another reason under the same code.
            Err(error) if is_conflict(&error) => match repository(context, store, department).await? {
                Some(_) => Ok(()),
                None => Err(error.into()),
            },
            other => Ok(other.map(drop)?),
        };
    };
    if let Some(metadata) = body.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), json!(version));
    }
    secrets(context).patch(&name, &PatchParams::default(), &Patch::Merge(&body)).await?;
    Ok(())
}

/// Shows the escrow password to the administrator: once, until it is put into a safe place and the Secret is deleted.
pub async fn show_escrow(
    context: &Context,
    store: &str,
    department: &str,
    password: &[u8],
    escrow_key: &str,
) -> Result<(), ReconcileError> {
    let name = escrow_name(store, department);
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": name, "labels": { marks::LABEL_DEPARTMENT: department },
            "annotations": { "zhengyun.io/escrow": "print the password, lock it away, then delete this Secret; it is not made again" }
        },
        "data": { "password": BASE64.encode(password), "escrowKey": BASE64.encode(escrow_key.as_bytes()) }
    });
    put(context, &name, &body).await
}

async fn put(context: &Context, name: &str, body: &serde_json::Value) -> Result<(), ReconcileError> {
    secrets(context).patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(body)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use data_encoding::BASE64;

    use super::{Measured, about, escrow_name, generate, measured, signed};

    #[test]
    fn a_record_is_signed_to_the_byte_and_names_its_key() {
        let pem = generate().unwrap();
        let record = signed(&pem, "{\"result\":\"Passed\"}".to_owned()).unwrap();
        let key = BASE64.decode(record.key.strip_prefix("ed25519 ").unwrap().as_bytes()).unwrap();
        let signature = BASE64.decode(record.signature.as_bytes()).unwrap();
        let verifies = |text: &str| UnparsedPublicKey::new(&ED25519, &key).verify(text.as_bytes(), &signature).is_ok();
        assert!(verifies(&record.statement) && !verifies("{\"result\":\"Passed\" }"));
        // `sha256sum` of the statement.
        assert_eq!(
            signed(&pem, "abc".to_owned()).unwrap().digest,
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(signed("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", String::new()).is_none());
    }

    #[test]
    fn the_later_measurement_counts() {
        let at = |link, bytes| Measured { link, bytes };
        assert_eq!(Measured::later(None, at(1, 5)), at(1, 5));
        assert_eq!(Measured::later(Some(at(3, 9)), at(4, 5)), at(4, 5), "something was freed");
        assert_eq!(Measured::later(Some(at(4, 5)), at(3, 9)), at(4, 5), "read late");
        assert_eq!(Measured::later(Some(at(4, 5)), at(4, 3)), at(4, 5));
        assert_eq!((measured("4 5"), measured(""), measured("4")), (Some(at(4, 5)), None, None));
    }

    #[test]
    fn no_two_repositories_share_a_name() {
        assert_ne!(about("a-b", "c"), about("a", "b-c"));
        assert_ne!(escrow_name("a", "b"), about("a", "b"));
    }
}
