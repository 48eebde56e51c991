//! Which limits decisions follow while new ones are being recorded.

use kube::ResourceExt;
use zhengyun_crds::amounts::Limits as LimitsText;
use zhengyun_crds::quota::{DepartmentQuota, DepartmentQuotaStatus, UnlistedChildren};
use zhengyun_domain::quota::{self, QuotaLine};

use crate::controllers::Context;
use crate::ledger::SiteLedger;
use crate::runtime::controller::ReconcileError;

/// Before the new limits are recorded, decisions follow the lower of old and new: a crash in between oversells under neither.
pub(super) fn restrict(context: &Context, name: &str, next: &DepartmentQuotaStatus) -> Result<(), ReconcileError> {
    for ledger in context.ledger.all() {
        let wanted = line_at(next, &ledger)?;
        let (current, unbound) = {
            let books = ledger.books();
            let binding = books.limits().binding(books.tree(), name).unwrap_or_default();
            (books.limits().lines.get(name).cloned(), binding.first().is_none_or(|(first, _)| first != name))
        };
        let Some(current) = current else {
            // So far bound by its ancestors only: any line of its own is a cut, and holds at once.
            if unbound {
                ledger.set_line(name, Some(wanted));
            }
            continue;
        };
        ledger.set_line(
            name,
            Some(QuotaLine {
                hard: current.hard.lower_of(&wanted.hard),
                shared_with_unlisted: current.shared_with_unlisted && wanted.shared_with_unlisted,
            }),
        );
    }
    Ok(())
}

/// Once they are recorded, decisions follow the new limits.
pub(super) fn put_in_force(
    context: &Context,
    name: &str,
    status: &DepartmentQuotaStatus,
) -> Result<(), ReconcileError> {
    if status.unlisted_children.is_none() {
        return Ok(());
    }
    for ledger in context.ledger.all() {
        let line = line_at(status, &ledger)?;
        ledger.set_line(name, Some(line));
    }
    Ok(())
}

/// Whether decisions follow the limits that are recorded.
pub(super) fn is_in_force(
    context: &Context,
    name: &str,
    status: &DepartmentQuotaStatus,
) -> Result<bool, ReconcileError> {
    for ledger in context.ledger.all() {
        let line = line_at(status, &ledger)?;
        let is_followed = ledger.books().limits().lines.get(name) == Some(&line);
        if !is_followed && status.unlisted_children.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lets decisions follow limits whose record was stored although its answer was lost: until then they follow the lower of old and new.
///
/// What a watch shows may be older than what was recorded last, and more may not be granted than that. So it is read again.
pub(super) async fn catch_up(context: &Context, quota: &DepartmentQuota) -> Result<(), ReconcileError> {
    let (name, api) = (quota.name_any(), context.cluster::<DepartmentQuota>());
    let stored = api.get(&name).await?;
    let is_same = (&stored.metadata.uid, &stored.status) == (&quota.metadata.uid, &quota.status);
    match &stored.status {
        Some(status) if is_same => put_in_force(context, &name, status),
        // The watch has yet to show it.
        _ => Ok(()),
    }
}

fn line_at(status: &DepartmentQuotaStatus, ledger: &SiteLedger) -> Result<QuotaLine, ReconcileError> {
    let empty = LimitsText::new();
    let hard = status.adopted.iter().find(|a| a.site == ledger.site).map_or(&empty, |a| &a.hard);
    Ok(QuotaLine {
        hard: quota::limits("status.adopted", hard).map_err(|e| ReconcileError::Transient(e.to_string()))?,
        shared_with_unlisted: status.unlisted_children == Some(UnlistedChildren::Share),
    })
}
