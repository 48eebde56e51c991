//! The database that CloudNativePG runs for a department: how it is reached stands in Secrets beside it.
//!
//! They lie in the department's own namespace, so they say where a server is and how one logs in, and nothing else is taken from
//! them. Where it may be, the same rules decide as for every other address.

use data_encoding::BASE64;
use serde_json::Value;

use super::login::Login;
use crate::cluster::{Cluster, check_namespace, escaped};
use crate::error::{Result, WorkerError};

/// Namespace and name of a `Cluster`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ClusterName {
    /// Reads `NAMESPACE/NAME`.
    pub fn parse(argument: &str, text: &str) -> Result<Self> {
        let wrong = || WorkerError::input(argument, format!("\"{text}\" is none"), "write NAMESPACE/NAME");
        let (namespace, name) = text.split_once('/').ok_or_else(wrong)?;
        check_namespace(argument, namespace)?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        if name.is_empty() || name.len() > 253 || !name.bytes().all(plain) {
            return Err(wrong());
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// How its first database is reached.
    pub fn login(&self, cluster: &Cluster) -> Result<Login> {
        let app = self.secret(cluster, &format!("{}-app", self.name))?;
        let field = |key: &str| text(&app, key);
        let needed = |key: &str| {
            field(key).ok_or_else(|| {
                WorkerError::input(
                    format!("Secret {}-app in {}", self.name, self.namespace),
                    format!("has no key {key}"),
                    "leave the Secret as CloudNativePG writes it",
                )
            })
        };
        // An own authority may stand in the same Secret; otherwise it is CloudNativePG's.
        let ca = match field("ca.crt") {
            Some(ca) => Some(ca),
            None => self.optional(cluster, &format!("{}-ca", self.name))?.and_then(|ca| text(&ca, "ca.crt")),
        };
        let port = match field("port") {
            None => 5432,
            Some(port) => port.trim().parse().map_err(|_| {
                WorkerError::input(
                    format!("Secret {}-app in {}", self.name, self.namespace),
                    "holds no port in its key port",
                    "leave the Secret as CloudNativePG writes it",
                )
            })?,
        };
        let login = Login {
            host: needed("host")?,
            port,
            database: needed("dbname")?,
            user: needed("username")?,
            password: needed("password")?.into(),
            ca,
        };
        login.check()?;
        Ok(login)
    }

    fn secret(&self, cluster: &Cluster, name: &str) -> Result<Value> {
        self.optional(cluster, name)?.ok_or_else(|| {
            WorkerError::input(
                format!("Secret {name} in {}", self.namespace),
                "is not there",
                "wait until the database is delivered, or bring the Secret back",
            )
        })
    }

    fn optional(&self, cluster: &Cluster, name: &str) -> Result<Option<Value>> {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", self.namespace, escaped(name));
        match cluster.runtime.block_on(cluster.read(&path)) {
            Ok(secret) => Ok(Some(secret)),
            Err(refusal) if refusal.code() == Some(404) => Ok(None),
            Err(refusal) => Err(refusal.told(&format!("GET {path}"))),
        }
    }
}

fn text(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret.get("data")?.get(key)?.as_str()?;
    let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::ClusterName;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(ClusterName::parse("-", "finance/db").is_ok());
        for bad in ["db", "finance/", "/db", "finance/../x/y", "finance/a/b", "Finance/db", "finance/a?b"] {
            assert!(ClusterName::parse("-", bad).is_err(), "{bad}");
        }
    }
}
