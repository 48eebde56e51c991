//! Ledgers: an administrator's acceptance is passed to the writer; charged objects that vanish are quarantined.

use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use tokio_util::sync::CancellationToken;
use zhengyun_crds::ledger::Ledger;

use super::Context;
use crate::ledger::SiteLedger;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::watches::{Kind, Watched};

/// Passes an acceptance to the ledger's writer.
///
/// # Errors
/// When the ledger is not open yet.
pub async fn reconcile(context: Arc<Context>, ledger: Arc<Ledger>) -> Outcome {
    let Some(acceptance) = &ledger.spec.acceptance else { return Ok(Action::await_change()) };
    let status = ledger.status.clone().unwrap_or_default();
    if status.held.is_none() && status.quarantine.is_empty() {
        return Ok(Action::await_change());
    }
    let site = ledger.name_any();
    let open = context.ledger.site(&site).map_err(|e| ReconcileError::Transient(e.to_string()))?;
    if open.accept(&acceptance.digest).await {
        let note = format!("books accepted by {}: {}", acceptance.by, acceptance.reason);
        context.events.normal(ledger.as_ref(), "Accept", "Balanced", &note);
        tracing::warn!(site, by = acceptance.by, reason = acceptance.reason, "an administrator accepted the books");
    } else {
        let note =
            format!("the books changed since the audit with digest {}; audit again and accept that", acceptance.digest);
        // Every look at a held ledger comes by here while a former acceptance stands: the log suffices.
        tracing::info!(site, note, "an acceptance does not fit the books");
    }
    Ok(Action::await_change())
}

/// Watches for charged objects that vanish although their finalizer should have kept them.
pub async fn watch_vanishing<K>(context: Arc<Context>, watched: Watched<K>, shutdown: CancellationToken)
where
    K: Kind + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
{
    let mut changes = watched.changes();
    loop {
        let object = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            object = changes.next() => object,
        };
        let Some(object) = object else { return };
        let (Some(namespace), name, Some(uid)) = (object.namespace(), object.name_any(), object.uid()) else {
            continue;
        };
        let there = watched.get_in(&namespace, &name).is_some_and(|o| o.uid().as_ref() == Some(&uid));
        // A plan holds something at each of its stores' sites.
        let holding: Vec<SiteLedger> =
            context.ledger.all().into_iter().filter(|site| !site.booked(&uid).is_zero()).collect();
        if there || holding.is_empty() {
            continue;
        }
        // The cache says that it is gone; only the API server may say so for the books.
        match context.namespaced::<K>(&namespace).get_opt(&name).await {
            Ok(found) if found.as_ref().and_then(ResourceExt::uid).as_ref() == Some(&uid) => {}
            Ok(_) => {
                for site in holding {
                    site.quarantine(&uid).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, name, "cannot tell whether a charged object vanished; the next start of the operator will");
            }
        }
    }
}
