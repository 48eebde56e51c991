//! A grant comes to be: recorded, charged, and from then on delivered. Whoever asked for it takes the decision of the ledger.

use jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use zhengyun_crds::grant::ResourceGrantSpec;
use zhengyun_crds::ledger::{ChargedObject, ObjectCharge};
use zhengyun_crds::{ResourceGrant, marks};
use zhengyun_domain::amounts::Amounts;
use zhengyun_domain::delivery::desired;
use zhengyun_domain::seeded::{self, Bug};
use zhengyun_domain::{grant, naming, quota};

use super::super::Context;
use crate::ledger::SiteLedger;
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub::{is_conflict, replace_status};

/// The grant as the ledger names it.
pub fn charged_object(held: &ResourceGrant) -> ChargedObject {
    ChargedObject {
        kind: "ResourceGrant".to_owned(),
        namespace: held.namespace().unwrap_or_default(),
        name: held.name_any(),
        uid: held.uid().unwrap_or_default(),
    }
}

/// Records a grant. One of that name that is there is returned as it is: the caller looks at where it comes from.
///
/// # Errors
/// When the hub refuses or does not answer.
pub async fn create(
    grants: &Api<ResourceGrant>,
    name: &str,
    namespace: &str,
    spec: ResourceGrantSpec,
    manager: &str,
) -> Result<ResourceGrant, ReconcileError> {
    let body = ResourceGrant {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            finalizers: Some(vec![marks::FINALIZER_GRANT.to_owned()]),
            labels: Some(
                [
                    (marks::LABEL_DEPARTMENT, spec.department.clone()),
                    (marks::LABEL_SYSTEM, spec.system.clone()),
                    (marks::LABEL_SITE, spec.site.clone()),
                ]
                .map(|(k, v)| (k.to_owned(), v))
                .into(),
            ),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    };
    let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
    match grants.create(&params, &body).await {
        Ok(created) => Ok(created),
        Err(error) if is_conflict(&error) => Ok(grants.get(name).await?),
        Err(error) => Err(error.into()),
    }
}

/// Shows what the ledger decided, and with it begins the delivery.
///
/// # Errors
/// When the hub does not answer, or the grant changed meanwhile.
pub async fn show(
    context: &Context,
    ledger: &SiteLedger,
    grants: &Api<ResourceGrant>,
    held: &ResourceGrant,
    (granted, sequence): (&Amounts, i64),
    now: Timestamp,
) -> Result<ResourceGrant, ReconcileError> {
    let uid = held.uid().unwrap_or_default();
    let namespace = naming::site_namespace(&held.spec.department, &held.name_any(), &context.hub_uid, &uid);
    let charge = ObjectCharge {
        site: held.spec.site.clone(),
        sequence,
        reserved: zhengyun_crds::Amounts::new(),
        granted: quota::texts(granted),
    };
    let mut status = grant::charged(held, &namespace, charge, now);
    // One write for the charge and for what is about to be delivered.
    if !seeded::is(Bug::InventoryAfterEffect) {
        status.inventory = desired(held, &namespace, false).into_iter().map(|d| d.entry).collect();
    }
    let written = replace_status(grants, held, held.status.as_ref(), &status).await?;
    ledger.acknowledge(&uid, sequence).await;
    Ok(written)
}
