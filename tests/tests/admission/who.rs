//! Who tries: people and ServiceAccounts with their own tokens, tenants of a site, and administrators of a cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use http::HeaderMap;
use k8s_openapi::api::core::v1::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;
use zhengyun_crds::marks;
use zhengyun_tests::lab::{client, credentials};
use zhengyun_tests::town::Town;

use super::case::{Call, Case, Expected, Sending};

/// Somebody at an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A person of `people.csv` at the hub.
    Person(&'static str),
    /// A ServiceAccount of `zhengyun-system` at the hub.
    Account(&'static str),
    /// The hub's cluster administrator (`system:masters`): RBAC refuses nothing, so what is refused the policies refuse.
    Root,
    /// An account of Kubernetes itself at the hub.
    Kubernetes(&'static str),
    /// The driver at the site hohhot, with the kubeconfig that the hub keeps.
    Driver,
    /// A person at the site hohhot, with the group of a department: user, department.
    Tenant(&'static str, &'static str),
    /// The cluster administrator of the site hohhot.
    SiteRoot,
}

pub(crate) const ADMIN: Who = Who::Person("cloud-admin");
pub(crate) const PROVIDER: Who = Who::Person("provider-ops");
pub(crate) const CLERK: Who = Who::Person("clerk-emergency");
pub(crate) const HEAD: Who = Who::Person("head-emergency");
pub(crate) const OTHER_CLERK: Who = Who::Person("clerk-finance");
pub(crate) const OTHER_HEAD: Who = Who::Person("head-finance");
pub(crate) const TECHNICAL: Who = Who::Person("reviewer-technical");
pub(crate) const CAPACITY: Who = Who::Person("reviewer-capacity");
pub(crate) const SECURITY: Who = Who::Person("reviewer-security");
pub(crate) const LOCAL: Who = Who::Person("reviewer-hohhot");
pub(crate) const AUTHORITY: Who = Who::Person("authority-chief");
pub(crate) const STRANGER: Who = Who::Person("stranger");
pub(crate) const OPERATOR: Who = Who::Account("zhengyun-operator");
pub(crate) const API_ACCOUNT: Who = Who::Account("zhengyun-api");
pub(crate) const COLLECTOR: Who = Who::Kubernetes("system:serviceaccount:kube-system:generic-garbage-collector");
pub(crate) const TENANT: Who = Who::Tenant("clerk-emergency", "emergency");
pub(crate) const OTHER_TENANT: Who = Who::Tenant("clerk-finance", "finance");

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) | Self::Account(name) | Self::Kubernetes(name) => f.write_str(name),
            Self::Root => f.write_str("administrator of the hub"),
            Self::Driver => f.write_str("driver at hohhot"),
            Self::Tenant(user, department) => write!(f, "tenant {user} of {department} at hohhot"),
            Self::SiteRoot => f.write_str("administrator of hohhot"),
        }
    }
}

/// Clients of everybody.
pub(crate) struct Callers {
    hub: Client,
    site: Client,
    driver: Client,
    people: BTreeMap<String, Client>,
    accounts: BTreeMap<&'static str, Client>,
    refusals: Mutex<Vec<String>>,
}

impl Callers {
    pub(crate) async fn of(town: &Town) -> Result<Self> {
        let (lab, hub) = (town.lab(), town.admin()?);
        let mut people = BTreeMap::new();
        for person in lab.people() {
            people.insert(person.username.clone(), town.client_of(&person.username)?);
        }
        let mut accounts = BTreeMap::new();
        for account in credentials::HUB_COMPONENTS {
            // The very token that the running program has.
            let file = lab.component_kubeconfig(account).with_extension("token");
            let token = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            accounts.insert(account, lab.hub().client_with_token(&token)?);
        }
        Ok(Self {
            site: town.site_admin("hohhot")?,
            driver: driver(&hub, "hohhot").await?,
            hub,
            people,
            accounts,
            refusals: Mutex::default(),
        })
    }

    fn client(&self, who: Who) -> Result<&Client> {
        Ok(match who {
            Who::Person(name) => self.people.get(name).with_context(|| format!("nobody is called {name}"))?,
            Who::Account(name) => self.accounts.get(name).with_context(|| format!("no account {name}"))?,
            Who::Root | Who::Kubernetes(_) => &self.hub,
            Who::Driver => &self.driver,
            Who::Tenant(..) | Who::SiteRoot => &self.site,
        })
    }

