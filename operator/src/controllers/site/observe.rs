//! What is found out about a site: its credential, whether it answers, who it is, its fence, what stands there.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use zhengyun_crds::ledger::Held;
use zhengyun_crds::site::{Delivery, Site};
use zhengyun_crds::{Reason, marks};
use zhengyun_domain::amounts::Amounts;
use zhengyun_domain::seeded::{self, Bug};

use super::super::Context;
use crate::ledger::SiteLedger;
use crate::site::fence::{self, FenceState};
use crate::site::link::SiteLink;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Why the credential cannot be used.
    pub(super) credential_fault: Option<String>,
    /// When the credential expires.
    pub(super) expires: Option<Timestamp>,
    /// Why the site does not answer.
    pub(super) unreachable: Option<String>,
    /// Kubernetes version.
    pub(super) version: Option<String>,
    /// Identity as the site shows it.
    pub(super) identity: Option<String>,
    /// Why the site may not be written to.
    pub(super) identity_fault: Option<(Reason, String)>,
    /// Epoch of the fence.
    pub(super) fence_epoch: Option<i64>,
    /// What the cluster's nodes offer.
    pub(super) allocatable: Option<Amounts>,
    /// Labelled namespaces of grants that the hub does not know, or that are over.
    pub(super) strangers: Vec<String>,
    /// Whether the site was searched for them.
    pub(super) swept: bool,
}

pub(super) async fn observe(context: &Context, site: &Site, ledger: &SiteLedger) -> Found {
    let mut found = Found::default();
    let Some(link) = connect(context, site, &mut found).await else { return found };
    link.set_epoch(ledger.epoch());
    if let Err(error) = look(context, site, ledger, &link, &mut found).await {
        found.unreachable = Some(error);
    }
    found
}

async fn connect(context: &Context, site: &Site, found: &mut Found) -> Option<Arc<SiteLink>> {
    let Delivery::Direct(direct) = &site.spec.delivery;
    let secrets: Api<Secret> = context.namespaced(marks::SYSTEM_NAMESPACE);
    let name = &direct.secret_name;
    let secret = match secrets.get_opt(name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            found.credential_fault = Some(format!(
                "spec.delivery.direct.secretName: there is no Secret {name} in {}; create it with the key kubeconfig",
                marks::SYSTEM_NAMESPACE
            ));
            return None;
        }
        Err(error) => {
            found.credential_fault =
                Some(format!("spec.delivery.direct.secretName: Secret {name} cannot be read: {error}"));
            return None;
        }
    };
    let text = secret
        .data
        .as_ref()
        .and_then(|d| d.get(marks::KUBECONFIG_KEY))
        .and_then(|b| String::from_utf8(b.0.clone()).ok());
    let Some(text) = text else {
        found.credential_fault = Some(format!("Secret {name} has no key {} with text in it", marks::KUBECONFIG_KEY));
        return None;
    };
    match context.links.connect(&site.name_any(), &text).await {
        Ok(link) => {
            found.expires = link.credential_expires();
            Some(link)
        }
        Err(error) => {
            let quoted = if seeded::is(Bug::TokenTold) { text.as_str() } else { "" };
            found.credential_fault = Some(format!("Secret {name}: {error}{quoted}"));
            context.links.drop_site(&site.name_any());
            None
        }
    }
}

