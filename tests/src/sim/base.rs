//! The simulated world: a hub and two sites, established once and copied for every run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use zhengyun_operator::runtime::clock::Clock;

use super::fault::Gate;
use super::people;
use super::plan::Plan;
use super::process::Operator;
use super::recovery::{BUCKETS, Machine, SERVERS, evidence};
use super::stage::Stage;
use crate::apiserver::{Apiserver, ApiserverOptions, Journal, User, housekeeping};
use crate::lab::install::read_folder;
use crate::lab::{project_root, provisioner};
use crate::world;

/// Sites of the simulated world.
pub const SITES: [&str; 2] = ["hohhot", "ulanqab"];
/// When runs begin.
const BEGIN: &str = "2026-03-02T01:00:00Z";

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its API server.
    pub server: Apiserver,
    /// Whether the hub is cut off from it.
    pub cut: Arc<AtomicBool>,
}

/// Clusters of one run.
#[derive(Clone, Debug)]
pub struct World {
    /// The hub.
    pub hub: Apiserver,
    /// Sites by name.
    pub sites: BTreeMap<String, Site>,
    /// Buckets and database servers by name, each an API server that holds objects.
    pub buckets: BTreeMap<String, Site>,
    /// Every write to any of them.
    pub journal: Journal,
    /// The clock of all.
    pub clock: Clock,
}

/// The established world, from which every run starts.
#[derive(Clone, Debug)]
pub struct Base {
    hub: Apiserver,
    sites: BTreeMap<String, Apiserver>,
    buckets: BTreeMap<String, Apiserver>,
}

fn options(name: &str, clock: Clock, journal: &Journal) -> ApiserverOptions {
    ApiserverOptions { journal: journal.clone(), ..ApiserverOptions::new(name, clock) }
}

impl Base {
    /// Establishes the world with a real operator on in-memory clusters.
    ///
    /// # Errors
    /// What was refused, or did not become Ready.
    pub fn establish() -> Result<Self> {
        on_paused_clock(Box::pin(async {
            let clock = Clock::starting_at(BEGIN.parse::<Timestamp>()?.checked_sub(Duration::from_secs(86_400))?);
            let journal = Journal::default();
            let hub = Apiserver::new(options("hub", clock, &journal));
            install_hub(&hub).await.context("the hub")?;
            let mut sites = BTreeMap::new();
            for name in SITES {
                let site = Apiserver::new(options(name, clock, &journal));
                install_site(&site).await.with_context(|| format!("site {name}"))?;
                sites.insert(name.to_owned(), site);
            }
            let bucket = |name: &str| (name.to_owned(), Apiserver::new(options(name, clock, &journal)));
            let base = Self { hub, sites, buckets: BUCKETS.into_iter().chain(SERVERS).map(bucket).collect() };
            let world = base.world_on(clock, journal.clone());
            let gate = Gate::new(&Plan::calm("establish", 0));
            world.keep_house();
            let operator = Operator::start(&world, &gate, &Machine::new(&world, &gate), 0);
            let stage = Stage::new(&world, &gate);
            stage.populate().await?;
            stage.quiet(Duration::from_secs(120)).await?;
            operator.stop();
            Ok(base)
        }))
    }

    fn world_on(&self, clock: Clock, journal: Journal) -> World {
        let site = |server: &Apiserver| Site { server: server.clone(), cut: Arc::default() };
        World {
            hub: self.hub.clone(),
            sites: self.sites.iter().map(|(name, server)| (name.clone(), site(server))).collect(),
            buckets: self.buckets.iter().map(|(name, server)| (name.clone(), site(server))).collect(),
            journal,
            clock,
        }
    }

    /// A copy for one run; call it on the run's own clock.
    pub fn world(&self) -> World {
        let clock = Clock::starting_at(BEGIN.parse().unwrap_or(Timestamp::UNIX_EPOCH));
        let journal = Journal::default();
        let copy = Self {
            hub: self.hub.copy(options("hub", clock, &journal)),
            sites: self.sites.iter().map(|(n, s)| (n.clone(), s.copy(options(n, clock, &journal)))).collect(),
            buckets: self.buckets.iter().map(|(n, s)| (n.clone(), s.copy(options(n, clock, &journal)))).collect(),
        };
        copy.world_on(clock, journal)
    }
}