    /// Sends a call, and returns what came: the object, or code and message of the refusal.
    pub(crate) async fn send(&self, who: Who, call: &Call, dry: bool) -> Result<Result<Value, (u16, String)>> {
        let mut body = call.body.clone();
        let mut path = call.path.clone();
        if dry && call.method == http::Method::DELETE {
            // With a body, parameters of the address are not read.
            body.get_or_insert_default()["dryRun"] = serde_json::json!(["All"]);
        } else if dry {
            path.push_str(if path.contains('?') { "&dryRun=All" } else { "?dryRun=All" });
        }
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(path)
            .header("Content-Type", call.content_type)
            .body(body.map(|body| serde_json::to_vec(&body)).transpose()?.unwrap_or_default())?;
        impersonate(who, request.headers_mut())?;
        match self.client(who)?.request::<Value>(request).await {
            Ok(object) => Ok(Ok(object)),
            Err(kube::Error::Api(status)) => {
                self.refusals.lock().unwrap().push(status.message.clone());
                Ok(Err((status.code, status.message.clone())))
            }
            Err(other) => Err(other).with_context(|| format!("{who}: {}", call.about)),
        }
    }

    /// Every refusal that was heard so far.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap().clone()
    }

    /// Sends for real what must succeed, while the world is brought to where the tables need it.
    pub(crate) async fn must(&self, who: Who, call: Call) -> Result<Value> {
        self.send(who, &call, false)
            .await?
            .map_err(|(code, message)| anyhow::anyhow!("{who}: {}: {code} {message}", call.about))
    }

    /// Tries one line, and says how it disagrees.
    pub(crate) async fn disagreement(&self, case: &Case) -> Result<Option<String>> {
        let first_dry = case.sending == Sending::Careful && case.call.method != http::Method::GET;
        let first = self.send(case.who, &case.call, first_dry).await?;
        let told = judge(&case.expected, first.as_ref());
        if told.is_some() || !first_dry || matches!(case.expected, Expected::Accepted) {
            return Ok(told);
        }
        let second = self.send(case.who, &case.call, false).await?;
        Ok(judge(&case.expected, second.as_ref())
            .map(|told| format!("for real, after the dry run was refused: {told}")))
    }
}

fn judge(expected: &Expected, came: Result<&Value, &(u16, String)>) -> Option<String> {
    match (expected, came) {
        (Expected::Accepted, Ok(_)) => None,
        (Expected::Accepted, Err((code, message))) => Some(format!("must be accepted, was refused: {code} {message}")),
        (Expected::Refused(fragment), Ok(_)) => Some(format!("must be refused with {fragment:?}, was accepted")),
        (Expected::Refused(fragment), Err((code, message))) => {
            let refusal = (400..500).contains(code) && message.contains(fragment);
            (!refusal).then(|| format!("must be refused with {fragment:?}, but: {code} {message}"))
        }
        (Expected::Allowed(expected), Ok(answer)) => {
            let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false);
            (allowed != *expected).then(|| {
                let why = answer.pointer("/status/reason").and_then(Value::as_str).unwrap_or_default();
                format!("the right must be {}, is {}: {why}", given(*expected), given(allowed))
            })
        }
        (Expected::Allowed(_), Err((code, message))) => Some(format!("the question was refused: {code} {message}")),
    }
}

const fn given(allowed: bool) -> &'static str {
    if allowed { "given" } else { "withheld" }
}

/// The driver as the operator is it: by the kubeconfig in the hub's Secret.
async fn driver(hub: &Client, site: &str) -> Result<Client> {
    client::install_crypto_provider();
    let secrets: Api<Secret> = Api::namespaced(hub.clone(), marks::SYSTEM_NAMESPACE);
    let secret = secrets.get(&format!("site-{site}")).await?;
    let data = secret.data.unwrap_or_default().remove(marks::KUBECONFIG_KEY).context("the Secret has a kubeconfig")?;
    let kubeconfig = Kubeconfig::from_yaml(std::str::from_utf8(&data.0)?)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

fn impersonate(who: Who, headers: &mut HeaderMap) -> Result<()> {
    let (user, group) = match who {
        Who::Tenant(user, department) => (user, Some(format!("dept:{department}"))),
        Who::Kubernetes(user) => (user, None),
        _ => return Ok(()),
    };
    headers.insert("Impersonate-User", user.parse()?);
    headers.insert("Impersonate-Group", "system:authenticated".parse()?);
    if let Some(group) = group {
        headers.append("Impersonate-Group", group.parse()?);
    }
    Ok(())
}
