//! A real hub and real sites on loopback, for tests, figures and the demo.
//!
//! Every Kubernetes process here is the genuine one; what a site provisions is **simulated** and says so.
//! The product's manifests (`deploy/`, `crds/yaml/`) are applied as they are committed, and the operator
//! and the API run with the ServiceAccounts and rights that those manifests create, never with an admin token.

mod assets;
mod background;
pub mod client;
pub mod component;
pub mod control_plane;
pub mod credentials;
mod folder;
pub mod install;
pub mod people;
pub mod postgres;
pub mod proc;
pub mod process;
pub mod provisioner;
pub mod s3;
mod setup;
pub mod supervisor;
pub mod wait;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;

pub use assets::Assets;
pub use component::Component;
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use people::{Person, people};
pub use provisioner::ProvisionerOptions;

use background::Background;
use control_plane::free_port;
use folder::Folder;
use process::Launch;

/// The folder of the workspace, for manifests and fixtures; `ZHENGYUN_ROOT` overrides the one of the build.
pub fn project_root() -> PathBuf {
    if let Some(root) = std::env::var_os("ZHENGYUN_ROOT") {
        return root.into();
    }
    // Cargo tells the folder at run time too; the one of the build may belong to another checkout with the same cache.
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    // Of several crates, so as far up as the lock file is.
    let up = Path::new(&own).ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    up.unwrap_or(Path::new("/")).to_path_buf()
}

/// What a lab consists of.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The names of the sites, such as `hohhot`.
    pub sites: Vec<String>,
    /// Where everything is kept; `None` is a temporary folder that goes with the lab (kept after a panic).
    pub dir: Option<PathBuf>,
    /// Applies the product's CRDs and manifests, and issues its credentials.
    pub product: bool,
    /// Gives the sites the real CRDs of CloudNativePG, COSI and snapshots, and runs the simulated provisioner.
    pub provisioner: Option<ProvisionerOptions>,
    /// How long the product's tokens live (10 minutes at least); they are renewed at half of that.
    pub token_lifetime: Duration,
    /// The users of the hub.
    pub people: Vec<Person>,
    /// etcd skips fsync.
    pub unsafe_no_fsync: bool,
    /// The hub and the sites write `audit.log`.
    pub audit: bool,
}

impl LabOptions {
    /// A temporary lab with the product, the invented people, and fast stores.
    pub fn new(sites: &[&str]) -> Result<Self> {
        Ok(Self {
            sites: sites.iter().map(|&site| site.to_owned()).collect(),
            dir: None,
            product: true,
            provisioner: Some(ProvisionerOptions::default()),
            token_lifetime: Duration::from_hours(1),
            people: people()?,
            unsafe_no_fsync: true,
            audit: false,
        })
    }
}

/// A running hub with its sites; dropping it ends every process.
#[derive(Debug)]
pub struct Lab {
    hub: Arc<ControlPlane>,
    sites: BTreeMap<String, Arc<ControlPlane>>,
    options: LabOptions,
    // Ends before the folder goes: fields are dropped in this order.
    background: Background,
    folder: Folder,
}

impl Lab {
    /// Starts hub and sites and installs the product.
    pub async fn start(options: LabOptions) -> Result<Self> {
        Self::start_telling(options, |_| {}).await
    }

    /// [`Lab::start`], telling each step as it is done.
    pub async fn start_telling(options: LabOptions, tell: impl Fn(&str)) -> Result<Self> {
        let assets = Assets::find()?;
        let folder = Folder::open(options.dir.as_deref())?;
        for part in ["credentials", "logs"] {
            fs::create_dir_all(folder.path().join(part))?;
        }
        let plane_options = ControlPlaneOptions {
            people: Vec::new(),
            unsafe_no_fsync: options.unsafe_no_fsync,
            audit: options.audit,
            apiserver_flags: Vec::new(),
        };
        let begun = Instant::now();
        let names = std::iter::once("hub").chain(options.sites.iter().map(String::as_str));
        let planes = try_join_all(names.map(|name| {
            let (dir, people) = match name {
                "hub" => (folder.path().join("hub"), options.people.clone()),
                site => (folder.path().join("sites").join(site), Vec::new()),
            };
            let (assets, plane_options) = (&assets, ControlPlaneOptions { people, ..plane_options.clone() });
            async move { ControlPlane::start(name, &dir, assets, plane_options).await.map(Arc::new) }
        }))
        .await?;
        tell(&format!("hub and {} sites serve ({:.1} s)", options.sites.len(), begun.elapsed().as_secs_f32()));
        let mut planes = planes.into_iter();
        let hub = planes.next().context("a lab has a hub")?;
        let sites = options.sites.iter().cloned().zip(planes).collect();
        let lab = Self { hub, sites, options, background: Background::start()?, folder };
        lab.install(&assets, &tell).await?;
        Ok(lab)
    }

    /// The hub.
    pub fn hub(&self) -> &Arc<ControlPlane> {
        &self.hub
    }

