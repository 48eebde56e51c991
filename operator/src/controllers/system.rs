//! Information systems: accepted as the API server accepted them; the guards act when something is ordered for one.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use zhengyun_crds::system::{InformationSystem, InformationSystemStatus};
use zhengyun_crds::{ConditionType, Reason};
use zhengyun_domain::condition::ConditionSet;

use super::Context;
use crate::runtime::controller::Outcome;
use crate::runtime::hub::replace_status;

/// Brings a system's status up to date.
///
/// # Errors
/// When the hub does not take the status.
pub async fn reconcile(context: Arc<Context>, system: Arc<InformationSystem>) -> Outcome {
    let status = plan(&system, context.clock.now());
    if system.status.as_ref() != Some(&status) {
        let api = context.namespaced(&system.namespace().unwrap_or_default());
        replace_status(&api, system.as_ref(), system.status.as_ref(), &status).await?;
    }
    Ok(Action::await_change())
}

fn plan(system: &InformationSystem, now: Timestamp) -> InformationSystemStatus {
    let before = system.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, system.metadata.generation, now);
    set.yes(
        ConditionType::Ready,
        Reason::Accepted,
        "registered; its protection level and zone are held against the site of every order",
    );
    InformationSystemStatus {
        observed_generation: system.metadata.generation.unwrap_or_default(),
        conditions: set.finish(),
    }
}
