//! The credential for a site: a kubeconfig of which only server, CA and token or client certificate are used.
//!
//! Whoever can write the Secret must not thereby run programs, read files or send requests elsewhere from this process. What a
//! kubeconfig could do beyond that (`exec`, `auth-provider`, file paths, proxies, insecure TLS, impersonation) is refused by name.
//! No error repeats a token, a key, a password or a proxy's address, also not one that stands in the wrong field: of what is
//! written beneath `user` and `cluster`, errors tell the fields and no values.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::Uri;
use jiff::Timestamp;
use kube::Config;
use kube::config::AuthInfo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

/// The largest kubeconfig that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call waits for bytes.
const CALL_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a watch waits for bytes: beyond the 290 s after which the server ends each watch itself.
const WATCH_READ_TIMEOUT: Duration = Duration::from_secs(310);

/// Why a kubeconfig is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// It is no YAML, or too large.
    #[error("the kubeconfig cannot be read: {problem}; put a kubeconfig with embedded CA and token into the Secret")]
    Unreadable {
        /// What is wrong, and where.
        problem: String,
    },
    /// A field is missing, wrong or not allowed.
    #[error("kubeconfig {field}: {problem}; {fix}")]
    Field {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        fix: String,
    },
}

impl ConnectError {
    fn field(field: impl Into<String>, problem: impl Into<String>, fix: &str) -> Self {
        Self::Field { field: field.into(), problem: problem.into(), fix: fix.to_owned() }
    }
}

/// What is used of a kubeconfig.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    server: Uri,
    authorities: Vec<Vec<u8>>,
    proof: Proof,
    expires: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq)]
enum Proof {
    Token(String),
    /// As it stands in the kubeconfig: base64 of PEM.
    Certificate {
        certificate: String,
        key: String,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = match self.proof {
            Proof::Token(_) => "token",
            Proof::Certificate { .. } => "certificate",
        };
        f.debug_struct("Credential")
            .field("server", &self.server)
            .field("proof", &proof)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Credential {
    /// Takes server, CA and token or client certificate of the current context; refuses everything else by name.
    pub fn read(text: &str) -> Result<Self, ConnectError> {
        let root = parse(text)?;
        let context = current(&root, "contexts", "context", text_at(&root, "current-context"), "current-context")?;
        let cluster = current(
            &root,
            "clusters",
            "cluster",
            text_at(context.body, "cluster"),
            &format!("{}.cluster", context.path),
        )?;
        let user = current(&root, "users", "user", text_at(context.body, "user"), &format!("{}.user", context.path))?;
        refuse_extras(&cluster, CLUSTER_FIELDS)?;
        refuse_extras(&user, USER_FIELDS)?;
        let proof = proof(&user)?;
        Ok(Self { server: server(&cluster)?, authorities: authorities(&cluster)?, expires: expiry(&proof), proof })
    }

    /// When the token expires, if it says so. The end of a client certificate is not read.
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Where the API server is.
    pub const fn server(&self) -> &Uri {
        &self.server
    }

    /// Address, authorities in PEM and token, for a process of its own that reads them from files; none without a token.
    pub fn parts(&self) -> Option<(String, String, SecretString)> {
        let Proof::Token(token) = &self.proof else { return None };
        let mut pem = String::new();
        for certificate in &self.authorities {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            for line in BASE64.encode(certificate).as_bytes().chunks(64) {
                pem.push_str(&String::from_utf8_lossy(line));
                pem.push('\n');
            }
            pem.push_str("-----END CERTIFICATE-----\n");
        }
        Some((self.server.to_string(), pem, SecretString::from(token.clone())))
    }

    /// Whether another credential is for the same API server under the same authority.
    pub fn same_server(&self, other: &Self) -> bool {
        self.server == other.server && self.authorities == other.authorities
    }

    /// Configuration of a client for calls, each of which ends soon.
    pub fn for_calls(&self) -> Result<Config, ConnectError> {
        let mut config = self.config()?;
        config.read_timeout = Some(CALL_READ_TIMEOUT);
        // Otherwise the time that a pooled connection was idle counts against the next call.
        config.reset_reader_on_write = true;
        Ok(config)
    }

    /// Configuration of a client for watches, which stay open.
    pub fn for_watches(&self) -> Result<Config, ConnectError> {
        let mut config = self.config()?;
        config.read_timeout = Some(WATCH_READ_TIMEOUT);
        config.reset_reader_on_write = true;
        Ok(config)
    }

    fn config(&self) -> Result<Config, ConnectError> {
        let auth = match &self.proof {
            Proof::Token(token) => json!({ "token": token }),
            Proof::Certificate { certificate, key } => {
                json!({ "client-certificate-data": certificate, "client-key-data": key })
            }
        };
        let auth: AuthInfo = serde_json::from_value(auth).map_err(|_| {
            ConnectError::field(
                "users[].user",
                "cannot be used",
                "write a token, or client-certificate-data and client-key-data",
            )
        })?;
        let mut config = Config::new(self.server.clone());
        config.root_cert = Some(self.authorities.clone());
        config.auth_info = auth;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.write_timeout = Some(CALL_READ_TIMEOUT);
        // The client's own retry repeats POST.
        config.default_retry = false;
        Ok(config)
    }
}

fn parse(text: &str) -> Result<Value, ConnectError> {
    let unreadable = |problem: String| ConnectError::Unreadable { problem };
    if text.len() > MAX_BYTES {
        return Err(unreadable(format!("it has {} bytes, at most {MAX_BYTES} are read", text.len())));
    }
    // The parser's own message quotes the source, which holds secrets; its place is enough.
    let root: Value = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or(String::new(), |l| format!(" at line {}, column {}", l.line(), l.column()));
        unreadable(format!("it is not YAML{place}"))
    })?;
    if root.is_object() { Ok(root) } else { Err(unreadable("it is not a map of fields".to_owned())) }
}

