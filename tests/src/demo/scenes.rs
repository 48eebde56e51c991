//! The scenes of the story.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use zhengyun_crds::{DepartmentQuota, GrantPhase, RequestPhase};

use super::stage::Stage;
use crate::lab::supervisor::{self, Command};
use crate::lab::wait::settled;
use crate::world::door::request_path;

const SOON: Duration = Duration::from_secs(30);

/// What the first scene leaves for the last.
pub(super) struct Delivered {
    department: String,
    grant: String,
    namespace: String,
}

/// What is left for the visitor.
pub(super) struct Waiting {
    /// Department.
    pub(super) department: String,
    /// Request.
    pub(super) request: String,
}

/// 应急管理厅 orders for 智慧应急平台: dry run, submission, a return, a correction, five approvals, delivery, confirmation.
pub(super) async fn emergency(stage: &Stage, suffix: &str, out: &mut dyn FnMut(&str)) -> Result<Delivered> {
    let department = "emergency";
    let name = format!("smart-emergency-{suffix}");
    let clerk = stage.door("clerk-emergency")?;
    out("\n应急管理厅 asks for a container space, a PostgreSQL and a bucket for 智慧应急平台 (等保三级)");
    let order = |cpu: &str| {
        json!({
            "action": "Create", "system": "smart-emergency", "site": "hohhot", "justification": "智慧应急平台上云",
            "items": [
                { "item": "container-space", "name": "space", "parameters": { "cpu": cpu, "memory": "32Gi" } },
                { "item": "postgresql", "name": "events", "parameters": { "instances": 3, "cpu": "2", "memory": "8Gi", "storage": "200Gi" } },
                { "item": "object-bucket", "name": "images", "parameters": { "capacity": "2Ti" } }
            ]
        })
    };
    let preview = clerk
        .post(
            &format!("/api/v1/departments/{department}/requests?dryRun=all"),
            &json!({ "name": name, "order": order("16") }),
        )
        .await?;
    out(&format!(
        "  dry run: charge {}, stages {}, findings {}",
        preview.get("charge").unwrap_or(&Value::Null),
        names(preview.get("stages").unwrap_or(&Value::Null)),
        preview.get("findings").unwrap_or(&Value::Null)
    ));
    clerk.create(department, &name, &order("16")).await?;
    in_phase(stage, department, &name, RequestPhase::Draft).await?;
    clerk.submit(department, &name).await?;
    in_phase(stage, department, &name, RequestPhase::InReview).await?;
    out("  submitted: the charge is reserved at the department, the region and the site");
    at_stage(stage, department, &name, "department").await?;
    stage.door("head-emergency")?.decide(department, &name, "Approve", "同意").await?;
    at_stage(stage, department, &name, "technical").await?;
    stage.door("reviewer-technical")?.decide(department, &name, "Return", "容器空间 16 核偏大，请按 12 核申请").await?;
    in_phase(stage, department, &name, RequestPhase::ReturnedForCorrection).await?;
    out("  reviewer-technical returns it: 16 cores are too many");
    clerk.correct(department, &name, &order("12")).await?;
    clerk.submit(department, &name).await?;
    out("  corrected to 12 cores and submitted again; it starts at the first stage");
    for (person, at) in [
        ("head-emergency", "department"),
        ("reviewer-technical", "technical"),
        ("reviewer-capacity", "capacity"),
        ("reviewer-security", "security"),
        ("authority-chief", "authority"),
    ] {
        at_stage(stage, department, &name, at).await?;
        stage.door(person)?.decide(department, &name, "Approve", "同意").await?;
        out(&format!("  {person} approves stage {at}"));
    }
    let grant = granted(stage, department, &name).await?;
    let delivered = grant_in(stage, department, &grant, "delivered", |g| {
        let status = g.status.clone().unwrap_or_default();
        let ready = zhengyun_crds::condition::is_true(&status.conditions, zhengyun_crds::ConditionType::Delivered);
        ready.then(|| status.namespace.clone()).flatten()
    })
    .await?;
    out(&format!(
        "  delivered to hohhot as namespace {delivered} (database and bucket answer through the lab's SIMULATED provisioner)"
    ));
    clerk.confirm(department, &name).await?;
    grant_in(stage, department, &grant, "InService", |g| (phase_of(g) == GrantPhase::InService).then_some(())).await?;
    out(&format!("  confirmed by the clerk: grant {grant} is in service"));
    show_site(stage, "hohhot", &delivered, out).await?;
    Ok(Delivered { department: department.to_owned(), grant, namespace: delivered })
}

