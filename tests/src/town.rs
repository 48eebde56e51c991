//! A hub with sites, the product's programs and the whole world, in the test's own process: what cluster tests start from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::{Api, Client};
use serde_json::Value;
use zhengyun_crds::{GrantPhase, RequestPhase, ResourceGrant, ResourceRequest, condition};

use crate::lab::wait::settled;
use crate::lab::{Component, Lab, LabOptions};
use crate::world;
use crate::world::door::Door;

/// Longest wait for what takes the product a second or two; a build beside it makes it slower.
pub const SOON: Duration = Duration::from_mins(1);

/// A running lab with the world of the demo. Dropping it ends every process.
#[derive(Debug)]
pub struct Town {
    // Ends before the lab: fields are dropped in this order.
    operator: Arc<Component>,
    api: Arc<Component>,
    lab: Lab,
}

impl Town {
    /// A temporary lab with these sites, `hohhot` and `ulanqab` among them, and the world of the demo.
    ///
    /// # Errors
    /// What did not come up.
    pub async fn start(sites: &[&str]) -> Result<Self> {
        Self::start_with(LabOptions::new(sites)?, &[]).await
    }

    /// [`Town::start`] with other options, and flags for the operator.
    ///
    /// # Errors
    /// What did not come up.
    pub async fn start_with(options: LabOptions, operator: &[String]) -> Result<Self> {
        let lab = Lab::start(options).await?;
        let operator = Arc::new(lab.start_operator("", operator)?);
        let api = Arc::new(lab.start_api("", &[])?);
        let town = Self { operator, api, lab };
        world::establish(&town.client_of("cloud-admin")?, &town.admin()?, &mut |_| {}).await?;
        town.api_ready().await?;
        Ok(town)
    }

    /// The lab.
    pub const fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The operator that was started first.
    pub const fn operator(&self) -> &Arc<Component> {
        &self.operator
    }

    /// The API.
    pub const fn api(&self) -> &Arc<Component> {
        &self.api
    }

    /// A client of the hub with all rights, for looking and for what only a cluster administrator can break.
    pub fn admin(&self) -> Result<Client> {
        self.lab.hub().client_admin()
    }

    /// A client of a site with all rights.
    pub fn site_admin(&self, site: &str) -> Result<Client> {
        self.lab.site(site)?.client_admin()
    }

    /// A client of the hub as a person, with the person's own token.
    pub fn client_of(&self, person: &str) -> Result<Client> {
        self.lab.hub().client_for(person)
    }

    /// The kubeconfig of a person.
    pub fn kubeconfig_of(&self, person: &str) -> PathBuf {
        self.lab.hub().person_kubeconfig(person)
    }

    /// Where the API listens.
    pub fn api_url(&self) -> Result<&str> {
        self.api.url().context("the API has an address")
    }

    /// A person at the API's door.
    pub fn door(&self, person: &str) -> Result<Door> {
        Ok(Door::new(self.api_url()?, &self.lab.hub().person_token(person)?))
    }

    /// Somebody without a token at the API's door.
    pub fn stranger(&self) -> Result<Door> {
        Ok(Door::new(self.api_url()?, ""))
    }

    /// A request as the hub has it.
    pub async fn request(&self, department: &str, name: &str) -> Result<ResourceRequest> {
        Ok(self.requests(department)?.get(name).await?)
    }

    /// A grant as the hub has it.
    pub async fn grant(&self, department: &str, name: &str) -> Result<ResourceGrant> {
        Ok(self.grants(department)?.get(name).await?)
    }

    /// The requests of a department, with all rights.
    pub fn requests(&self, department: &str) -> Result<Api<ResourceRequest>> {
        Ok(Api::namespaced(self.admin()?, &format!("dept-{department}")))
    }

    /// The grants of a department, with all rights.
    pub fn grants(&self, department: &str) -> Result<Api<ResourceGrant>> {
        Ok(Api::namespaced(self.admin()?, &format!("dept-{department}")))
    }

    /// Waits until a request is in a phase, and returns it.
    ///
    /// # Errors
    /// What it was in instead, and what it says.
    pub async fn in_phase(&self, department: &str, name: &str, phase: RequestPhase) -> Result<ResourceRequest> {
        settled(&format!("request {name} in phase {phase}"), SOON, || async {
            let request = self.request(department, name).await?;
            let status = request.status.clone().unwrap_or_default();
            let seen = format!("{:?}, {:?}, {}", status.phase, status.refusal, said(&status.conditions));
            Ok(if status.phase == Some(phase) { Ok(request) } else { Err(seen) })
        })
        .await
    }

    /// Waits until a request is refused, and returns reason and message.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn refused(&self, department: &str, name: &str) -> Result<(String, String)> {
        settled(&format!("request {name} refused"), SOON, || async {
            let status = self.request(department, name).await?.status.unwrap_or_default();
            let seen = format!("{:?}, {}", status.phase, said(&status.conditions));
            Ok(status.refusal.map(|r| (r.reason, r.message)).ok_or(seen))
        })
        .await
    }

    /// Waits until a grant is as wanted, and returns it.
    ///
    /// # Errors
    /// What it was instead.
    pub async fn grant_when(
        &self,
        department: &str,
        name: &str,
        what: &str,
        wanted: impl Fn(&ResourceGrant) -> bool,
    ) -> Result<ResourceGrant> {
        settled(&format!("grant {name} {what}"), SOON, || async {
            let grant = self.grant(department, name).await?;
            let status = grant.status.clone().unwrap_or_default();
            let seen = format!("{:?} {:?}: {}", status.phase, status.step, said(&status.conditions));
            Ok(if wanted(&grant) { Ok(grant) } else { Err(seen) })
        })
        .await
    }

    /// Creates a request with kubectl's means and submits it at once; `spec` is the order.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn submit(&self, clerk: &str, department: &str, name: &str, order: &Value) -> Result<ResourceRequest> {
        let api: Api<ResourceRequest> = Api::namespaced(self.client_of(clerk)?, &format!("dept-{department}"));
        Ok(api.create(&kube::api::PostParams::default(), &submitted(name, clerk, order)?).await?)
    }

    async fn api_ready(&self) -> Result<()> {
        let url = format!("{}/readyz", self.api.metrics_url());
        settled("the API ready", SOON, || async {
            let status = reqwest::get(&url).await?.status();
            Ok(if status.is_success() { Ok(()) } else { Err(format!("/readyz answers {status}")) })
        })
        .await
    }
}

/// A request as a clerk writes it with kubectl, submitted.
///
/// # Errors
/// When the order is none.
pub fn submitted(name: &str, clerk: &str, order: &Value) -> Result<ResourceRequest> {
    Ok(serde_json::from_value(serde_json::json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceRequest", "metadata": { "name": name },
        "spec": { "order": order, "submission": 1, "requestedBy": clerk, "editedBy": clerk }
    }))?)
}

/// Phase of a grant; Pending before it was charged.
pub fn phase_of(grant: &ResourceGrant) -> GrantPhase {
    grant.status.as_ref().and_then(|s| s.phase).unwrap_or(GrantPhase::Pending)
}

/// What conditions say, in one line.
pub fn said(conditions: &[zhengyun_crds::Condition]) -> String {
    let ready = condition::find(conditions, zhengyun_crds::ConditionType::Ready);
    ready.map_or_else(|| "no condition".to_owned(), |c| format!("Ready={} {}: {}", c.status, c.reason, c.message))
}
