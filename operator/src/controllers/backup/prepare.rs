//! What a backup reads and where it goes, from the plan as it stands; and what keeps it from that.

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde::Deserialize;
use serde_json::Value;
use zhengyun_crds::recovery::{
    BackupTrigger, CapturedSource, PlanSource, RecoveryPlanSpec, SourceOrigin, SystemBackup,
};
use zhengyun_crds::{Reason, RecoveryPlan};
use zhengyun_domain::finding::Finding;
use zhengyun_domain::recovery::backup::run;
use zhengyun_domain::recovery::files::Use;
use zhengyun_domain::recovery::run::Fault;

use super::Context;
use crate::controllers::department_of;
use crate::controllers::recovery::database::{self, Database};
use crate::controllers::recovery::folders::{self, Tree};
use crate::controllers::recovery::keys::{self, Measured};
use crate::controllers::recovery::order::{self, Refusal, Repository, refused};
use crate::controllers::recovery::reach::{self, Ground};
use crate::runtime::controller::ReconcileError;

/// Everything that a process must be told.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Where it is written.
    pub(super) repository: Repository,
    /// What is read.
    pub(super) sources: Vec<PlanSource>,
    /// Names of the sources that are namespaces, and where they are. All sources are at one site.
    pub(super) grounds: Vec<(String, Ground)>,
    /// Names of the sources that are databases, and where they are.
    pub(super) databases: Vec<(String, Database)>,
    /// Names of the sources that are file trees, and where they are on this machine.
    pub(super) files: Vec<(String, Tree)>,
    /// Stores that should hold a copy and cannot get one yet.
    pub(super) others: Vec<String>,
}

impl Prepared {
    /// Where the account of recovery is let in: each namespace once.
    pub(super) fn opened(&self) -> Vec<&Ground> {
        let of_databases = self.databases.iter().filter_map(|(_, database)| match database {
            Database::Delivered { ground, .. } => Some(ground),
            Database::Declared(_) => None,
        });
        let mut all: Vec<&Ground> = self.grounds.iter().map(|(_, ground)| ground).chain(of_databases).collect();
        all.sort_by(|a, b| a.uid.cmp(&b.uid));
        all.dedup_by(|a, b| a.uid == b.uid);
        all
    }
}

/// The plan of a backup, if it is still the one that it was asked for with.
pub(crate) fn plan_of(context: &Context, backup: &SystemBackup) -> Option<std::sync::Arc<RecoveryPlan>> {
    let plan = context.watches.plans.get_in(&backup.namespace().unwrap_or_default(), &backup.spec.plan)?;
    (plan.uid().as_deref() == Some(backup.spec.plan_uid.as_str())).then_some(plan)
}

/// What a run that began reads, whatever the plan says by now.
fn begun(backup: &SystemBackup) -> Option<Vec<PlanSource>> {
    let read = &backup.status.as_ref()?.sources;
    let source = |read: &CapturedSource| Some(PlanSource { name: read.name.clone(), origin: read.origin.clone()? });
    let sources: Vec<PlanSource> = read.iter().filter_map(source).collect();
    (!sources.is_empty()).then_some(sources)
}

/// Where the account of recovery may have been let in for a backup; that its stores can be used does not matter here.
pub(super) fn entered(context: &Context, backup: &SystemBackup) -> Vec<Ground> {
    let namespace = backup.namespace().unwrap_or_default();
    let planned = || plan_of(context, backup).map(|plan| plan.spec.sources.clone());
    let grants: BTreeSet<String> = begun(backup)
        .or_else(planned)
        .iter()
        .flatten()
        .filter_map(|source| match &source.origin {
            SourceOrigin::Namespace(from) => Some(from.grant.clone()),
            SourceOrigin::Item(from) => Some(from.grant.clone()),
            SourceOrigin::Database(_) | SourceOrigin::Files(_) => None,
        })
        .collect();
    grants.iter().filter_map(|grant| reach::readable(context, &namespace, grant)).collect()
}

