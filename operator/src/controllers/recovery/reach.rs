//! The way of a run's process into a site, and the facts about grants that decide where it may go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use zhengyun_crds::recovery::{StoreBackend, SystemBackup, SystemRestore};
use zhengyun_crds::site::{Delivery, ExternalSources};
use zhengyun_crds::{GrantPhase, ResourceGrant, marks};
use zhengyun_domain::recovery::backup::{Observed, grant_facts, is_readable, store_facts};
use zhengyun_domain::recovery::place::Place;

use super::Context;
use crate::controllers::{backup, department_of, restore};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;
use crate::runtime::watches::{Kind, Watched};
use crate::site::driver::{Access, SiteDriver};
use crate::site::kubeconfig::Credential;
use crate::site::link::SiteLink;

/// A namespace that a grant has at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Site.
    pub site: String,
    /// Grant.
    pub grant: String,
    /// UID of the grant.
    pub uid: String,
    /// Namespace.
    pub namespace: String,
    /// Information system that it is for.
    pub system: String,
}

/// Where a grant of a department stands, if it is in service.
pub fn ground(context: &Context, namespace: &str, grant: &str) -> Option<Ground> {
    let held = context.watches.grants.get_in(namespace, grant)?;
    if crate::controllers::grant::phase(&held) != GrantPhase::InService {
        return None;
    }
    stands(&held, grant)
}

/// Where a grant of a department stands, if there is something to read: one that is being ended and is kept until it is backed up counts.
pub fn readable(context: &Context, namespace: &str, grant: &str) -> Option<Ground> {
    let held = context.watches.grants.get_in(namespace, grant)?;
    if is_readable(&held) { stands(&held, grant) } else { None }
}

fn stands(held: &ResourceGrant, grant: &str) -> Option<Ground> {
    Some(Ground {
        site: held.spec.site.clone(),
        grant: grant.to_owned(),
        uid: held.uid().unwrap_or_default(),
        namespace: held.status.as_ref()?.namespace.clone()?,
        system: held.spec.system.clone(),
    })
}

/// What the planner of backups looks at, for one department.
pub fn observed(context: &Context, namespace: &str) -> Observed {
    let department = department_of(namespace).to_owned();
    let grants = context.watches.grants.matching(|g| g.namespace().as_deref() == Some(namespace));
    Observed {
        grants: grants.iter().map(|held| (held.name_any(), grant_facts(&department, held))).collect(),
        stores: context.watches.stores.all().iter().map(|store| (store.name_any(), store_facts(store))).collect(),
        places: context.watches.sites.all().iter().map(|site| (site.name_any(), place(&site.name_any()))).collect(),
        declared: declared(context),
        folders: super::of(context).map(|recovery| recovery.folders().facts()).unwrap_or_default(),
        created: context.clock.now(),
        department,
    }
}

/// What sites declare of what is outside the cloud, by site.
pub fn declared(context: &Context) -> BTreeMap<String, ExternalSources> {
    let sites = context.watches.sites.all();
    sites.iter().filter_map(|site| Some((site.name_any(), site.spec.external_sources.clone()?))).collect()
}

/// Whether the watches show everything that runs of a department rest on as the hub has it at this moment.
pub async fn is_shown(context: &Context, namespace: &str) -> Result<bool, ReconcileError> {
    let w = &context.watches;
    Ok(same(&w.plans, context.namespaced(namespace), Some(namespace)).await?
        && same(&w.backups, context.namespaced(namespace), Some(namespace)).await?
        && same(&w.grants, context.namespaced(namespace), Some(namespace)).await?
        && same(&w.systems, context.namespaced(namespace), Some(namespace)).await?
        && same(&w.stores, context.cluster(), None).await?
        && same(&w.sites, context.cluster(), None).await?)
}

async fn same<K: Kind>(watched: &Watched<K>, api: Api<K>, namespace: Option<&str>) -> Result<bool, ReconcileError> {
    let there = api.list_metadata(&ListParams::default()).await?;
    let there: BTreeSet<_> = there.iter().map(|found| (found.name_any(), found.resource_version())).collect();
    let shown = watched.matching(|held| held.namespace().as_deref() == namespace);
    Ok(shown.iter().map(|held| (held.name_any(), held.resource_version())).collect::<BTreeSet<_>>() == there)
}

/// Only that the site exists matters to a single run; what fails together is the plan's business.
fn place(site: &str) -> Place {
    Place { site: site.to_owned(), ..Place::default() }
}