    /// A site by its name.
    pub fn site(&self, name: &str) -> Result<&Arc<ControlPlane>> {
        match self.sites.get(name) {
            Some(site) => Ok(site),
            None => bail!("no site is called {name}; the sites are: {}", self.options.sites.join(", ")),
        }
    }

    /// The sites by name.
    pub fn sites(&self) -> &BTreeMap<String, Arc<ControlPlane>> {
        &self.sites
    }

    /// The users of the hub.
    pub fn people(&self) -> &[Person] {
        &self.options.people
    }

    /// Hub and sites.
    pub fn planes(&self) -> impl Iterator<Item = &Arc<ControlPlane>> {
        std::iter::once(&self.hub).chain(self.sites.values())
    }

    /// The folder with all data, kubeconfigs and logs.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The kubeconfig of `zhengyun-operator` or `zhengyun-api`, whose token is renewed beside it.
    pub fn component_kubeconfig(&self, component: &str) -> PathBuf {
        credentials::component_kubeconfig(&self.credentials_dir(), component)
    }

    /// Starts an operator; several may run at once under different `instance` names. `flags` go to its command line.
    pub fn start_operator(&self, instance: &str, flags: &[String]) -> Result<Component> {
        let metrics = format!("127.0.0.1:{}", free_port()?);
        self.start_component("zhengyun-operator", instance, None, &metrics, &[("--log-format", "text")], flags)
    }

    /// Starts an API; several may run at once under different `instance` names. `flags` go to its command line.
    pub fn start_api(&self, instance: &str, flags: &[String]) -> Result<Component> {
        let (listen, metrics) = (format!("127.0.0.1:{}", free_port()?), format!("127.0.0.1:{}", free_port()?));
        self.start_component("zhengyun-api", instance, Some(&listen), &metrics, &[("--listen", &listen)], flags)
    }

    /// Renews every credential of the product at once; sites that are stopped keep theirs.
    pub async fn renew_credentials(&self) -> Result<()> {
        self.renew(None).await
    }

    /// Like [`Lab::renew_credentials`], with tokens that [`Lab::revoke_credentials`] makes invalid by the same name.
    pub async fn renew_credentials_bound(&self, secret: &str) -> Result<()> {
        self.renew(Some(secret)).await
    }

    /// Makes the tokens invalid that were bound to a Secret of this name, on the hub and at every site.
    pub async fn revoke_credentials(&self, secret: &str) -> Result<()> {
        for plane in self.planes().filter(|plane| plane.is_running()) {
            let secrets: Api<Secret> = Api::namespaced(plane.client_admin()?, install::SYSTEM_NAMESPACE);
            secrets.delete(secret, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// The token file of `zhengyun-operator` or `zhengyun-api`.
    pub fn component_token(&self, component: &str) -> PathBuf {
        credentials::token_file(&self.credentials_dir(), component)
    }

    async fn renew(&self, bound_to: Option<&str>) -> Result<()> {
        let life = credentials::Life { lifetime: self.options.token_lifetime, bound_to };
        for component in credentials::HUB_COMPONENTS {
            credentials::renew_component(&self.hub, &self.credentials_dir(), component, life).await?;
        }
        for site in self.sites.values().filter(|site| site.is_running()) {
            credentials::renew_site(&self.hub, site, life).await?;
        }
        Ok(())
    }

    /// Stops sites and hub; the data stay if the lab has a folder of its own.
    pub async fn stop(&self) -> Result<()> {
        try_join_all(self.planes().map(|plane| plane.stop())).await.map(drop)
    }

    fn start_component(
        &self,
        name: &str,
        instance: &str,
        listen: Option<&str>,
        metrics: &str,
        own: &[(&str, &str)],
        flags: &[String],
    ) -> Result<Component> {
        let kubeconfig = self.component_kubeconfig(name);
        let kubeconfig = kubeconfig.to_str().context("the lab's folder has a name that is not UTF-8")?;
        let mut pairs = vec![("--kubeconfig", kubeconfig), ("--metrics-listen", metrics)];
        pairs.extend(own);
        let launch = Launch {
            name: if instance.is_empty() { name.to_owned() } else { format!("{name}-{instance}") },
            program: component::binary(name)?,
            args: component::arguments(&pairs, flags),
            env: Vec::new(),
            log: self.logs_dir().join(if instance.is_empty() {
                format!("{name}.log")
            } else {
                format!("{name}-{instance}.log")
            }),
        };
        Component::start(launch, listen.map(|address| format!("http://{address}")), format!("http://{metrics}"))
    }

    fn credentials_dir(&self) -> PathBuf {
        self.folder.path().join("credentials")
    }

    /// Where the product's programs write their logs.
    pub fn logs_dir(&self) -> PathBuf {
        self.folder.path().join("logs")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Tasks still hold hub and sites for a moment; the folder goes only after their processes.
        for plane in self.planes() {
            plane.kill_now();
        }
    }
}
