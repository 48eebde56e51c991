//! Deletion of one object: stamped with the epoch, then deleted exactly as stamped.

use serde_json::{Value, json};
use zhengyun_crds::marks;
use zhengyun_domain::seeded::{self, Bug};

use crate::site::SiteError;
use crate::site::call::{Collection, Failure, guard, label, said, stamped, text};
use crate::site::link::SiteLink;

/// Turns of read, stamp and delete for an object that others keep writing to.
const TURNS: u8 = 6;

/// What became of an object that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not there, or what is there is somebody else's.
    Gone,
    /// Its deletion was asked for. It may take time, or be done already.
    Going,
    /// The site refused.
    Refused(String),
}

/// Deletes an object that has the recorded UID or the grant's label; any other is left alone.
pub(super) async fn delete(
    link: &SiteLink,
    at: &Collection,
    name: &str,
    uid: &str,
    grant_uid: &str,
) -> Result<Fate, SiteError> {
    let ours = |live: &Value| text(live, "/metadata/uid") == uid || label(live, marks::LABEL_GRANT_UID) == grant_uid;
    remove(link, at, name, grant_uid, ours).await
}

/// Deletes a pod of the grant's namespace, whoever made it, if it is still the one that was seen.
pub(super) async fn delete_pod(
    link: &SiteLink,
    at: &Collection,
    name: &str,
    uid: &str,
    grant_uid: &str,
) -> Result<Fate, SiteError> {
    remove(link, at, name, grant_uid, |live| text(live, "/metadata/uid") == uid).await
}

async fn remove(
    link: &SiteLink,
    at: &Collection,
    name: &str,
    grant_uid: &str,
    ours: impl Fn(&Value) -> bool,
) -> Result<Fate, SiteError> {
    let what = format!("DELETE {name}");
    for _ in 0..TURNS {
        match turn(link, at, name, grant_uid, &ours).await {
            Ok(fate) => return Ok(fate),
            // Somebody wrote to it, or deleted it, between read, stamp and delete.
            Err(Failure::Answer(status)) if matches!(status.code, 404 | 409) => {}
            Err(Failure::Answer(status)) => return Ok(Fate::Refused(said(&status))),
            Err(Failure::Site(error)) => return Err(error),
        }
    }
    Err(SiteError::Changed { site: link.name().to_owned(), what })
}

async fn turn(
    link: &SiteLink,
    at: &Collection,
    name: &str,
    grant_uid: &str,
    ours: &impl Fn(&Value) -> bool,
) -> Result<Fate, Failure> {
    let anybodys = seeded::is(Bug::ForeignDeleted);
    let Some(live) = link.get(at, name).await?.filter(|live| ours(live) || anybodys) else { return Ok(Fate::Gone) };
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Ok(Fate::Going);
    }
    let epoch = link.permit()?;
    // The stamp is what the fence judges: an operator that was replaced cannot set it, and so cannot delete either.
    let stamped = if stamped(&live) == epoch.to_string() && label(&live, marks::LABEL_GRANT_UID) == grant_uid {
        live
    } else {
        let mut metadata = guard(&live, epoch);
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("labels".to_owned(), json!({ marks::LABEL_GRANT_UID: grant_uid }));
        }
        link.merge(at, name, &json!({ "metadata": metadata })).await?
    };
    link.delete(at, name, text(&stamped, "/metadata/uid"), text(&stamped, "/metadata/resourceVersion")).await?;
    Ok(Fate::Going)
}

/// What a thing that is being deleted waits for, in one line.
pub(super) fn waits_for(kind: &str, live: &Value) -> String {
    let name = text(live, "/metadata/name");
    let finalizers: Vec<&str> = live
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match (live.pointer("/metadata/deletionTimestamp").is_some(), finalizers.is_empty()) {
        (true, false) => format!("{kind} {name} (waits for {})", finalizers.join(", ")),
        (true, true) => format!("{kind} {name} (being deleted)"),
        (false, _) => format!("{kind} {name}"),
    }
}
