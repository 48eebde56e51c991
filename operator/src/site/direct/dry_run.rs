//! Trying objects at the site before anything is charged.

use std::time::Duration;

use futures::StreamExt;
use kube::core::Status;
use serde_json::{Value, json};
use zhengyun_crds::request::Finding;
use zhengyun_crds::{Reason, marks};
use zhengyun_domain::condition::cut;
use zhengyun_domain::delivery::Desired;

use super::object::stamped;
use crate::site::SiteError;
use crate::site::call::{Collection, Failure, Write, is_not_served, lacks_rights, said};
use crate::site::link::SiteLink;

/// Objects that are tried at a time.
const AT_A_TIME: usize = 8;

/// Pauses before missing rights are taken for the answer. While rights are installed or renewed at a site, it refuses for a moment what it grants
/// a second later; nobody could correct the order for that. A kind that the operator may never create is still refused, after these.
const RIGHTS_SETTLE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

pub(super) async fn dry_run(link: &SiteLink, objects: &[Desired]) -> Result<Vec<Finding>, SiteError> {
    let epoch = link.permit()?;
    let one_by_one: Vec<_> =
        objects.iter().enumerate().map(|(index, object)| tried(link, index, object, epoch)).collect();
    let found: Vec<_> = futures::stream::iter(one_by_one).buffered(AT_A_TIME).collect().await;
    let mut findings = Vec::new();
    for found in found {
        findings.extend(found?);
    }
    Ok(findings)
}

async fn tried(link: &SiteLink, index: usize, object: &Desired, epoch: i64) -> Result<Vec<Finding>, SiteError> {
    let entry = &object.entry;
    let mut body = stamped(&object.body, epoch, None);
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), json!(marks::DRY_RUN_NAMESPACE));
    }
    let place = Collection::of(&entry.group, &entry.version, &entry.kind, &entry.plural, marks::DRY_RUN_NAMESPACE);
    let mut pauses = RIGHTS_SETTLE.iter();
    loop {
        match link.create(&place, &entry.name, &body, Write::Try).await {
            Ok(_) => return Ok(Vec::new()),
            // Everything was checked before the name was found to be taken; nothing is ever stored there.
            Err(Failure::Answer(status)) if status.reason == "AlreadyExists" => return Ok(Vec::new()),
            // Something else changed while it was tried, such as the use of a quota there: that is no word about the object.
            Err(Failure::Answer(status)) if status.reason == "Conflict" => {
                let what = format!("dry run of {}", entry.name);
                return Err(SiteError::Changed { site: link.name().to_owned(), what });
            }
            Err(Failure::Answer(status)) => match pauses.next().filter(|_| lacks_rights(&status)) {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Ok(findings(link.name(), index, object, &status)),
            },
            Err(Failure::Site(error)) => return Err(error),
        }
    }
}

/// What the site says against an object: one finding per field that it names.
fn findings(site: &str, index: usize, object: &Desired, status: &Status) -> Vec<Finding> {
    let (kind, name) = (&object.entry.kind, &object.entry.name);
    let finding = |field: &str, message: String| Finding {
        pointer: cut(format!("/bundle/objects/{index}{}", pointer(field)), 240),
        rule: Reason::DryRunRefused.as_str().to_owned(),
        message: cut(message, 1000),
    };
    if is_not_served(status) {
        let message = format!(
            "site {site} does not have the kind {kind} ({}/{}); choose another site, or have its operator installed there",
            object.entry.group, object.entry.version
        );
        return vec![finding("", message)];
    }
    if lacks_rights(status) {
        let message = format!(
            "{kind} {name}: site {site} gives the operator no right to create such objects: {}; have the rights of deploy/site installed there, or the item corrected",
            said(status)
        );
        return vec![finding("", message)];
    }
    let causes = status.details.iter().flat_map(|d| &d.causes).filter(|c| !c.field.is_empty() && c.field != "<nil>");
    let named: Vec<Finding> = causes
        .map(|c| {
            finding(
                &c.field,
                format!(
                    "{kind} {name}, {}: {}; correct the parameters of the item, or have the item corrected",
                    c.field, c.message
                ),
            )
        })
        .collect();
    if named.is_empty() {
        return vec![finding(
            "",
            format!(
                "{kind} {name} is refused by site {site}: {}; correct the parameters of the item, or have the item corrected",
                said(status)
            ),
        )];
    }
    named
}

/// `spec.storage[0].size` as a JSON pointer.
fn pointer(field: &str) -> String {
    field
        .split(['.', '['])
        .map(|step| step.trim_end_matches(']').trim_matches('"'))
        .filter(|s| !s.is_empty())
        .fold(String::new(), |pointer, step| zhengyun_domain::finding::pointer_to(&pointer, step))
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn fields_become_pointers() {
        assert_eq!(pointer("spec.storage[0].size"), "/spec/storage/0/size");
        assert_eq!(pointer("metadata.annotations[a/b]"), "/metadata/annotations/a~1b");
        assert_eq!(pointer(""), "");
    }
}
