//! Plan, agreement, execution, comparison.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use zhengyun_crds::recovery::{Coverage, OutcomeCounts, RunFailure};
use zhengyun_domain::condition::cut;
use zhengyun_domain::recovery::restore::{
    Action, Backed, Existing, ObjectKey, PlannedObject, RestorePlan, TargetFacts, agree, plan,
};
use zhengyun_worker::cluster::{Cluster, GivenClient};
use zhengyun_worker::control::Control;
use zhengyun_worker::database::DatabaseTargetArgs;
use zhengyun_worker::engine::Engine;
use zhengyun_worker::engine::backend::Access;
use zhengyun_worker::error::WorkerError;
use zhengyun_worker::evidence::chain::{BackupStatement, Chain};
use zhengyun_worker::run::{manifest, open, restore as worker};

use crate::args::{self, RestoreArgs};
use crate::backed::{self, Content};
use crate::ended::Ended;
use crate::guard::Permits;
use crate::target::{self, Target};

/// How many failures a report names.
pub(crate) const NAMED: usize = 32;

/// What came of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Digest of the plan.
    pub digest: String,
    /// What the plan would come to.
    pub planned: OutcomeCounts,
    /// What came of it, if it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeCounts>,
    /// Whether everything in the plan stands at the target, if it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal: Option<bool>,
    /// How much was compared, if it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What stands in the way, or did not come to what the plan says: the first ones.
    pub failures: Vec<RunFailure>,
}

/// An agreed plan, kept for a process that follows a killed one: by then the target is another one.
#[derive(Serialize, Deserialize)]
struct Agreed {
    digest: String,
    planned: OutcomeCounts,
    objects: Vec<PlannedObject>,
}

/// Whether something may have been written to the target.
pub(crate) fn wrote(args: &RestoreArgs) -> bool {
    begun(args).exists()
}

fn begun(args: &RestoreArgs) -> PathBuf {
    args.state_dir.join("writing")
}

/// Carries a restore out, or works out what it would do.
pub(crate) fn restore(args: &RestoreArgs, runtime: &Handle, control: &Control) -> Result<Report, Ended> {
    control.enter("planning");
    fs::create_dir_all(&args.state_dir).map_err(|e| WorkerError::local(&args.state_dir, e))?;
    let store = open::existing(&args.store, runtime)?;
    let engine = args.keys.open(&store, Access::Read, control)?;
    let chain = args.trust.chain(&store)?;
    let statement = recorded(&chain, &args.snapshot, &args.root)?;
    let snapshot = engine.snapshot(&statement.snapshot)?;
    let proved = manifest::fetch(&engine, &snapshot, statement, &chain, &args.state_dir.join("manifest.jsonl"))?;
    let objects = backed::read(&engine, &snapshot, &proved, &args.source, control)?;
    let cluster = args.cluster.connect(runtime)?;
    let kept = args.state_dir.join("agreed.json");
    let earlier = fs::read(&kept).ok().and_then(|text| serde_json::from_slice::<Agreed>(&text).ok());
    let agreed = match (&args.agreed, earlier) {
        (Some(digest), Some(earlier)) if earlier.digest == *digest => earlier,
        (None, Some(earlier)) if args.scratch => earlier,
        (wanted, _) => {
            let target = runtime.block_on(target::look(&cluster, &args.namespace, &objects.directories))?;
            let plan = planned(args, &objects, target)?;
            let report = report(&plan);
            let wanted = wanted.clone().or_else(|| args.scratch.then(|| report.digest.clone()));
            let Some(wanted) = wanted else { return Ok(report) };
            agree(&plan, &wanted).map_err(Ended::Refused)?;
            let agreed = Agreed { digest: report.digest, planned: report.planned, objects: plan.objects };
            let text = serde_json::to_vec(&agreed).map_err(|e| WorkerError::engine("writing the plan", e))?;
            let staged = args.state_dir.join("agreed.next");
            fs::write(&staged, text)
                .and_then(|()| fs::rename(&staged, &kept))
                .map_err(|e| WorkerError::local(&kept, e))?;
            agreed
        }
    };
    let failures = write(args, runtime, control, &cluster, &objects, &agreed)?;
    control.enter("comparing");
    let target = runtime.block_on(target::look(&cluster, &args.namespace, &objects.directories))?;
    Ok(compare(&objects, &agreed, &target, &failures))
}

/// What was signed of a backup, which must be what was recorded of it.
pub(crate) fn recorded<'a>(chain: &'a Chain, snapshot: &str, root: &str) -> Result<&'a BackupStatement, WorkerError> {
    let statement = chain.backups().into_iter().find(|b| b.snapshot == snapshot);
    let statement = statement.ok_or_else(|| WorkerError::NoBackup { wanted: snapshot.to_owned() })?;
    if statement.root == root {
        return Ok(statement);
    }
    Err(WorkerError::Evidence {
        part: format!("the manifest of backup {snapshot}"),
        problem: format!("its root is {}, recorded was {root}", statement.root),
        fix: "another backup stands in its place; restore from another copy and find out who".to_owned(),
    })
}

fn planned(args: &RestoreArgs, objects: &Content, target: Target) -> Result<RestorePlan, Ended> {
    let backed = Backed {
        backup: args.backup.clone(),
        department: args.department.clone(),
        manifest_root: args.root.clone(),
        store: args.store_name.clone(),
        verified: true,
        objects: objects.objects.clone(),
    };
    let facts = TargetFacts {
        department: args.department.clone(),
        site: args.site.clone(),
        grant: args.grant.clone(),
        grant_uid: args.grant_uid.clone(),
        live: true,
        serves: target.serves,
        existing: target.existing,
        quota: target.quota,
    };
    plan(&backed, &facts, args.existing.into()).map_err(Ended::Refused)
}

