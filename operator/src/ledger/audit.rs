//! `audit-ledger`: recomputes the books from outside the operator, and ends `Held` on an administrator's word.

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::ledger::Ledger;
use zhengyun_domain::ledger::{Books, Charge, audit_digest, recover};
use zhengyun_domain::quota::LimitBook;
use zhengyun_domain::tree::Tree;

use super::list_records;
use crate::runtime::hub::Hub;

/// What `audit-ledger` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Only this site.
    pub site: Option<String>,
    /// Digest to accept.
    pub accept: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Audits, prints one line per site, and accepts if asked. Returns whether all books agree.
///
/// # Errors
/// When the hub does not answer, the site has no ledger, or the digest to accept is not that of the books.
pub async fn run(hub: &Hub, request: &Request, print: &mut dyn std::io::Write) -> Result<bool> {
    let api: Api<Ledger> = Api::all(hub.calls.clone());
    let records = list_records(&hub.calls).await.context("list requests, grants and recovery plans")?;
    let ledgers = api.list(&kube::api::ListParams::default()).await.context("list ledgers")?;
    let mut all_agree = true;
    let by = if request.accept.is_some() { whoami(hub).await? } else { String::new() };
    let mut seen = false;
    for ledger in ledgers {
        let site = ledger.name_any();
        if request.site.as_ref().is_some_and(|wanted| *wanted != site) {
            continue;
        }
        seen = true;
        let status = ledger.status.clone().unwrap_or_default();
        let books = Books::new(&site, Tree::default(), LimitBook::default());
        let recovery = recover(books, &site, &status, &records).with_context(|| format!("the books of site {site}"))?;
        let digest = audit_digest(&recovery.books, status.sequence);
        let recorded = Charge::from_text(&status.totals);
        let computed = recovery.books.totals();
        let agrees = recorded.as_ref() == Ok(computed) && status.quarantine.is_empty() && status.held.is_none();
        all_agree &= agrees || request.accept.is_some();
        writeln!(
            print,
            "site {site}: {}; ledger {}; requests, grants and recovery plans reserved {}, granted {}; sequence {}, epoch {}, digest {digest}",
            if agrees { "balanced" } else { "NOT balanced" },
            recorded.map_or_else(
                |error| format!("unreadable ({error})"),
                |totals| format!("reserved {}, granted {}", totals.reserved, totals.granted)
            ),
            computed.reserved,
            computed.granted,
            status.sequence,
            status.epoch
        )?;
        if let Some(held) = &status.held {
            writeln!(print, "  held: {}: {}", held.reason, held.message)?;
        }
        for quarantined in &status.quarantine {
            writeln!(
                print,
                "  vanished: {} {}/{}",
                quarantined.object.kind, quarantined.object.namespace, quarantined.object.name
            )?;
        }
        if let Some(wanted) = &request.accept {
            accept(&api, &ledger, wanted, &digest, request.reason.as_deref().unwrap_or_default(), &by).await?;
            writeln!(print, "  accepted; the operator ends the hold when its own books have the same digest")?;
        }
    }
    if !seen {
        bail!(
            "there is no ledger{}; see `kubectl get ledgers`",
            request.site.as_ref().map(|s| format!(" of site {s}")).unwrap_or_default()
        );
    }
    Ok(all_agree)
}

/// Who runs the audit, as the API server knows the person: an acceptance names its author, and admission checks it.
async fn whoami(hub: &Hub) -> Result<String> {
    let api: Api<SelfSubjectReview> = Api::all(hub.calls.clone());
    let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await.context("ask who I am")?;
    answer.status.and_then(|s| s.user_info).and_then(|u| u.username).context("the hub does not tell who I am")
}

async fn accept(api: &Api<Ledger>, ledger: &Ledger, wanted: &str, digest: &str, reason: &str, by: &str) -> Result<()> {
    if wanted != digest {
        bail!("--accept {wanted}: the books now have the digest {digest}; read the audit again and accept that");
    }
    let patch = json!({
        "metadata": { "uid": ledger.metadata.uid, "resourceVersion": ledger.metadata.resource_version },
        "spec": { "acceptance": { "digest": digest, "reason": reason, "by": by } }
    });
    api.patch(&ledger.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .context("write the acceptance; your account needs the cloud administrator's role")?;
    Ok(())
}
