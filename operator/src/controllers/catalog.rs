//! Catalogue items: checked when they change, before anyone can order them.

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use zhengyun_crds::catalog::{CatalogItem, CatalogItemStatus};
use zhengyun_crds::{ConditionType, Reason};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::{catalog, digest};

use super::Context;
use crate::runtime::controller::Outcome;
use crate::runtime::hub::replace_status;

/// Brings an item's status up to date.
///
/// # Errors
/// When the hub does not take the status.
pub async fn reconcile(context: Arc<Context>, item: Arc<CatalogItem>) -> Outcome {
    let status = plan(&item, context.clock.now());
    if item.status.as_ref() != Some(&status) {
        replace_status(&context.cluster(), item.as_ref(), item.status.as_ref(), &status).await?;
    }
    Ok(Action::await_change())
}

fn plan(item: &CatalogItem, now: Timestamp) -> CatalogItemStatus {
    let before = item.status.clone().unwrap_or_default();
    let faults = catalog::review(&item.spec);
    let mut set = ConditionSet::new(&before.conditions, item.metadata.generation, now);
    if faults.is_empty() {
        set.yes(ConditionType::Ready, Reason::Accepted, "can be ordered");
        set.yes(ConditionType::Accepted, Reason::Accepted, "schema, charges, ceilings and template are sound");
    } else {
        let message = faults.iter().map(|f| format!("{}: {}", f.pointer, f.message)).collect::<Vec<_>>().join("; ");
        // The first fault's code; the message names all.
        let code = faults.first().map(|f| f.rule.as_str());
        let reason = Reason::ALL.iter().copied().find(|r| Some(r.as_str()) == code).unwrap_or(Reason::Invalid);
        set.stalled(reason, message.clone());
        set.no(ConditionType::Accepted, reason, message);
    }
    CatalogItemStatus {
        observed_generation: item.metadata.generation.unwrap_or_default(),
        digest: Some(digest::of(&item.spec)),
        summary: item.spec.charges.keys().cloned().collect::<Vec<_>>().join(", "),
        conditions: set.finish(),
    }
}