/// What a plan comes to, in numbers.
fn report(plan: &RestorePlan) -> Report {
    let mut planned = OutcomeCounts::default();
    for object in &plan.objects {
        *counter(&mut planned, object.action) += 1;
    }
    let mut failures = Vec::new();
    for blocker in &plan.blockers {
        let finding = blocker.finding();
        match finding.rule.as_str() {
            "KindNotServed" => planned.unserved += 1,
            "TargetConflict" => planned.conflicts += 1,
            _ => {}
        }
        if failures.len() < NAMED {
            failures.push(RunFailure {
                reason: finding.rule,
                subject: String::new(),
                message: cut(finding.message, 2000),
            });
        }
    }
    Report { digest: plan.digest(), planned, failures, ..Report::default() }
}

const fn counter(counts: &mut OutcomeCounts, action: Action) -> &mut i64 {
    match action {
        Action::Create => &mut counts.created,
        Action::Replace => &mut counts.replaced,
        Action::Leave => &mut counts.unchanged,
        Action::Skip => &mut counts.skipped,
        Action::Delivered => &mut counts.delivered,
    }
}

/// Writes what the plan holds. The worker proves everything that it uses before its first write.
fn write(
    args: &RestoreArgs,
    runtime: &Handle,
    control: &Control,
    cluster: &Cluster,
    objects: &Content,
    agreed: &Agreed,
) -> Result<HashMap<String, String>, Ended> {
    let mut actions = HashMap::new();
    for object in &agreed.objects {
        if let Some(place) = objects.places.get(&object.key) {
            actions.insert(place.clone(), object.action);
        }
    }
    // A client with a queue of its own belongs to a runtime.
    let _inside = runtime.enter();
    let marker = begun(args);
    let guarded =
        Permits::new(&args.namespace, actions).noting(marker).for_scratch(args.scratch).guard(&cluster.client);
    let mut to = args.cluster.clone();
    to.client = GivenClient(Some(guarded));
    let order = worker::RestoreArgs {
        store: args.store.clone(),
        keys: args.keys.clone(),
        trust: args.trust.clone(),
        backup: Some(args.snapshot.clone()),
        source: Some(args.source.clone()),
        target: None,
        target_namespace: Some(args.namespace.clone()),
        cluster: to,
        database: DatabaseTargetArgs::default(),
        // What may be replaced is the plan's to say, and the client keeps to it.
        existing: match args.existing {
            args::Existing::Replace => worker::Existing::Replace,
            args::Existing::Fail | args::Existing::Skip => worker::Existing::Skip,
        },
        despite_damage: false,
        compare: false,
        outcomes: args.outcomes.clone(),
    };
    let report = worker::restore(&order, runtime, control)?;
    Ok(report.failures.into_iter().map(|failure| (failure.item, failure.cause)).collect())
}

/// What stands at the target, held against the plan.
fn compare(objects: &Content, agreed: &Agreed, target: &Target, failures: &HashMap<String, String>) -> Report {
    let mut outcome = OutcomeCounts::default();
    let (mut equal, mut named) = (true, Vec::new());
    let mut coverage = listed(objects);
    for object in &agreed.objects {
        let there = target.existing.get(&object.key);
        let stands = match object.action {
            Action::Create | Action::Replace | Action::Leave => {
                there.is_some_and(|there: &Existing| there.digest == object.digest)
            }
            Action::Skip | Action::Delivered => true,
        };
        if stands {
            *counter(&mut outcome, object.action) += 1;
            if !matches!(object.action, Action::Skip | Action::Delivered) {
                coverage.objects_compared += 1;
                coverage.bytes_compared += size(objects, &object.key);
            }
            continue;
        }
        equal = false;
        outcome.failed += 1;
        if named.len() < NAMED {
            named.push(failure(&object.key, there.is_some(), failures));
        }
    }
    Report {
        digest: agreed.digest.clone(),
        planned: agreed.planned.clone(),
        outcome: Some(outcome),
        equal: Some(equal),
        coverage: Some(coverage),
        failures: named,
    }
}

fn size(objects: &Content, key: &ObjectKey) -> i64 {
    objects.sizes.get(key).and_then(|size| i64::try_from(*size).ok()).unwrap_or_default()
}

/// What the manifest lists of the source. An object that the plan left out would show as one that was not compared.
fn listed(objects: &Content) -> Coverage {
    let mut coverage = Coverage::default();
    for object in &objects.objects {
        if object.delivered {
            coverage.objects_delivered += 1;
        } else {
            coverage.objects_total += 1;
            coverage.bytes_total += size(objects, &object.key);
        }
    }
    coverage
}

fn failure(key: &ObjectKey, there: bool, failures: &HashMap<String, String>) -> RunFailure {
    let end = format!("/{}", key.name);
    let told: BTreeMap<&str, &str> = failures
        .iter()
        .filter(|(item, _)| item.ends_with(&end))
        .map(|(item, cause)| (item.as_str(), cause.as_str()))
        .collect();
    let cause = told.values().next().copied().unwrap_or(if there {
        "what stands at the target is not what the backup holds; somebody or something changed it meanwhile"
    } else {
        "it is not at the target"
    });
    RunFailure {
        reason: if there { "Differs" } else { "Missing" }.to_owned(),
        subject: cut(key.to_string(), 500),
        message: cut(cause.to_owned(), 2000),
    }
}