impl World {
    /// A person's client of the hub.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn client_of(&self, name: &str) -> Result<Client> {
        Ok(self.hub.client(&people::person(name)?, name))
    }

    /// A client of the hub with all rights.
    pub fn admin(&self) -> Client {
        self.hub.client(&User::system(), "admin")
    }

    /// Starts the clusters' own controllers and what provisions things at sites, all simulated.
    pub fn keep_house(&self) {
        tokio::spawn(housekeeping::run(self.hub.clone()));
        for site in self.sites.values() {
            tokio::spawn(housekeeping::run(site.server.clone()));
            let client = site.server.client(&people::provisioner(), "provisioner");
            tokio::spawn(provisioner::run(client, provisioner::ProvisionerOptions::default()));
        }
    }
}

/// Runs on one thread with a clock that jumps to the next timer whenever nothing else is to be done.
///
/// # Errors
/// Those of the future, and when no runtime can be made.
pub fn on_paused_clock<T>(future: std::pin::Pin<Box<dyn Future<Output = Result<T>> + '_>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().context("a runtime")?;
    let done = runtime.block_on(future);
    runtime.shutdown_background();
    done
}

/// Applies what of the manifests has an effect here: rights are not modelled, and the product's programs are run by the simulation.
async fn apply(client: &Client, objects: Vec<DynamicObject>) -> Result<()> {
    const ORDER: [&str; 4] =
        ["Namespace", "CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
    for kind in ORDER {
        let of_kind = |o: &&DynamicObject| o.types.as_ref().is_some_and(|t| t.kind == kind);
        world::apply(client, &objects.iter().filter(of_kind).cloned().collect::<Vec<_>>()).await?;
    }
    Ok(())
}

async fn install_hub(hub: &Apiserver) -> Result<()> {
    let client = hub.client(&User::system(), "admin");
    apply(&client, read_folder(&project_root().join("crds/yaml"))?).await?;
    apply(&client, read_folder(&project_root().join("deploy/hub"))?).await?;
    for name in SITES {
        let data = json!({ "kubeconfig": kubeconfig(name), "recoveryKubeconfig": kubeconfig(name) });
        world::apply(&client, &[secret(&format!("site-{name}"), &json!({}), &data)?]).await?;
    }
    // The key that signs chains is made by the first operator that needs it, and would be another one in every run.
    world::apply(&client, &[secret("recovery-signing-key", &json!({}), &json!({ "key": evidence::signing_key() }))?])
        .await?;
    let mark = json!({ "zhengyun.io/department": "finance" });
    let key = json!({ "key": data_encoding::BASE64.encode(&[7; 32]) });
    world::apply(&client, &[secret("key-finance", &mark, &key)?]).await?;
    let key = json!({ "accessKeyId": "simulated", "secretAccessKey": "simulated-token-of-buckets" });
    world::apply(&client, &[secret("buckets", &json!({}), &key)?]).await?;
    for (name, department) in [("database-invoices", "finance"), ("drill-server", "drill")] {
        let mark = json!({ "zhengyun.io/department": department });
        let login = json!({ "username": "app", "password": "simulated-token-of-a-database", "ca.crt": "simulated" });
        world::apply(&client, &[secret(name, &mark, &login)?]).await?;
    }
    Ok(())
}

fn secret(name: &str, labels: &Value, data: &Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": name, "namespace": "zhengyun-system", "labels": labels }, "stringData": data
    }))?)
}

async fn install_site(site: &Apiserver) -> Result<()> {
    let client = site.client(&User::system(), "admin");
    apply(&client, read_folder(&project_root().join("deploy/site"))?).await?;
    provisioner::install_simulated(&client).await
}

/// A kubeconfig that names a simulated site: its certificate is never looked at, for nothing is connected to.
fn kubeconfig(name: &str) -> String {
    let pem = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n";
    let config: Value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "site",
        "clusters": [{ "name": "site", "cluster": {
            "server": format!("https://{name}.simulated.invalid:6443"),
            "certificate-authority-data": data_encoding::BASE64.encode(pem.as_bytes())
        } }],
        "users": [{ "name": "driver", "user": { "token": format!("simulated-token-of-{name}") } }],
        "contexts": [{ "name": "site", "context": { "cluster": "site", "user": "driver" } }]
    });
    config.to_string()
}