/// Where it is let in now: what it reads is written down, and it has not ended.
pub(crate) fn is_inside(context: &Context, backup: &SystemBackup) -> Vec<Ground> {
    if super::phase(backup).is_terminal() || begun(backup).is_none() { Vec::new() } else { entered(context, backup) }
}

/// What [`prepare`] finds, where a refusal is for good.
pub(super) async fn confirmed(
    context: &Context,
    backup: &SystemBackup,
) -> Result<Result<Prepared, Refusal>, ReconcileError> {
    match prepare(context, backup) {
        Ok(prepared) => Ok(Ok(prepared)),
        Err(refusal) => Ok(Err(order::confirmed(context, &backup.namespace().unwrap_or_default(), refusal).await?)),
    }
}

pub(super) fn prepare(context: &Context, backup: &SystemBackup) -> Result<Prepared, Refusal> {
    let namespace = backup.namespace().unwrap_or_default();
    let Some(plan) = plan_of(context, backup) else {
        return Err(refused(
            Reason::Invalid,
            format!(
                "/spec/plan: department {} has no recovery plan {} with UID {}: name one that exists, with its metadata.uid in spec.planUID",
                department_of(&namespace),
                backup.spec.plan,
                backup.spec.plan_uid
            ),
        ));
    };
    let sources = begun(backup).unwrap_or_else(|| plan.spec.sources.clone());
    if backup.spec.trigger == BackupTrigger::Revocation {
        // What is proven is that this grant was read, whatever the plan says by then.
        let is_named = |source: &PlanSource| match &source.origin {
            SourceOrigin::Namespace(from) => Some(&from.grant) == backup.spec.grant.as_ref(),
            _ => false,
        };
        if !sources.iter().any(is_named) {
            let message = format!(
                "/spec/sources of plan {}: none is the namespace of grant {} any more: add it again",
                plan.name_any(),
                backup.spec.grant.as_deref().unwrap_or_default()
            );
            return Err(refused(Reason::SourceRefused, message));
        }
    }
    if plan.metadata.deletion_timestamp.is_some() && begun(backup).is_none() {
        let message = format!("/spec/plan: plan {} is being deleted: name another one", plan.name_any());
        return Err(refused(Reason::Invalid, message));
    }
    let observed = reach::observed(context, &namespace);
    let spec = RecoveryPlanSpec { sources: sources.clone(), ..plan.spec.clone() };
    let run = run(&spec, &observed).map_err(|findings| judged(&findings))?;
    let mut grounds: Vec<(String, Ground)> = Vec::new();
    let mut databases: Vec<(String, Database)> = Vec::new();
    let mut files: Vec<(String, Tree)> = Vec::new();
    let mut first: Option<String> = None;
    for (at, source) in sources.iter().enumerate() {
        let site = match &source.origin {
            SourceOrigin::Namespace(from) => {
                let Some(ground) = reach::readable(context, &namespace, &from.grant) else {
                    return Err(refused(Reason::GrantNotLive, format!("grant {} is not in service", from.grant)));
                };
                let site = ground.site.clone();
                grounds.push((source.name.clone(), ground));
                site
            }
            SourceOrigin::Item(_) | SourceOrigin::Database(_) => {
                let database = match &source.origin {
                    SourceOrigin::Item(from) => database::of_item(context, &namespace, from)?,
                    SourceOrigin::Database(from) => database::declared(context, department_of(&namespace), from)?,
                    _ => continue,
                };
                let site = database.site().to_owned();
                databases.push((source.name.clone(), database));
                site
            }
            SourceOrigin::Files(from) => {
                let (pointer, of) =
                    (format!("/spec/sources/{at}/origin/files"), format!(" of plan {}", plan.name_any()));
                let tree = folders::tree(context, department_of(&namespace), from, Use::Read, (&pointer, &of))?;
                let site = tree.place.site.clone();
                files.push((source.name.clone(), tree));
                site
            }
        };
        let first = first.get_or_insert_with(|| site.clone());
        if *first != site {
            let message = format!(
                "/spec/sources/{at} of plan {}: {} is at site {site}, the source before it at {first}: one run reads at one site in this version; write a plan for each",
                plan.name_any(),
                source.name,
            );
            return Err(refused(Reason::ActionNotAvailable, message));
        }
    }
    let mut stores = run.stores.into_iter().map(|planned| planned.store);
    let Some(store) = stores.next() else { return Err(refused(Reason::StoreNotFound, "/spec/copies: there is none")) };
    let Some(backend) = reach::backend_of(context, &store) else {
        return Err(Refusal::Waits(format!("store {store} is not registered here any more; register it again")));
    };
    Ok(Prepared {
        repository: Repository {
            department: department_of(&namespace).to_owned(),
            key: plan.spec.encryption.secret_name.clone(),
            store,
            backend,
        },
        sources,
        grounds,
        databases,
        files,
        others: stores.collect(),
    })
}

