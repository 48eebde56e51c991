use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::{ConnectError, Credential};

/// A certificate's and a key's PEM frame around bytes; what is in them is first read when a client is made.
fn pem(what: &str) -> String {
    BASE64.encode(format!("-----BEGIN {what}-----\nMIIBszCCAVmgAwIBAgIUSecret\n-----END {what}-----\n").as_bytes())
}

fn good() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u" } }, { "name": "other", "context": {} }],
        "clusters": [{ "name": "k", "cluster": { "server": "https://10.0.0.1:6443", "certificate-authority-data": pem("CERTIFICATE") } }],
        "users": [
            { "name": "u", "user": { "token": "s3cr3t-token" } },
            { "name": "unused", "user": { "exec": { "command": "evil" } } }
        ]
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut config = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(key)
    } else {
        parent.insert(key.to_owned(), value)
    };
    config
}

fn refusal(config: &Value) -> String {
    let error = Credential::read(&config.to_string()).expect_err("must be refused");
    assert!(matches!(error, ConnectError::Field { .. }), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains("s3cr3t"), "a secret in: {text}");
    text
}

#[test]
fn server_ca_and_token_of_the_current_context_are_taken() {
    let credential = Credential::read(&good().to_string()).unwrap();
    let config = credential.for_calls().unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
    assert!(!config.default_retry && !config.accept_invalid_certs && config.proxy_url.is_none());
    assert_eq!(config.root_cert.map(|c| c.len()), Some(1));
    assert_eq!(credential.expires(), None);
    assert!(!format!("{credential:?}").contains("s3cr3t"));
}

#[test]
fn it_may_be_yaml() {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\npreferences: {{}}\ncontexts:\n- name: c\n  context: {{cluster: k, user: u, namespace: x}}\nclusters:\n- name: k\n  cluster:\n    server: https://site.example:6443\n    certificate-authority-data: {}\n    insecure-skip-tls-verify: false\nusers:\n- name: u\n  user:\n    token: |\n      s3cr3t-token\n",
        pem("CERTIFICATE")
    );
    assert!(Credential::read(&text).is_ok());
}

#[rstest]
#[case::exec("/users/0/user/exec", json!({ "command": "/bin/sh", "args": ["s3cr3t"] }), "users[u].user.exec: runs a program here")]
#[case::auth_provider("/users/0/user/auth-provider", json!({ "name": "gcp", "config": { "access-token": "s3cr3t" } }), "users[u].user.auth-provider: needs a plugin")]
#[case::token_file("/users/0/user/tokenFile", json!("/etc/shadow"), "users[u].user.tokenFile: names a file")]
#[case::certificate_file("/users/0/user/client-certificate", json!("/etc/a.pem"), "users[u].user.client-certificate: names a file")]
#[case::key_file("/users/0/user/client-key", json!("/etc/a.key"), "users[u].user.client-key: names a file")]
#[case::password("/users/0/user/password", json!("s3cr3t"), "password: basic authentication is not allowed")]
#[case::username("/users/0/user/username", json!("admin"), "username: basic authentication is not allowed")]
#[case::impersonation("/users/0/user/as", json!("system:admin"), "as: impersonation is not allowed")]
#[case::impersonated_groups("/users/0/user/as-groups", json!(["system:masters"]), "as-groups: impersonation is not allowed")]
#[case::unknown("/users/0/user/tokens", json!("s3cr3t"), "tokens: the field is not known")]
#[case::ca_file("/clusters/0/cluster/certificate-authority", json!("/ca.pem"), "clusters[k].cluster.certificate-authority: names a file")]
#[case::insecure("/clusters/0/cluster/insecure-skip-tls-verify", json!(true), "insecure-skip-tls-verify: true is not allowed")]
#[case::proxy("/clusters/0/cluster/proxy-url", json!("http://u:s3cr3t@proxy:3128"), "proxy-url: a proxy is not allowed")]
#[case::server_name("/clusters/0/cluster/tls-server-name", json!("elsewhere"), "tls-server-name")]
#[case::token_as_its_file("/users/0/user/tokenFile", json!("s3cr3t"), "users[u].user.tokenFile: names a file")]
#[case::key_as_its_file("/users/0/user/client-key", json!("s3cr3t"), "users[u].user.client-key: names a file")]
#[case::token_as_a_program("/users/0/user/exec", json!({ "command": "s3cr3t" }), "users[u].user.exec: runs a program")]
#[case::token_as_server("/clusters/0/cluster/server", json!("s3cr3t"), "clusters[k].cluster.server: is not https")]
#[case::token_in_the_servers_query("/clusters/0/cluster/server", json!("http://10.0.0.1/?s3cr3t"), "server: is not https")]
#[case::token_as_a_field("/users/0/user/s3cr3t.s3cr3t", json!(1), "users[u].user.(no field): the field is not known")]
#[case::http("/clusters/0/cluster/server", json!("http://10.0.0.1"), "clusters[k].cluster.server: is not https")]
#[case::no_scheme("/clusters/0/cluster/server", json!("10.0.0.1:6443"), "clusters[k].cluster.server")]
#[case::file_scheme("/clusters/0/cluster/server", json!("file:///etc/passwd"), "clusters[k].cluster.server")]
#[case::user_in_server("/clusters/0/cluster/server", json!("https://u:s3cr3t@10.0.0.1"), "holds a user name or password")]
#[case::query("/clusters/0/cluster/server", json!("https://10.0.0.1/?x=s3cr3t"), "has no host, or a query")]
#[case::no_server("/clusters/0/cluster/server", Value::Null, "server: is missing")]
#[case::server_no_text("/clusters/0/cluster/server", json!(7), "server: is missing")]
#[case::no_ca("/clusters/0/cluster/certificate-authority-data", Value::Null, "certificate-authority-data: is missing")]
#[case::ca_not_base64("/clusters/0/cluster/certificate-authority-data", json!("%%%"), "is not base64")]
#[case::ca_not_pem("/clusters/0/cluster/certificate-authority-data", json!("aGVsbG8="), "holds no certificate")]
#[case::no_token("/users/0/user/token", Value::Null, "users[u].user: holds no token")]
#[case::empty_token("/users/0/user/token", json!(" \n"), "users[u].user: holds no token")]
#[case::bad_token("/users/0/user/token", json!("s3cr3t\r\nX-Evil: 1"), "users[u].user.token: holds spaces")]
#[case::two_proofs("/users/0/user/client-key-data", json!("s3cr3t"), "holds a token and a client certificate")]
#[case::no_context("/current-context", Value::Null, "current-context: is missing")]
#[case::unknown_context("/current-context", json!("nowhere"), "current-context: \"nowhere\" is not among contexts")]
#[case::empty_context("/current-context", json!("other"), "contexts[other].context.cluster: is missing")]
#[case::unknown_cluster("/contexts/0/context/cluster", json!("nowhere"), "contexts[c].context.cluster: \"nowhere\" is not among clusters")]
#[case::unknown_user("/contexts/0/context/user", json!("nowhere"), "contexts[c].context.user: \"nowhere\" is not among users")]
#[case::no_clusters("/clusters", Value::Null, "is not among clusters")]
#[case::users_no_list("/users", json!("s3cr3t"), "is not among users")]
fn what_it_may_not_do_is_refused_by_name(#[case] pointer: &str, #[case] value: Value, #[case] said: &str) {
    let text = refusal(&with(pointer, value));
    assert!(text.contains(said), "{text}");
}