async fn show_site(stage: &Stage, site: &str, namespace: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
    let client = stage.watcher(&format!("site/{site}")).await?;
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> = Api::namespaced(client, namespace);
    for quota in quotas.list(&ListParams::default()).await? {
        let hard = quota.spec.and_then(|s| s.hard).unwrap_or_default();
        let line: Vec<String> = hard
            .iter()
            .filter(|(k, _)| k.starts_with("requests") || k.starts_with("count"))
            .map(|(k, v)| format!("{k}={}", v.0))
            .collect();
        out(&format!("  at the site: {}", line.join(" ")));
    }
    Ok(())
}

/// 新城区教育局 asks for more than its league has.
pub(super) async fn refused(stage: &Stage, suffix: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
    let department = "hohhot-xinchengqu-education";
    let name = format!("school-portal-{suffix}");
    let clerk = stage.door("clerk-xinchengqu-education")?;
    out("\n新城区教育局 asks for 30 cores; its own league 呼和浩特市 has 24");
    // The unit has no quota of its own: its league shares, and is what binds it.
    let order = json!({
        "action": "Create", "system": "school-portal", "site": "hohhot", "justification": "教育服务平台",
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "30", "memory": "32Gi" } }]
    });
    clerk.create(department, &name, &order).await?;
    in_phase(stage, department, &name, RequestPhase::Draft).await?;
    clerk.submit(department, &name).await?;
    let message = settled("a refusal", SOON, || async {
        let request = stage.request(department, &name).await?;
        Ok(request.status.and_then(|s| s.refusal).map(|r| r.message).ok_or_else(|| "no refusal yet".to_owned()))
    })
    .await?;
    ensure!(
        message.contains("the quota of hohhot at hohhot is 24"),
        "the refusal names the league and the numbers, but says: {message}"
    );
    out(&format!("  refused: {message}"));
    Ok(())
}

/// A site is stopped while a grant there is being revoked.
pub(super) async fn cut_off(stage: &Stage, suffix: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
    let department = "ulanqab-emergency";
    let name = format!("flood-watch-{suffix}");
    let clerk = stage.door("clerk-ulanqab-emergency")?;
    out("\n乌兰察布市应急管理局 gets a container space at ulanqab; the site is stopped while it is revoked");
    let order = json!({
        "action": "Create", "system": "flood-watch", "site": "ulanqab", "justification": "防汛值守",
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "4", "memory": "8Gi" } }]
    });
    clerk.create(department, &name, &order).await?;
    in_phase(stage, department, &name, RequestPhase::Draft).await?;
    clerk.submit(department, &name).await?;
    for (person, at) in [
        ("head-ulanqab-emergency", "department"),
        ("reviewer-ulanqab", "local"),
        ("reviewer-technical", "technical"),
        ("reviewer-capacity", "capacity"),
        ("authority-chief", "authority"),
    ] {
        at_stage(stage, department, &name, at).await?;
        stage.door(person)?.decide(department, &name, "Approve", "同意").await?;
    }
    let grant = granted(stage, department, &name).await?;
    grant_in(stage, department, &grant, "delivered", |g| {
        let status = g.status.clone().unwrap_or_default();
        zhengyun_crds::condition::is_true(&status.conditions, zhengyun_crds::ConditionType::Delivered).then_some(())
    })
    .await?;
    out(&format!("  grant {grant} stands at ulanqab"));
    supervisor::request(stage.dir(), &Command::StopSite("ulanqab".to_owned())).await?;
    out("  site ulanqab is stopped");
    let revoke = order_revocation(stage, department, &grant, "clerk-ulanqab-emergency", "值守结束").await?;
    at_stage(stage, department, &revoke, "department").await?;
    stage.door("head-ulanqab-emergency")?.decide(department, &revoke, "Approve", "同意回收").await?;
    let charged = grant_in(stage, department, &grant, "Revoking, and still charged", |g| {
        let status = g.status.clone().unwrap_or_default();
        let says = zhengyun_crds::condition::find(&status.conditions, zhengyun_crds::ConditionType::Ready)
            .map(|c| c.reason.clone())
            .unwrap_or_default();
        let charge = status.charge.clone().unwrap_or_default();
        let held: Vec<String> =
            charge.granted.iter().map(|(resource, amount)| format!("{resource} {amount}")).collect();
        (phase_of(g) == GrantPhase::Revoking && says == "SiteUnreachable" && !held.is_empty()).then(|| held.join(", "))
    })
    .await?;
    out(&format!("  the grant stays Revoking (SiteUnreachable), still charged: {charged}"));
    supervisor::request(stage.dir(), &Command::StartSite("ulanqab".to_owned())).await?;
    out("  site ulanqab is back");
    revoked(stage, department, &grant, out).await
}