/// A store that is not ready becomes so; everything else has to be corrected by a person.
fn judged(findings: &[Finding]) -> Refusal {
    let text = findings.iter().map(|f| format!("{}: {}", f.pointer, f.message)).collect::<Vec<_>>().join("; ");
    if findings.iter().all(|finding| finding.rule == Reason::StoreNotReady.as_str()) {
        return Refusal::Waits(text);
    }
    let reason = findings.iter().map(|f| f.rule.as_str()).find(|rule| *rule != Reason::StoreNotReady.as_str());
    Refusal::Final(Fault { reason: reason.unwrap_or_default().to_owned(), message: text, ..Fault::default() })
}

/// What a process says of the chain that it wrote.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    /// The head now.
    pub(crate) chain: Value,
    /// The known head that it held the chain against before it wrote.
    #[serde(default)]
    held_against: Option<Value>,
    /// Bytes of everything in the repository when it was done.
    #[serde(default)]
    stored: Option<u64>,
}

impl Head {
    /// Whether it is known to continue the chain that is known: a counter that is higher proves nothing, for whoever puts an old copy
    /// of a repository in place gets a higher one soon.
    fn continues(&self, known: &Value) -> bool {
        let counter = |chain: &Value| chain.get("counter").and_then(Value::as_u64);
        counter(&self.chain) > counter(known) && (known.is_null() || self.held_against.as_ref() == Some(known))
    }
}

/// Remembers the head of a chain and the size of the repository, outside of it. It never goes back, and none is replaced by one that does not continue it.
///
/// Of two processes that were started with the same head, the later one's is left out. The next one is held against the earlier
/// one's, and brings it up to date.
pub(crate) async fn remember_head(
    context: &Context,
    store: &str,
    department: &str,
    head: &Head,
) -> Result<(), ReconcileError> {
    let Some(mut known) = keys::repository(context, store, department).await? else {
        return Err(ReconcileError::Transient(format!("nothing is known of the repository in store {store}")));
    };
    let unchanged = known.clone();
    let before: Value = serde_json::from_str(&known.known_head).unwrap_or(Value::Null);
    if head.continues(&before) {
        known.known_head = head.chain.to_string();
    }
    if let (Some(bytes), Some(link)) = (head.stored, head.chain.get("counter").and_then(Value::as_u64)) {
        known.measured = Some(Measured::later(known.measured, Measured { link, bytes }));
    }
    if known != unchanged {
        keys::remember(context, store, department, &known).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Head;

    #[test]
    fn a_known_head_is_replaced_only_by_one_that_was_held_against_it() {
        let head = |counter: u64, name: &str| json!({ "counter": counter, "head": name, "signer": "s" });
        let said = |chain: &Value, against: Option<&Value>| -> Head {
            serde_json::from_value(json!({ "chain": chain, "heldAgainst": against })).unwrap()
        };
        let (known, next, other) = (head(60, "a"), head(61, "b"), head(59, "c"));
        assert!(said(&next, Some(&known)).continues(&known));
        assert!(!said(&next, Some(&other)).continues(&known), "held against what is not known any more");
        assert!(!said(&next, Some(&head(60, "x"))).continues(&known), "another link of the same number");
        assert!(!said(&next, None).continues(&known), "held against nothing");
        assert!(!said(&known, Some(&known)).continues(&known), "the same again");
        assert!(said(&next, None).continues(&Value::Null), "nothing was known");
    }
}
