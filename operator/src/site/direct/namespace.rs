//! Whose a namespace at a site is.

use serde_json::Value;
use zhengyun_crds::grant::InventoryEntry;
use zhengyun_crds::marks;
use zhengyun_domain::seeded::{self, Bug};

use crate::site::SiteError;
use crate::site::call::{Collection, label, text};
use crate::site::link::SiteLink;

/// The namespace of a grant at its site, as it is now.
pub(super) enum Found {
    /// There is none of that name.
    Gone,
    /// It is the grant's.
    Ours(Value),
    /// One of that name is somebody else's.
    Foreign,
}

/// Reads the namespace from the newest state, and tells whose it is.
///
/// It is the grant's by its recorded UID. Before the UID was recorded, by its labels, which admission at the site lets nobody else
/// write: those of the very grant where its UID is given, those of Zhengyun otherwise.
pub(super) async fn find(
    link: &SiteLink,
    namespace: &str,
    inventory: &[InventoryEntry],
    grant_uid: Option<&str>,
) -> Result<Found, SiteError> {
    let what = format!("GET Namespace {namespace}");
    let found = link.get(&Collection::namespaces(), namespace).await.map_err(|f| f.unexpected(link, &what))?;
    let Some(live) = found else { return Ok(Found::Gone) };
    let known = inventory
        .iter()
        .find(|e| e.kind == "Namespace" && e.group.is_empty() && e.name == namespace)
        .and_then(|e| e.uid.as_deref());
    let ours = match (known, grant_uid) {
        (Some(uid), _) => text(&live, "/metadata/uid") == uid,
        (None, Some(grant_uid)) => label(&live, marks::LABEL_GRANT_UID) == grant_uid,
        (None, None) => {
            label(&live, marks::LABEL_MANAGED_BY) == marks::MANAGED_BY
                && !label(&live, marks::LABEL_GRANT_UID).is_empty()
        }
    };
    Ok(if ours || seeded::is(Bug::ForeignDeleted) { Found::Ours(live) } else { Found::Foreign })
}