/// The first grant is frozen, removed, zero proven, quota back.
pub(super) async fn revoke(stage: &Stage, main: &Delivered, out: &mut dyn FnMut(&str)) -> Result<()> {
    let department = main.department.as_str();
    out("\n应急管理厅 revokes its grant (hold of 5 seconds, by the demo's own policy)");
    let used = used_cpu(stage, department).await?;
    let revoke = order_revocation(stage, department, &main.grant, "clerk-emergency", "迁往新平台").await?;
    at_stage(stage, department, &revoke, "department").await?;
    stage.door("head-emergency")?.decide(department, &revoke, "Approve", "同意回收").await?;
    grant_in(stage, department, &main.grant, "frozen", |g| g.status.as_ref().and_then(|s| s.step).map(|_| ())).await?;
    out("  frozen: network denied, no pods, data kept");
    revoked(stage, department, &main.grant, out).await?;
    let namespaces: Api<Namespace> = Api::all(stage.watcher("site/hohhot").await?);
    ensure!(namespaces.get_opt(&main.namespace).await?.is_none(), "namespace {} is still at the site", main.namespace);
    let after = settled("the quota back", SOON, || async {
        let now = used_cpu(stage, department).await?;
        Ok(if now == used { Err(format!("{now} used")) } else { Ok(now) })
    })
    .await?;
    out(&format!("  quota of {department} at hohhot: cpu used {used} → {after}"));
    Ok(())
}

async fn used_cpu(stage: &Stage, department: &str) -> Result<String> {
    let api: Api<DepartmentQuota> = Api::all(stage.watcher("hub").await?);
    let quota = api.get(department).await?;
    let usage = quota.status.unwrap_or_default().usage.into_iter().find(|u| u.site == "hohhot");
    Ok(usage.and_then(|u| u.granted.get("cpu").map(ToString::to_string)).unwrap_or_else(|| "0".to_owned()))
}

async fn revoked(stage: &Stage, department: &str, grant: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
    let checks = settled(&format!("grant {grant} revoked"), Duration::from_secs(90), || async {
        let held = stage.grant(department, grant).await?;
        let status = held.status.clone().unwrap_or_default();
        if phase_of(&held) != GrantPhase::Revoked {
            return Ok(Err(format!(
                "{:?} {:?} {:?}",
                status.phase,
                status.step,
                zhengyun_crds::condition::find(&status.conditions, zhengyun_crds::ConditionType::Ready)
                    .map(|c| c.message.clone())
            )));
        }
        let nothing = status.charge.is_some_and(|c| c.granted.is_empty() && c.reserved.is_empty());
        Ok(if nothing {
            Ok(status.zero_proof.map_or(0, |p| p.checks.len()))
        } else {
            Err("revoked, but still charged".to_owned())
        })
    })
    .await?;
    out(&format!("  grant {grant} is Revoked: zero proven by {checks} checks, then the charge released"));
    Ok(())
}

/// A request of 财政厅 that waits for the visitor.
pub(super) async fn waiting(stage: &Stage, suffix: &str, out: &mut dyn FnMut(&str)) -> Result<Waiting> {
    let department = "finance";
    let name = format!("finance-e-invoice-{suffix}");
    let clerk = stage.door("clerk-finance")?;
    out("\n财政厅 asks for a container space for 财政电子票据; this request waits for you");
    let order = json!({
        "action": "Create", "system": "finance-e-invoice", "site": "hohhot", "justification": "财政电子票据",
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "8", "memory": "16Gi" } }]
    });
    clerk.create(department, &name, &order).await?;
    in_phase(stage, department, &name, RequestPhase::Draft).await?;
    clerk.submit(department, &name).await?;
    at_stage(stage, department, &name, "department").await?;
    Ok(Waiting { department: department.to_owned(), request: name })
}

/// Approves every stage of a waiting request, each as the person who may, and waits for service.
pub(super) async fn approve_waiting(
    stage: &Stage,
    department: &str,
    name: &str,
    out: &mut dyn FnMut(&str),
) -> Result<()> {
    let people = [
        ("department", format!("head-{department}")),
        ("technical", "reviewer-technical".to_owned()),
        ("capacity", "reviewer-capacity".to_owned()),
        ("security", "reviewer-security".to_owned()),
        ("authority", "authority-chief".to_owned()),
    ];
    loop {
        let request = stage.request(department, name).await?;
        let status = request.status.unwrap_or_default();
        if status.phase != Some(RequestPhase::InReview) {
            break;
        }
        let Some(open) = status.stage.map(|s| s.name) else { break };
        let Some((_, person)) = people.iter().find(|(s, _)| *s == open) else {
            bail!("nobody of the demo decides stage {open}")
        };
        stage.door(person)?.decide(department, name, "Approve", "同意").await?;
        out(&format!("{person} approves stage {open}"));
        settled("the next stage", SOON, || async {
            let now = stage.request(department, name).await?.status.unwrap_or_default();
            Ok(if now.stage.map(|s| s.name).as_deref() == Some(open.as_str()) {
                Err(format!("still at stage {open}"))
            } else {
                Ok(())
            })
        })
        .await?;
    }
    let grant = granted(stage, department, name).await?;
    stage.door(&format!("clerk-{department}"))?.confirm(department, name).await?;
    grant_in(stage, department, &grant, "InService", |g| (phase_of(g) == GrantPhase::InService).then_some(())).await?;
    out(&format!("grant {grant} is in service"));
    Ok(())
}