/// One named entry of a kubeconfig's lists.
struct Entry<'a> {
    path: String,
    body: &'a Value,
}

/// Finds the entry that the current context leads to.
fn current<'a>(
    root: &'a Value,
    list: &str,
    key: &str,
    name: Option<&str>,
    named_by: &str,
) -> Result<Entry<'a>, ConnectError> {
    let fix = "name an entry that exists";
    let name = name.filter(|n| !n.is_empty()).ok_or_else(|| ConnectError::field(named_by, "is missing", fix))?;
    let shown = cut(name);
    let entries = root.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut found = entries.iter().filter(|e| text_at(e, "name") == Some(name));
    let Some(entry) = found.next() else {
        return Err(ConnectError::field(named_by, format!("\"{shown}\" is not among {list}"), fix));
    };
    if found.next().is_some() {
        return Err(ConnectError::field(list, format!("\"{shown}\" is there twice"), "keep one of them"));
    }
    match entry.get(key) {
        Some(body) if body.is_object() => Ok(Entry { path: format!("{list}[{shown}].{key}"), body }),
        _ => Err(ConnectError::field(format!("{list}[{shown}].{key}"), "is missing", "fill it in")),
    }
}

const CLUSTER_FIELDS: &[&str] = &["server", "certificate-authority-data"];
const USER_FIELDS: &[&str] = &["token", "client-certificate-data", "client-key-data"];
/// Fields without effect on where requests go and with which rights.
const HARMLESS: &[&str] = &["extensions", "disable-compression"];

/// Refuses every field that is not taken and could have an effect.
fn refuse_extras(entry: &Entry<'_>, taken: &[&str]) -> Result<(), ConnectError> {
    let empty = Map::new();
    for (field, value) in entry.body.as_object().unwrap_or(&empty) {
        let without_effect =
            value.is_null() || matches!(value, Value::String(s) if s.is_empty()) || *value == json!(false);
        if taken.contains(&field.as_str()) || HARMLESS.contains(&field.as_str()) || without_effect {
            continue;
        }
        let (problem, fix) = reason_of_refusal(field);
        return Err(ConnectError::field(format!("{}.{}", entry.path, shown(field)), problem, fix));
    }
    Ok(())
}

/// The longest field that is told; the longest that there is has 26 letters.
const LONGEST_FIELD: usize = 30;

/// A field as an error tells it. What is no field by its letters or its length may be a token that a colon too many made one.
fn shown(field: &str) -> &str {
    let plain = field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain && field.len() <= LONGEST_FIELD { field } else { "(no field)" }
}

fn reason_of_refusal(field: &str) -> (&'static str, &'static str) {
    let file = "names a file, and files are not read";
    match field {
        "exec" => ("runs a program here, which is not allowed", "write the token of a ServiceAccount instead"),
        "auth-provider" => ("needs a plugin, which is not allowed", "write the token of a ServiceAccount instead"),
        "tokenFile" => (file, "write the token itself as token"),
        "client-certificate" => (file, "embed it as client-certificate-data"),
        "client-key" => (file, "embed it as client-key-data"),
        "certificate-authority" => (file, "embed it as certificate-authority-data"),
        "insecure-skip-tls-verify" => ("true is not allowed", "leave it out and embed certificate-authority-data"),
        "proxy-url" => ("a proxy is not allowed", "leave it out and give an address that is reached directly"),
        "tls-server-name" => (
            "another name than the server's is not allowed",
            "leave it out and use a server address that the certificate is for",
        ),
        "username" | "password" => {
            ("basic authentication is not allowed", "write the token of a ServiceAccount instead")
        }
        f if f == "as" || f.starts_with("as-") => ("impersonation is not allowed", "leave it out"),
        _ => ("the field is not known", "leave it out"),
    }
}