async fn look(
    context: &Context,
    site: &Site,
    ledger: &SiteLedger,
    link: &Arc<SiteLink>,
    found: &mut Found,
) -> Result<(), String> {
    let name = site.name_any();
    found.version = Some(fence::version(link).await.map_err(|e| e.to_string())?);
    let cluster = fence::cluster_uid(link).await.map_err(|e| e.to_string())?;
    if let Some(twin) = twin(context, &name, &cluster) {
        let message = format!("this cluster is registered already as site {twin}; delete one of the two");
        found.identity_fault = Some((Reason::DuplicateSite, message));
        link.refuse_writes(true);
        return Ok(());
    }
    let expected =
        site.spec.expected_identity.as_ref().or_else(|| site.status.as_ref().and_then(|s| s.identity.as_ref()));
    if let Some(expected) = expected
        && expected.split('/').next() != Some(cluster.as_str())
    {
        let message = format!(
            "the cluster is {cluster}, but {expected} was joined; nothing is delivered until spec.expectedIdentity is set to {cluster}, if the cluster was replaced on purpose"
        );
        found.identity_fault = Some((Reason::IdentityChanged, message));
        link.refuse_writes(true);
        return Ok(());
    }
    match fence::raise(link, &context.hub_uid, ledger.epoch(), &context.run).await.map_err(|e| e.to_string())? {
        FenceState::Ours { uid } => {
            let now = format!("{cluster}/{uid}");
            let pinned = site.status.as_ref().and_then(|s| s.identity.as_ref());
            let admitted = site.spec.expected_identity.as_ref().is_some_and(|e| *e == now || *e == cluster);
            if let Some(pinned) = pinned.filter(|pinned| **pinned != now && !admitted) {
                let message = format!(
                    "the fence at site {name} was replaced: {now} is there, {pinned} was joined; find out who removed it, then set spec.expectedIdentity to {now}"
                );
                found.identity_fault = Some((Reason::IdentityChanged, message));
                link.refuse_writes(true);
                return Ok(());
            }
            found.identity = Some(now);
            found.fence_epoch = Some(ledger.epoch());
            link.refuse_writes(false);
        }
        FenceState::Ahead { epoch } => {
            let message = format!(
                "the fence at site {name} carries epoch {epoch} of another run, this hub is at {}: the hub was restored to the past, or another hub writes there. Run `zhengyun-operator audit-ledger --site {name}`, compare, then accept with --accept and a reason",
                ledger.epoch()
            );
            link.refuse_writes(true);
            let reason = Reason::HubRestoredToPast;
            ledger
                .hold(
                    Held { reason: reason.as_str().to_owned(), message: message.clone(), digest: String::new() },
                    Some(epoch),
                )
                .await;
            found.identity_fault = Some((reason, message));
        }
        FenceState::ForeignHub { uid } => {
            let message = format!(
                "the fence at site {name} belongs to another hub ({uid}); one site has one hub. Remove the site there first"
            );
            link.refuse_writes(true);
            found.identity_fault = Some((Reason::IdentityChanged, message));
        }
    }
    found.allocatable = fence::allocatable(link).await.map_err(|e| e.to_string())?;
    sweep(context, ledger, link, &name, found).await
}

fn twin(context: &Context, name: &str, cluster: &str) -> Option<String> {
    let ours = |s: &Site| {
        s.status.as_ref().and_then(|s| s.identity.as_deref()).is_some_and(|i| i.split('/').next() == Some(cluster))
    };
    let own = context.watches.sites.get(name).is_some_and(|s| ours(&s));
    // The one that was joined first keeps the cluster.
    context
        .watches
        .sites
        .all()
        .into_iter()
        .find(|s| s.name_any() != name && ours(s))
        .map(|s| s.name_any())
        .filter(|_| !own)
}

/// Finds labelled namespaces of grants that the hub does not know: they hold the ledger, for what is there must be charged.
async fn sweep(
    context: &Context,
    ledger: &SiteLedger,
    link: &Arc<SiteLink>,
    name: &str,
    found: &mut Found,
) -> Result<(), String> {
    found.swept = false;
    for thing in fence::sweep(link).await.map_err(|e| e.to_string())? {
        let namespace = format!("{}{}", marks::DEPARTMENT_NAMESPACE_PREFIX, thing.department);
        let api: Api<zhengyun_crds::ResourceGrant> = context.namespaced(&namespace);
        let cached = context
            .watches
            .grants
            .get_in(&namespace, &thing.grant)
            .filter(|g| g.uid().as_deref() == Some(thing.grant_uid.as_str()));
        let known = match cached {
            Some(grant) => Some(grant.as_ref().clone()),
            // Only the API server may say that the hub does not know it.
            None => api
                .get_opt(&thing.grant)
                .await
                .map_err(|e| e.to_string())?
                .filter(|g| g.uid().as_deref() == Some(thing.grant_uid.as_str())),
        };
        let over = known.as_ref().is_none_or(|g| super::super::grant::phase(g) == zhengyun_crds::GrantPhase::Revoked);
        if over {
            found
                .strangers
                .push(format!("namespace {} of grant {} ({})", thing.namespace, thing.grant, thing.department));
        }
        if known.is_none() && ledger.books().held().is_none() {
            let message = format!(
                "site {name} holds namespace {} of grant {} of {}, which this hub does not know; find out what it is, bring its records back or remove it there (annotate it with zhengyun.io/remove-because=<reason>, then delete it), then run `zhengyun-operator audit-ledger --site {name}` and accept with --accept and a reason",
                thing.namespace, thing.grant, thing.department
            );
            ledger
                .hold(
                    Held { reason: Reason::UnknownGrantAtSite.as_str().to_owned(), message, digest: String::new() },
                    None,
                )
                .await;
        }
    }
    found.swept = true;
    Ok(())
}