/// Where a store keeps its bytes; none if it is not registered.
pub fn backend_of(context: &Context, store: &str) -> Option<StoreBackend> {
    context.watches.stores.get(store).map(|store| store.spec.backend.clone())
}

/// The connection to a site that may be written to.
pub fn link(context: &Context, site: &str) -> Result<Arc<SiteLink>, String> {
    let link = context.links.get(site).ok_or_else(|| format!("site {site} is not connected"))?;
    if link.state().reachable == Some(false) {
        return Err(format!("site {site} does not answer; it goes on by itself once it does"));
    }
    Ok(link)
}

/// Lets the account of recovery into a namespace.
pub async fn open(context: &Context, ground: &Ground, access: Access) -> Result<(), String> {
    let link = link(context, &ground.site)?;
    link.open_access(&ground.namespace, &ground.uid, access).await.map_err(|e| e.to_string())
}

/// How soon a site that did not answer is asked again to shut the account out. The record of the run stays open until then.
pub const SHUT_AGAIN: Duration = Duration::from_secs(30);

/// Shuts it out. If the record of the run is deleted while its site does not answer, the binding stays until the next end of a run there,
/// or the end of the grant.
pub async fn close(context: &Context, ground: &Ground, access: Access) -> Result<(), String> {
    let link = link(context, &ground.site)?;
    link.close_access(&ground.namespace, &ground.uid, access).await.map_err(|e| e.to_string())
}

/// Shuts it out when a run of a department has ended, unless another one is in there by the same way: whoever ends last shuts the door.
///
/// That a run has ended is written down before it comes here, and the others are read from the hub: of two that end side by side at
/// least one sees that it is the last.
///
/// # Errors
/// When the hub does not answer. That the site does not is the inner error.
pub async fn leave(
    context: &Context,
    namespace: &str,
    uid: Option<&str>,
    (ground, access): (&Ground, Access),
) -> Result<Result<(), String>, ReconcileError> {
    let (everything, other) = (ListParams::default(), |one: &ObjectMeta| one.uid.as_deref() != uid);
    let backups: Api<SystemBackup> = context.namespaced(namespace);
    let reads = |one: &SystemBackup| other(&one.metadata) && backup::is_inside(context, one).contains(ground);
    let restores: Api<SystemRestore> = context.namespaced(namespace);
    let restores_there = |one: &SystemRestore| {
        other(&one.metadata)
            && restore::is_inside(context, one).is_some_and(|(there, by)| there == *ground && by == access)
    };
    // A backup never comes in to write.
    if (access == Access::Read && backups.list(&everything).await?.iter().any(reads))
        || restores.list(&everything).await?.iter().any(restores_there)
    {
        return Ok(Ok(()));
    }
    Ok(close(context, ground, access).await)
}

/// Gives a task the address of a site and the token of its account of recovery; or says what is missing.
pub async fn credential(context: &Context, site: &str, task: &mut Task) -> Result<Result<(), String>, ReconcileError> {
    let Some(found) = context.watches.sites.get(site) else { return Ok(Err(format!("there is no site {site}"))) };
    let Delivery::Direct(direct) = &found.spec.delivery;
    let (name, key) = (&direct.secret_name, marks::RECOVERY_KUBECONFIG_KEY);
    let secrets: Api<Secret> = context.namespaced(marks::SYSTEM_NAMESPACE);
    let secret = secrets.get_opt(name).await?;
    let text = secret
        .as_ref()
        .and_then(|secret| secret.data.as_ref()?.get(key))
        .and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
    let Some(text) = text else {
        return Ok(Err(format!(
            "Secret {name} in {} has no key {key}: the cloud administrator puts a kubeconfig of the site's account {} there",
            marks::SYSTEM_NAMESPACE,
            marks::RECOVERY_ACCOUNT
        )));
    };
    let credential = match Credential::read(&text) {
        Ok(credential) => credential,
        Err(error) => return Ok(Err(format!("Secret {name}, key {key}: {error}"))),
    };
    let Some((server, authority, token)) = credential.parts() else {
        return Ok(Err(format!("Secret {name}, key {key}: a token is needed, not a client certificate")));
    };
    task.option("--server", server);
    task.secret("--server-ca-file", "server-ca.pem", authority.into());
    task.secret("--server-token-file", "server-token", token);
    Ok(Ok(()))
}
