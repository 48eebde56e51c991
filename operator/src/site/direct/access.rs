//! Access of the recovery account to one namespace, for as long as a run lasts.
//!
//! The account can read and write nothing by itself. A RoleBinding in the grant's namespace, written by the driver under the fence,
//! lets it in and goes away with the run; a token that is stolen between runs opens nothing.

use serde_json::{Value, json};
use zhengyun_crds::marks;

use super::super::call::{Collection, Failure, Write, guard, label, text};
use crate::site::SiteError;
use crate::site::driver::Access;
use crate::site::link::SiteLink;

impl Access {
    /// Name of the role, and of the binding to it.
    const fn role(self) -> &'static str {
        match self {
            Self::Read => "zhengyun-recovery-reader",
            Self::Write => "zhengyun-recovery-writer",
        }
    }
}

fn bindings(namespace: &str) -> Collection {
    Collection::of("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", namespace)
}

pub(super) async fn open(link: &SiteLink, namespace: &str, grant_uid: &str, access: Access) -> Result<(), SiteError> {
    let (place, role) = (bindings(namespace), access.role());
    let what = format!("open {namespace} for recovery");
    if find(link, &place, grant_uid, role, &what).await?.is_some() {
        return Ok(());
    }
    let body = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {
            "name": role, "namespace": namespace,
            "labels": { marks::LABEL_MANAGED_BY: marks::MANAGED_BY, marks::LABEL_GRANT_UID: grant_uid },
            "annotations": { marks::ANNOTATION_EPOCH: link.permit()?.to_string() }
        },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{
            "kind": "ServiceAccount", "name": marks::RECOVERY_ACCOUNT, "namespace": marks::SYSTEM_NAMESPACE
        }]
    });
    match link.create(&place, role, &body, Write::Real).await {
        Ok(_) => Ok(()),
        // Made by another run a moment ago.
        Err(Failure::Answer(status)) if status.reason == "AlreadyExists" => {
            find(link, &place, grant_uid, role, &what).await.map(drop)
        }
        Err(failure) => Err(failure.unexpected(link, &what)),
    }
}

pub(super) async fn close(link: &SiteLink, namespace: &str, grant_uid: &str, access: Access) -> Result<(), SiteError> {
    let (place, role) = (bindings(namespace), access.role());
    let what = format!("close {namespace} for recovery");
    let Some(live) = find(link, &place, grant_uid, role, &what).await? else { return Ok(()) };
    // Stamped with the epoch first, because a deletion carries none: so the fence holds for it too.
    let stamp = json!({ "metadata": guard(&live, link.permit()?) });
    let stamped = link.merge(&place, role, &stamp).await.map_err(|f| f.unexpected(link, &what))?;
    let (uid, version) = (text(&stamped, "/metadata/uid"), text(&stamped, "/metadata/resourceVersion"));
    link.delete(&place, role, uid, version).await.map_err(|f| f.unexpected(link, &what))
}

/// The binding, if it is there and ours.
async fn find(
    link: &SiteLink,
    place: &Collection,
    grant_uid: &str,
    role: &str,
    what: &str,
) -> Result<Option<Value>, SiteError> {
    let live = link.get(place, role).await.map_err(|f| f.unexpected(link, what))?;
    match live {
        Some(live) if label(&live, marks::LABEL_GRANT_UID) != grant_uid => Err(SiteError::Refused {
            site: link.name().to_owned(),
            what: what.to_owned(),
            cause: format!("a RoleBinding {role} that is not Zhengyun's stands there; remove it"),
        }),
        other => Ok(other),
    }
}
