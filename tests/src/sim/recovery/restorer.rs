//! What `zhengyun-restorer` does, simulated: planned, agreed to, proved, written, compared.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zhengyun_domain::recovery::run::Fault;

use super::database;
use super::evidence::{Items, sha256};
use super::process::{Process, Step, fault, of_site};
use super::worker::{content, named, size, trust};

/// What the run keeps of the plan that was agreed to.
const AGREED: &str = "agreed.json";
/// Says that something may have been written.
const WRITING: &str = "writing";

/// What is done with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Action {
    Create,
    Replace,
    Leave,
    Skip,
    Conflict,
}

/// A plan, by item.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    digest: String,
    actions: BTreeMap<String, Action>,
}

/// Carries a restore out, or works out what it would do.
pub(super) async fn carry_out(process: &Process) -> Step<Value> {
    match process.order.command.as_str() {
        "zhengyun-restorer restore" => {
            restore(process).await.map_err(|reason| Fault { wrote: process.shared.file(WRITING).is_some(), ..reason })
        }
        "zhengyun-restorer restore-database" if process.order.has("--scratch") => database::drill(process).await,
        "zhengyun-restorer remove-databases" => database::remove(process).await,
        other => Err(fault("WorkerRefused", format!("{other} is not simulated"), false)),
    }
}

async fn restore(process: &Process) -> Step<Value> {
    process.enter("planning").await?;
    let order = &process.order;
    let held = process.repository("--store")?.read().await?;
    held.proven(&trust(process))?;
    let backup = named(&held, order.one("--snapshot"))?;
    if backup.root != order.one("--root") {
        return Err(fault("EvidenceInvalid", "another backup stands in its place", false));
    }
    let source = format!("{}/", order.one("--source"));
    let stored = held.snapshots.get(&backup.snapshot).map(|(_, items)| items.clone()).unwrap_or_default();
    let wanted: Items = stored.into_iter().filter(|(path, _)| path.starts_with(&source)).collect();
    let (site, client) = process.site()?;
    let executes = order.has("--agreed") || order.has("--scratch");
    process.may_enter(site, order.one("--namespace"), executes)?;
    let earlier = process.shared.file(AGREED).and_then(|text| serde_json::from_str::<Plan>(&text).ok());
    let earlier = earlier.filter(|earlier| order.has("--scratch") || earlier.digest == order.one("--agreed"));
    let agreed = if let Some(earlier) = earlier {
        earlier
    } else {
        let plan = planned(process, &client, &wanted).await?;
        if !executes {
            return Ok(report(&plan, &json!({})));
        }
        if order.has("--agreed") && plan.digest != order.one("--agreed") {
            return Err(fault("PlanChanged", "the target is another one than when the plan was made", false));
        }
        if let Some((item, _)) = plan.actions.iter().find(|(_, action)| **action == Action::Conflict) {
            return Err(fault("TargetConflict", format!("{item} stands in the way"), false));
        }
        process.shared.keep(AGREED, serde_json::to_string(&plan).unwrap_or_default());
        plan
    };
    process.enter("verifying").await?;
    if let Some(problem) = held.damage(&backup) {
        return Err(fault("RepositoryDamaged", problem, false));
    }
    process.enter("restoring").await?;
    write(process, site, &client, &wanted, &agreed).await?;
    process.enter("comparing").await?;
    let there = content(&client, order.one("--source"), order.one("--namespace")).await?;
    Ok(compared(&wanted, &there, &agreed))
}

async fn planned(process: &Process, client: &Client, wanted: &Items) -> Step<Plan> {
    let order = &process.order;
    let there = content(client, order.one("--source"), order.one("--namespace")).await?;
    let action = |path: &String, content: &String| match (there.get(path), order.one("--existing")) {
        (None, _) => Action::Create,
        (Some(stands), _) if stands == content => Action::Leave,
        (Some(_), "skip") => Action::Skip,
        (Some(_), "replace") => Action::Replace,
        (Some(_), _) => Action::Conflict,
    };
    let actions: BTreeMap<String, Action> =
        wanted.iter().map(|(path, content)| (path.clone(), action(path, content))).collect();
    let said = json!({
        "root": order.one("--root"), "site": order.one("--site"), "grant": order.one("--grant-uid"), "actions": actions
    });
    Ok(Plan { digest: format!("sha256:{}", sha256(&said.to_string())), actions })
}