/// Revokes what came of a request, and waits until zero is proven.
pub(super) async fn revoke_by_request(
    stage: &Stage,
    department: &str,
    name: &str,
    out: &mut dyn FnMut(&str),
) -> Result<()> {
    let grant = granted(stage, department, name).await?;
    let revoke = order_revocation(stage, department, &grant, &format!("clerk-{department}"), "演示结束").await?;
    at_stage(stage, department, &revoke, "department").await?;
    stage.door(&format!("head-{department}"))?.decide(department, &revoke, "Approve", "同意回收").await?;
    out(&format!("head-{department} approves the revocation; frozen for 5 seconds, then removed"));
    revoked(stage, department, &grant, out).await
}

async fn order_revocation(stage: &Stage, department: &str, grant: &str, clerk: &str, why: &str) -> Result<String> {
    let path = format!("/api/v1/departments/{department}/grants/{grant}/revocation");
    let answer = stage.door(clerk)?.post(&path, &json!({ "justification": why })).await?;
    answer.get("name").and_then(Value::as_str).map(str::to_owned).context("a revocation answers with its request")
}

async fn in_phase(stage: &Stage, department: &str, name: &str, phase: RequestPhase) -> Result<()> {
    settled(&format!("request {name} in phase {phase}"), SOON, || async {
        let status = stage.request(department, name).await?.status.unwrap_or_default();
        Ok(if status.phase == Some(phase) {
            Ok(())
        } else {
            Err(format!(
                "{:?}, {:?}, {:?}",
                status.phase,
                status.refusal,
                status.conditions.iter().map(|c| &c.message).collect::<Vec<_>>()
            ))
        })
    })
    .await
}

pub(super) async fn at_stage(stage: &Stage, department: &str, name: &str, wanted: &str) -> Result<()> {
    settled(&format!("request {name} at stage {wanted}"), SOON, || async {
        let status = stage.request(department, name).await?.status.unwrap_or_default();
        let open = status.stage.map(|s| s.name);
        Ok(if open.as_deref() == Some(wanted) {
            Ok(())
        } else {
            Err(format!(
                "{:?} at {open:?}: {:?} {:?}",
                status.phase,
                status.refusal,
                status.conditions.iter().map(|c| &c.message).collect::<Vec<_>>()
            ))
        })
    })
    .await?;
    // The door reads from its own watch, which may be a moment behind the hub.
    settled(&format!("the API shows stage {wanted}"), SOON, || async {
        let seen = stage.door("cloud-admin")?.get(&request_path(department, name)).await?;
        let open = seen.pointer("/stage/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(if open == wanted { Ok(()) } else { Err(format!("the API shows stage {open:?}")) })
    })
    .await
}

pub(super) async fn granted(stage: &Stage, department: &str, name: &str) -> Result<String> {
    settled(&format!("a grant from request {name}"), SOON, || async {
        let status = stage.request(department, name).await?.status.unwrap_or_default();
        Ok(match (status.phase, status.grant) {
            (Some(RequestPhase::Applied), Some(grant)) => Ok(grant),
            (phase, _) => {
                Err(format!("{phase:?}: {:?}", status.conditions.iter().map(|c| &c.message).collect::<Vec<_>>()))
            }
        })
    })
    .await
}

pub(super) async fn grant_in<T>(
    stage: &Stage,
    department: &str,
    name: &str,
    what: &str,
    ready: impl Fn(&zhengyun_crds::ResourceGrant) -> Option<T>,
) -> Result<T> {
    settled(&format!("grant {name} {what}"), Duration::from_mins(1), || async {
        let grant = stage.grant(department, name).await?;
        let status = grant.status.clone().unwrap_or_default();
        Ok(ready(&grant).ok_or_else(|| {
            format!(
                "{:?}: {:?}",
                status.phase,
                status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.message)).collect::<Vec<_>>()
            )
        }))
    })
    .await
}

fn phase_of(grant: &zhengyun_crds::ResourceGrant) -> GrantPhase {
    grant.status.as_ref().and_then(|s| s.phase).unwrap_or(GrantPhase::Pending)
}

fn names(stages: &Value) -> String {
    let names: Vec<&str> =
        stages.as_array().into_iter().flatten().filter_map(|s| s.get("name").and_then(Value::as_str)).collect();
    names.join(" → ")
}