#[test]
fn an_entry_that_is_there_twice_is_refused() {
    let mut config = good();
    let twin = config["users"][0].clone();
    config["users"].as_array_mut().unwrap().push(twin);
    assert!(refusal(&config).contains("\"u\" is there twice"));
}

#[test]
fn a_client_certificate_needs_its_key_and_both_in_pem() {
    let mut config = with("/users/0/user/token", Value::Null);
    config["users"][0]["user"]["client-certificate-data"] = json!(pem("CERTIFICATE"));
    assert!(refusal(&config).contains("client-key-data: is missing"));
    config["users"][0]["user"]["client-key-data"] = json!(BASE64.encode(b"s3cr3t"));
    assert!(refusal(&config).contains("client-key-data: holds no private key"));
    config["users"][0]["user"]["client-key-data"] = json!(pem("PRIVATE KEY"));
    assert!(Credential::read(&config.to_string()).is_ok());
}

#[rstest]
#[case::not_yaml("a: [s3cr3t")]
#[case::list("- s3cr3t")]
#[case::text("s3cr3t")]
#[case::empty("")]
fn what_is_no_map_is_unreadable_and_not_repeated(#[case] text: &str) {
    let error = Credential::read(text).expect_err("must be refused");
    assert!(matches!(error, ConnectError::Unreadable { .. }), "{error:?}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
}

#[test]
fn an_endless_one_is_not_read() {
    let error = Credential::read(&"#".repeat(300 * 1024)).expect_err("must be refused");
    assert!(error.to_string().contains("bytes, at most"), "{error}");
}

#[rstest]
#[case::jwt(json!({ "exp": 1_900_000_000 }), Some(1_900_000_000))]
#[case::no_end(json!({ "sub": "x" }), None)]
#[case::no_number(json!({ "exp": "soon" }), None)]
#[case::out_of_time(json!({ "exp": i64::MAX }), None)]
fn a_tokens_end_is_read_from_it(#[case] claims: Value, #[case] end: Option<i64>) {
    let part = |v: &Value| BASE64URL_NOPAD.encode(v.to_string().as_bytes());
    let token = format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(&claims));
    let credential = Credential::read(&with("/users/0/user/token", json!(token)).to_string()).unwrap();
    assert_eq!(credential.expires().map(Timestamp::as_second), end);
}

#[test]
fn a_new_token_is_another_credential_for_the_same_server() {
    let one = Credential::read(&good().to_string()).unwrap();
    let two = Credential::read(&with("/users/0/user/token", json!("next")).to_string()).unwrap();
    let elsewhere =
        Credential::read(&with("/clusters/0/cluster/server", json!("https://10.0.0.2:6443")).to_string()).unwrap();
    assert!(one != two && one.same_server(&two) && !one.same_server(&elsewhere));
}