fn server(cluster: &Entry<'_>) -> Result<Uri, ConnectError> {
    let field = format!("{}.server", cluster.path);
    let fix = "write the API server's address, such as https://10.0.0.1:6443";
    let wrong = |problem: String| ConnectError::field(&field, problem, fix);
    let text =
        text_at(cluster.body, "server").filter(|s| !s.is_empty()).ok_or_else(|| wrong("is missing".to_owned()))?;
    let uri: Uri = text.parse().map_err(|_| wrong("is not an address".to_owned()))?;
    let authority = uri.authority().ok_or_else(|| wrong("is not an address with scheme and host".to_owned()))?;
    if authority.as_str().contains('@') {
        return Err(wrong("holds a user name or password, which is not allowed".to_owned()));
    }
    if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
        return Err(wrong("is not https".to_owned()));
    }
    if uri.query().is_some() || authority.host().is_empty() {
        return Err(wrong("has no host, or a query behind it".to_owned()));
    }
    Ok(uri)
}

fn authorities(cluster: &Entry<'_>) -> Result<Vec<Vec<u8>>, ConnectError> {
    let field = format!("{}.certificate-authority-data", cluster.path);
    let fix = "embed the CA certificate of the API server: base64 of PEM";
    let wrong = |problem: &str| ConnectError::field(&field, problem, fix);
    let text = text_at(cluster.body, "certificate-authority-data")
        .filter(|s| !s.is_empty())
        .ok_or_else(|| wrong("is missing"))?;
    let pem = unbase64(text).ok_or_else(|| wrong("is not base64"))?;
    let certificates: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(&pem).map(|c| c.map(|c| c.to_vec())).collect();
    let certificates = certificates.map_err(|_| wrong("is not PEM"))?;
    if certificates.is_empty() { Err(wrong("holds no certificate")) } else { Ok(certificates) }
}

fn proof(user: &Entry<'_>) -> Result<Proof, ConnectError> {
    let given = |name: &str| text_at(user.body, name).map(str::trim).filter(|t| !t.is_empty());
    let wrong =
        |name: &str, problem: &str, fix: &str| ConnectError::field(format!("{}.{name}", user.path), problem, fix);
    match (given("token"), given("client-certificate-data"), given("client-key-data")) {
        (Some(token), None, None) => {
            // A header holds visible ASCII only; the client's own error would come with every call.
            if !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(wrong(
                    "token",
                    "holds spaces or characters that no token has",
                    "write the token of a ServiceAccount",
                ));
            }
            Ok(Proof::Token(token.to_owned()))
        }
        (None, Some(certificate), Some(key)) => {
            let fix = "embed base64 of PEM";
            let pem = unbase64(certificate).ok_or_else(|| wrong("client-certificate-data", "is not base64", fix))?;
            let parsed: Option<Vec<_>> = CertificateDer::pem_slice_iter(&pem).map(Result::ok).collect();
            parsed
                .filter(|c| !c.is_empty())
                .ok_or_else(|| wrong("client-certificate-data", "holds no certificate in PEM", fix))?;
            let pem = unbase64(key).ok_or_else(|| wrong("client-key-data", "is not base64", fix))?;
            PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|_| wrong("client-key-data", "holds no private key in PEM", fix))?;
            Ok(Proof::Certificate { certificate: certificate.to_owned(), key: key.to_owned() })
        }
        (None, Some(_), None) => {
            Err(wrong("client-key-data", "is missing beside client-certificate-data", "embed the key"))
        }
        (None, None, Some(_)) => {
            Err(wrong("client-certificate-data", "is missing beside client-key-data", "embed the certificate"))
        }
        (None, None, None) => Err(ConnectError::field(
            &user.path,
            "holds no token and no client certificate",
            "write the token of a ServiceAccount as token",
        )),
        (Some(_), _, _) => {
            Err(ConnectError::field(&user.path, "holds a token and a client certificate", "keep one of the two"))
        }
    }
}

/// When a token expires: `exp` of a JWT (RFC 7519, section 4.1.4). Only read, not verified: the site does that.
fn expiry(proof: &Proof) -> Option<Timestamp> {
    let Proof::Token(token) = proof else { return None };
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()?;
    Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()
}

/// Base64 as kubeconfigs have it: broken into lines or not.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(joined.as_bytes()).ok()
}

fn text_at<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// A value for a message: printable and short.
fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}
