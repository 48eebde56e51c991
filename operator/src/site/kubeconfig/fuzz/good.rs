//! Good kubeconfigs with secrets to watch, and what kubeconfigs can do beyond what is taken of them.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

/// What must never be repeated: it stands for a token, a key, a password. Long and unlike any word, as those are.
pub(super) const CANARY: &str = "c4n4ryQ7vX2mZ9kL5wR8tJ3pB6sD1fH0";
/// What a kubeconfig can do beyond the little that is taken, beneath `user` and beneath `cluster`.
pub(super) const FORBIDDEN_TO_USERS: &[&str] = &[
    "exec",
    "auth-provider",
    "tokenFile",
    "client-certificate",
    "client-key",
    "username",
    "password",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
    "token-file",
    "proxy-url",
    "insecure-skip-tls-verify",
    "Exec",
    "EXEC",
    "exec ",
];
pub(super) const FORBIDDEN_TO_CLUSTERS: &[&str] = &[
    "certificate-authority",
    "insecure-skip-tls-verify",
    "proxy-url",
    "tls-server-name",
    "exec",
    "tokenFile",
    "Proxy-URL",
    "insecure-skip-tls-verify ",
];

pub(super) fn pem(what: &str) -> String {
    BASE64.encode(format!("-----BEGIN {what}-----\nMIIBszCC{CANARY}\n-----END {what}-----\n").as_bytes())
}

/// A token as a ServiceAccount has it, with the canary in each of its parts.
pub(super) fn jwt() -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.{CANARY}", part(&json!({"alg": "RS256"})), part(&json!({"exp": 1_900_000_000, "sub": CANARY})))
}

/// A good kubeconfig with a token, or with a certificate and its key.
pub(super) fn good(by_certificate: bool) -> Value {
    let user = if by_certificate {
        json!({ "client-certificate-data": pem("CERTIFICATE"), "client-key-data": pem("PRIVATE KEY") })
    } else {
        json!({ "token": jwt() })
    };
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u", "namespace": "x" } }],
        "clusters": [{ "name": "k", "cluster": { "server": "https://10.0.0.1:6443", "certificate-authority-data": pem("CERTIFICATE") } }],
        "users": [{ "name": "u", "user": user }],
    })
}

/// The secrets in all the ways in which they stand in a kubeconfig.
pub(super) fn secrets() -> Vec<String> {
    // In base64 the canary begins after a frame of 36 bytes, and in the middle of a token after 21 letters and 25 bytes.
    vec![CANARY.to_owned(), pem("PRIVATE KEY")[48..88].to_owned(), jwt()[56..92].to_owned()]
}

/// The names by which a kubeconfig refers to its own entries. They are told in errors, so a secret in their place is told, too.
pub(super) fn names(config: &Value) -> Vec<&str> {
    let lists = ["contexts", "clusters", "users"].into_iter().filter_map(|list| config.get(list)?.as_array()).flatten();
    let entries =
        lists.flat_map(|entry| [entry.get("name"), entry.pointer("/context/user"), entry.pointer("/context/cluster")]);
    entries.chain([config.get("current-context")]).flatten().filter_map(Value::as_str).collect()
}
