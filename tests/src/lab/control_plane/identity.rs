//! What makes a control plane the same one after a restart: its ports, keys and tokens.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::{
    encoding::AsDer as _,
    rand,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lab::people::Person;

/// Ports are taken below the range the kernel hands to outgoing connections (32768 and up on Linux):
/// while a server is stopped, nothing that dials it can come to sit on its port.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The loopback ports of one control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// The API server.
    pub apiserver: u16,
    /// The store, for the API server.
    pub etcd_client: u16,
    /// The store, for its (absent) peers.
    pub etcd_peer: u16,
    /// Health and metrics of the controller manager.
    pub controller_manager: u16,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity {
    pub(super) ports: Ports,
    pub(super) admin_token: String,
    controller_manager_token: String,
    people: BTreeMap<String, String>,
}

impl Identity {
    /// The identity kept in `dir`, with new ports for those taken meanwhile; a new one on first use.
    pub(super) fn open(dir: &Path, people: &[Person]) -> Result<Self> {
        let path = dir.join("identity.json");
        let mut identity = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?,
            Err(_) => Self {
                ports: Ports { apiserver: 0, etcd_client: 0, etcd_peer: 0, controller_manager: 0 },
                admin_token: random_token()?,
                controller_manager_token: random_token()?,
                people: BTreeMap::new(),
            },
        };
        let ports = &mut identity.ports;
        for port in [&mut ports.apiserver, &mut ports.etcd_client, &mut ports.etcd_peer, &mut ports.controller_manager]
        {
            if *port == 0 || !is_free(*port) {
                *port = free_port()?;
            }
        }
        for person in people {
            if !identity.people.contains_key(&person.username) {
                identity.people.insert(person.username.clone(), random_token()?);
            }
        }
        write_private(&path, &serde_json::to_vec_pretty(&identity)?)?;
        identity.write_tokens(&dir.join("tokens.csv"), people)?;
        Ok(identity)
    }

    pub(super) fn person_token(&self, username: &str) -> Result<&str> {
        let token = self.people.get(username).map(String::as_str);
        token.ok_or_else(|| {
            anyhow!(
                "nobody is called {username}; known: {}",
                self.people.keys().cloned().collect::<Vec<_>>().join(", ")
            )
        })
    }

    pub(super) fn controller_manager_token(&self) -> &str {
        &self.controller_manager_token
    }

    /// Lines of `token,user,uid,"group,group"`, the form of `--token-auth-file`.
    fn write_tokens(&self, path: &Path, people: &[Person]) -> Result<()> {
        let mut lines = format!(
            "{},lab-admin,lab-admin,\"system:masters\"\n{},system:kube-controller-manager,system:kube-controller-manager\n",
            self.admin_token, self.controller_manager_token
        );
        for Person { username, groups, .. } in people {
            let token = self.person_token(username)?;
            writeln!(lines, "{token},{username},{username},\"{}\"", groups.join(","))?;
        }
        write_private(path, lines.as_bytes())
    }
}

/// A kubeconfig with everything in it: server, its certificate, a bearer token.
pub fn kubeconfig(cluster: &str, server: &str, ca_pem: &[u8], user: &str, token: &str) -> Result<String> {
    render_kubeconfig(cluster, server, ca_pem, user, &json!({ "token": token }))
}

/// A kubeconfig whose token is read from a file again and again, for programs whose token is rotated.
pub fn kubeconfig_with_token_file(
    cluster: &str,
    server: &str,
    ca_pem: &[u8],
    user: &str,
    token_file: &Path,
) -> Result<String> {
    render_kubeconfig(cluster, server, ca_pem, user, &json!({ "tokenFile": token_file }))
}

fn render_kubeconfig(
    cluster: &str,
    server: &str,
    ca_pem: &[u8],
    user: &str,
    credential: &serde_json::Value,
) -> Result<String> {
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": cluster,
            "cluster": { "server": server, "certificate-authority-data": BASE64.encode(ca_pem) },
        }],
        "users": [{ "name": user, "user": credential }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": user } }],
        "current-context": cluster,
    });
    serde_saphyr::to_string(&document).context("write a kubeconfig")
}

/// Replaces a file at once, readable by its owner only.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        // A leftover of an interrupted run may have other permissions.
        let _ = fs::remove_file(&new);
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// Writes the pair of keys that sign and check ServiceAccount tokens, once: P-256, in PEM.
pub(super) fn ensure_service_account_keys(dir: &Path) -> Result<()> {
    let (private, public) = (dir.join("service-account.key"), dir.join("service-account.pub"));
    if private.exists() && public.exists() {
        return Ok(());
    }
    let unusable = |_| anyhow!("make the keys for ServiceAccount tokens");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(unusable)?;
    let key = pair.to_pkcs8v1().map_err(unusable)?;
    write_private(&private, pem("PRIVATE KEY", key.as_ref()).as_bytes())?;
    let key = pair.public_key().as_der().map_err(unusable)?;
    write_private(&public, pem("PUBLIC KEY", key.as_ref()).as_bytes())
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 24];
    rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no randomness"))?;
    Ok(HEXLOWER.encode(&bytes))
}

/// A loopback port that nobody listens on, never given out twice by this process.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // A random place to start, so that labs starting at the same moment do not race for one port.
    let mut bytes = [0_u8; 2];
    rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no randomness"))?;
    let (size, start) = (PORTS.end - PORTS.start, u16::from_le_bytes(bytes));
    for step in 0..size {
        let port = PORTS.start + (start % size + step) % size;
        if !given.contains(&port) && is_free(port) {
            given.push(port);
            return Ok(port);
        }
    }
    bail!("no free loopback port between {} and {}", PORTS.start, PORTS.end)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