fn counted<'a>(actions: impl Iterator<Item = &'a Action>) -> Value {
    let all: Vec<Action> = actions.copied().collect();
    let count = |wanted: Action| all.iter().filter(|action| **action == wanted).count();
    json!({
        "created": count(Action::Create), "replaced": count(Action::Replace), "unchanged": count(Action::Leave),
        "skipped": count(Action::Skip), "conflicts": count(Action::Conflict)
    })
}

/// A report, with what else belongs into it.
fn report(plan: &Plan, more: &Value) -> Value {
    let conflicts = plan.actions.iter().filter(|(_, action)| **action == Action::Conflict);
    let failures: Vec<Value> = conflicts
        .map(|(item, _)| json!({ "reason": "TargetConflict", "subject": item, "message": "it stands in the way" }))
        .collect();
    let mut report = json!({ "digest": plan.digest, "planned": counted(plan.actions.values()), "failures": failures });
    if let (Some(report), Some(more)) = (report.as_object_mut(), more.as_object()) {
        report.extend(more.clone());
    }
    report
}

/// Writes what the plan holds, and nothing else.
async fn write(process: &Process, site: &str, client: &Client, wanted: &Items, agreed: &Plan) -> Step<()> {
    let namespace = process.order.one("--namespace");
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    for (done, (path, content)) in wanted.iter().enumerate() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let data = serde_json::from_str(content).unwrap_or_default();
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let object = ConfigMap { metadata, data, ..ConfigMap::default() };
        process.check().await?;
        process.may_enter(site, namespace, true)?;
        let written = match agreed.actions.get(path) {
            Some(Action::Create) => {
                process.shared.keep(WRITING, String::new());
                api.create(&PostParams::default(), &object).await.map(drop)
            }
            Some(Action::Replace) => {
                process.shared.keep(WRITING, String::new());
                api.replace(name, &PostParams::default(), &object).await.map(drop)
            }
            _ => Ok(()),
        };
        match written {
            // An attempt before this one made it, or somebody else did: the comparison tells.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
            other => other.map_err(|e| of_site(&e))?,
        }
        process.count(done.saturating_add(1), 0);
    }
    Ok(())
}

/// What stands at the target, held against the plan.
fn compared(wanted: &Items, there: &Items, agreed: &Plan) -> Value {
    let is_good = |path: &String, action: Action| action == Action::Skip || there.get(path) == wanted.get(path);
    let good = agreed.actions.iter().filter(|(path, action)| is_good(path, **action));
    let equal: Items = wanted.iter().filter(|(path, content)| there.get(*path) == Some(content)).map(owned).collect();
    let failures: Vec<Value> = agreed
        .actions
        .iter()
        .filter(|(path, action)| !is_good(path, **action))
        .map(|(path, _)| json!({ "reason": "Differs", "subject": path, "message": "it is not what the backup holds" }))
        .collect();
    let mut outcome = counted(good.map(|(_, action)| action));
    if let Some(outcome) = outcome.as_object_mut() {
        outcome.insert("failed".to_owned(), json!(failures.len()));
    }
    let coverage = json!({
        "objectsCompared": equal.len(), "objectsTotal": wanted.len(), "objectsDelivered": 0,
        "bytesCompared": size(&equal), "bytesTotal": size(wanted)
    });
    let more = json!({ "outcome": outcome, "equal": failures.is_empty(), "coverage": coverage, "failures": failures });
    report(agreed, &more)
}

fn owned((path, content): (&String, &String)) -> (String, String) {
    (path.clone(), content.clone())
}
