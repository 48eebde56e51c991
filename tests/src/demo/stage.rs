//! The people, their doors, and looking at the world until it is as told.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use zhengyun_crds::{ResourceGrant, ResourceRequest};

use crate::lab::supervisor::State;
use crate::world::door::Door;

/// A running lab with its people.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    state: State,
}

impl Stage {
    /// The lab in a folder.
    ///
    /// # Errors
    /// When it does not run.
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self { dir: dir.to_path_buf(), state: State::of_running(dir)? })
    }

    /// The lab's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the API listens.
    pub fn api_url(&self) -> String {
        self.state.urls.get("api").cloned().unwrap_or_default()
    }

    /// The kubeconfig of a person.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn kubeconfig_of(&self, person: &str) -> Result<PathBuf> {
        Ok(self.state.kubeconfig(&format!("person/{person}"))?.to_path_buf())
    }

    /// A Kubernetes client of the hub as a person, with the person's own token.
    ///
    /// # Errors
    /// When there is no such person.
    pub async fn client_of(&self, person: &str) -> Result<Client> {
        client(&self.kubeconfig_of(person)?).await
    }

    /// A client with all rights, only for looking: `hub`, or `site/<name>`.
    ///
    /// # Errors
    /// When there is no such cluster.
    pub async fn watcher(&self, cluster: &str) -> Result<Client> {
        client(self.state.kubeconfig(cluster)?).await
    }

    /// A person at the API's door.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn door(&self, person: &str) -> Result<Door> {
        use secrecy::ExposeSecret as _;
        let config = Kubeconfig::read_from(self.kubeconfig_of(person)?)?;
        let token = config.auth_infos.first().and_then(|a| a.auth_info.as_ref()).and_then(|a| a.token.as_ref());
        let token = token.context("the kubeconfig of a person holds a token")?;
        Ok(Door::new(&self.api_url(), token.expose_secret()))
    }

    /// What tells one run of the story from another on the same lab.
    pub fn suffix(&self) -> String {
        let seconds = jiff::Timestamp::now().as_second() % 100_000;
        format!("{seconds:05}")
    }

    /// A request as the hub has it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn request(&self, department: &str, name: &str) -> Result<ResourceRequest> {
        let api: Api<ResourceRequest> = Api::namespaced(self.watcher("hub").await?, &format!("dept-{department}"));
        Ok(api.get(name).await?)
    }

    /// A grant as the hub has it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn grant(&self, department: &str, name: &str) -> Result<ResourceGrant> {
        let api: Api<ResourceGrant> = Api::namespaced(self.watcher("hub").await?, &format!("dept-{department}"));
        Ok(api.get(name).await?)
    }

    /// Requests and grants in a few words each.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn overview(&self) -> Result<Vec<(String, Vec<String>)>> {
        let client = self.watcher("hub").await?;
        let mut rows = Vec::new();
        let grants: Api<ResourceGrant> = Api::all(client.clone());
        for grant in grants.list(&ListParams::default()).await? {
            let status = grant.status.clone().unwrap_or_default();
            let phase = status.phase.map(|p| p.to_string()).unwrap_or_default();
            rows.push((
                "grant".to_owned(),
                vec![grant.spec.department.clone(), grant.name_any(), grant.spec.site.clone(), phase, status.summary],
            ));
        }
        let requests: Api<ResourceRequest> = Api::all(client);
        for request in requests.list(&ListParams::default()).await? {
            let status = request.status.clone().unwrap_or_default();
            let ready = zhengyun_crds::condition::find(&status.conditions, zhengyun_crds::ConditionType::Ready);
            let says = ready.map(|c| format!("{}: {}", c.reason, c.message)).unwrap_or_default();
            let says: String = says.chars().take(70).collect();
            let department = request.namespace().unwrap_or_default().trim_start_matches("dept-").to_owned();
            let phase = status.phase.map(|p| p.to_string()).unwrap_or_default();
            rows.push((
                "request".to_owned(),
                vec![department, request.name_any(), request.spec.order.site.clone(), phase, says],
            ));
        }
        Ok(rows)
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
