//! Recovery plans that people write: who may, what is refused with its place, what was seen, what is tried, what is read at once, and
//! what a deleted one leaves.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::{Api, ResourceExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use zhengyun_crds::RecoveryPlan;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::Town;

use crate::call::{Answer, Call, Contract};
use crate::recovery::{PLAN, STORE};
use crate::setting::{CLERK, DEPARTMENT, HEAD, Setting};

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);
/// A plan of this module alone.
const NAME: &str = "contract-plan-own";
/// Writes in a row, each read back without waiting.
const ROUNDS: usize = 10;

/// What a plan of the department says.
pub(crate) fn content(grant: &str) -> Value {
    json!({
        "system": "smart-emergency", "level": 1, "ceiling": "10Gi",
        "sources": [{ "name": "space", "origin": { "namespace": { "grant": grant } } }],
        "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": [{ "store": STORE }],
        "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-emergency" }
    })
}

/// A plan of the department with some fields changed.
fn changed(grant: &str, change: &Value) -> Value {
    let mut plan = content(grant);
    for (key, value) in change.as_object().into_iter().flatten() {
        plan[key] = value.clone();
    }
    plan
}

fn create<'a>(contract: &'a Contract, name: &str, plan: &Value) -> Call<'a> {
    contract.call("createRecoveryPlan", &[DEPARTMENT]).by(CLERK).json(&json!({ "name": name, "plan": plan }))
}

fn put<'a>(contract: &'a Contract, name: &str, tag: &str, plan: &Value) -> Call<'a> {
    let call = contract.call("replaceRecoveryPlan", &[DEPARTMENT, name]).by(CLERK).json(&json!({ "plan": plan }));
    call.seen(tag)
}

/// All of it.
pub(crate) async fn are_written_by_who_may(contract: &Contract, setting: &Setting, town: &Town) -> Result<()> {
    what_is_wrong_is_told_with_its_place(contract, setting).await?;
    others_write_nothing(contract, setting).await?;
    trying_changes_nothing(contract, setting, town).await?;
    what_was_seen_counts(contract, setting).await?;
    own_writes_are_read_at_once(contract, setting).await
}

/// Refused by the API or by the hub's definitions and rules: the place is one of the body either way.
async fn what_is_wrong_is_told_with_its_place(contract: &Contract, setting: &Setting) -> Result<()> {
    let grant = setting.grant.as_str();
    let of = |origin: Value| json!({ "sources": [{ "name": "space", "origin": origin }] });
    let at = "/plan/sources/0/origin";
    for (change, pointer) in [
        // What leads out of what the department has: other departments, places of a machine, addresses.
        (of(json!({ "namespace": { "grant": "nothing-of-ours" } })), format!("{at}/namespace/grant")),
        (of(json!({ "files": { "path": "/etc" } })), format!("{at}/files/path")),
        (of(json!({ "files": { "site": "hohhot", "root": "/etc", "subpath": "" } })), format!("{at}/files/root")),
        (
            of(json!({ "files": { "site": "hohhot", "root": "etc", "subpath": "../../etc" } })),
            format!("{at}/files/subpath"),
        ),
        (of(json!({ "files": { "site": "hohhot", "root": "etc", "subpath": "x" } })), format!("{at}/files/root")),
        (
            of(json!({ "database": { "site": "hohhot", "endpoint": "127.0.0.1:5432", "database": "d" } })),
            format!("{at}/database/endpoint"),
        ),
        (
            of(json!({ "database": { "site": "hohhot", "endpoint": "rows", "database": "d" } })),
            format!("{at}/database/endpoint"),
        ),
        (
            of(json!({ "namespace": { "grant": grant, "namespace": "kube-system" } })),
            format!("{at}/namespace/namespace"),
        ),
        (json!({ "surprise": 1 }), "/plan/surprise".to_owned()),
        (json!({ "level": 7 }), "/plan/level".to_owned()),
        (json!({ "level": "four" }), "/plan/level".to_owned()),
        (json!({ "edition": "GB 1" }), "/plan/edition".to_owned()),
        (json!({ "retention": {} }), "/plan/retention".to_owned()),
        (json!({ "schedule": {} }), "/plan/schedule".to_owned()),
        (json!({ "schedule": { "cron": "0 0 * * *", "missed": "Never" } }), "/plan/schedule/missed".to_owned()),
        (json!({ "copies": [] }), "/plan/copies".to_owned()),
        (json!({ "ceiling": "much" }), "/plan/ceiling".to_owned()),
        (json!({ "objectives": { "rpo": "soon", "rto": "1d" } }), "/plan/objectives/rpo".to_owned()),
        (json!({ "encryption": { "secretName": "" } }), "/plan/encryption/secretName".to_owned()),
    ] {
        let body = changed(grant, &change);
        create(contract, "contract-wrong", &body).send().await?.is_problem(422, "invalid").points_to(&pointer);
        put(contract, PLAN, &setting.plan, &body).send().await?.is_problem(422, "invalid").points_to(&pointer);
    }
    for name in ["Wrong_Name", "", &"n".repeat(41), "../etc"] {
        create(contract, name, &content(grant)).send().await?.is_problem(422, "invalid").points_to("/name");
    }
    let other = changed(grant, &json!({ "system": "another" }));
    put(contract, PLAN, &setting.plan, &other).send().await?.is_problem(422, "invalid").points_to("/plan/system");
    let taken = changed(grant, &json!({ "paused": true }));
    create(contract, PLAN, &taken).send().await?.is_problem(409, "already-exists");
    let gone = contract.call("getRecoveryPlan", &[DEPARTMENT, "contract-wrong"]).by(CLERK).send().await?;
    gone.is_problem(404, "not-found");
    let kept = contract.call("getRecoveryPlan", &[DEPARTMENT, PLAN]).by(CLERK).send().await?;
    kept.is(200).check(kept.tag() == setting.plan, "refused calls must change nothing");
    // Runs of the setting wait for a place to run.
    let busy = contract.call("deleteRecoveryPlan", &[DEPARTMENT, PLAN]).by(CLERK).send().await?;
    busy.is_problem(409, "plan-in-use");
    Ok(())
}

/// Who reads and does not write is told so; who does not read finds nothing, and learns nothing of what the department holds.
async fn others_write_nothing(contract: &Contract, setting: &Setting) -> Result<()> {
    let foreign = changed("nothing-of-ours", &json!({}));
    for (person, status, code) in [
        (HEAD, 403, "forbidden"),
        ("authority-chief", 403, "forbidden"),
        ("provider-ops", 403, "forbidden"),
        ("clerk-finance", 404, "not-found"),
        ("stranger", 404, "not-found"),
    ] {
        for query in ["", "dryRun=all"] {
            let answers = [
                with(create(contract, "contract-foreign", &foreign).by(person), query).send().await?,
                with(put(contract, PLAN, &setting.plan, &foreign).by(person), query).send().await?,
                with(contract.call("deleteRecoveryPlan", &[DEPARTMENT, PLAN]).by(person), query).send().await?,
            ];
            for answer in answers {
                answer.is_problem(status, code);
                let told = answer.body.to_string().contains(&setting.grant);
                answer.check(!told, "must not tell what the department holds");
            }
        }
    }
    Ok(())
}

fn with<'a>(call: Call<'a>, query: &str) -> Call<'a> {
    if query.is_empty() { call } else { call.query(query) }
}

/// `dryRun=all` says what would be, and changes nothing.
async fn trying_changes_nothing(contract: &Contract, setting: &Setting, town: &Town) -> Result<()> {
    let grant = setting.grant.as_str();
    let plans: Api<RecoveryPlan> = Api::namespaced(town.admin()?, &format!("dept-{DEPARTMENT}"));
    let before = plans.get(PLAN).await?;
    let attempts = |plan: &Value| {
        [create(contract, "contract-tried", plan), put(contract, PLAN, &setting.plan, plan)]
            .map(|call| call.query("dryRun=all"))
    };
    // What the operator says of the plan that stands: its delivery is not confirmed, and nobody has a place for runs.
    for call in attempts(&content(grant)) {
        let answer = call.send().await?;
        answer.is(200).finds("/plan/sources/0/origin/namespace/grant", "GrantNotLive", &[grant]);
        answer.finds("/plan/copies/0/store", "StoreNotReady", &[STORE]);
        answer.check(answer.body["nextRuns"] == json!([]), "must start nothing");
    }
    for (change, pointer, rule) in [
        (json!({ "schedule": { "cron": "0 0 30 2 *" } }), "/plan/schedule/cron", "ScheduleNeverFires"),
        (json!({ "copies": [{ "store": "nowhere" }] }), "/plan/copies/0/store", "StoreNotFound"),
        (json!({ "drill": { "schedule": { "every": "7d" }, "site": "nowhere" } }), "/plan/drill/site", "SiteNotFound"),
    ] {
        for call in attempts(&changed(grant, &change)) {
            call.send().await?.is(200).finds(pointer, rule, &[]);
        }
    }
    for call in attempts(&changed("nothing-of-ours", &json!({}))) {
        call.send().await?.is_problem(422, "invalid").points_to("/plan/sources/0/origin/namespace/grant");
    }
    let stale = put(contract, PLAN, "\"stale\"", &content(grant)).query("dryRun=all");
    stale.clone().send().await?.is_problem(412, "precondition-failed");
    stale.without("if-match").send().await?.is_problem(428, "precondition-required");
    let after = plans.get(PLAN).await?;
    contract.faults.check(before.spec == after.spec && before.metadata.generation == after.metadata.generation, || {
        "a plan that was tried changed the one that is there".to_owned()
    });
    let missing = plans.get_opt("contract-tried").await?;
    contract.faults.check(missing.is_none(), || "a plan that was tried is there".to_owned());
    Ok(())
}

/// Required, never `*`, never weak, never stale; and good for as long as people write nothing, whatever the operator measures.
async fn what_was_seen_counts(contract: &Contract, setting: &Setting) -> Result<()> {
    let grant = setting.grant.as_str();
    let created = create(contract, NAME, &content(grant)).send().await?;
    created.is(201);
    let tag = created.tag().to_owned();
    let pause = changed(grant, &json!({ "paused": true }));
    let blind = put(contract, NAME, &tag, &pause).without("if-match");
    blind.send().await?.is_problem(428, "precondition-required");
    put(contract, NAME, "*", &pause).send().await?.is_problem(428, "precondition-required");
    for stale in ["\"stale\"", &format!("W/{tag}"), tag.trim_matches('"'), ""] {
        put(contract, NAME, stale, &pause).send().await?.is_problem(412, "precondition-failed");
    }
    // Two windows: the first one counts, the second is told.
    let paused = put(contract, NAME, &tag, &pause).send().await?;
    paused
        .is(200)
        .check(paused.body["paused"] == json!(true) && paused.tag() != tag, "must be paused, with another tag");
    put(contract, NAME, &tag, &content(grant)).send().await?.is_problem(412, "precondition-failed");
    let resumed = put(contract, NAME, &format!("\"other\", {}", paused.tag()), &content(grant)).send().await?;
    resumed.is(200).check(resumed.tag() == tag, "the same content must have the same tag");
    let remove = contract.call("deleteRecoveryPlan", &[DEPARTMENT, NAME]).by(CLERK);
    remove.clone().seen(paused.tag()).send().await?.is_problem(412, "precondition-failed");
    let tried = remove.clone().seen(&tag).query("dryRun=all").send().await?;
    tried.is(200).check(tried.body["deleted"] == json!(false), "must only be tried");
    let gone = remove.clone().seen(&tag).send().await?;
    gone.is(200).check(gone.body["deleted"] == json!(true) && gone.body["uid"] == created.body["uid"], "must be gone");
    gone_from(contract, NAME).await
}

/// A plan that nothing is charged to goes as soon as the operator has looked.
async fn gone_from(contract: &Contract, name: &str) -> Result<()> {
    settled(&format!("{name} is gone"), PATIENCE, || async {
        let read = contract.call("getRecoveryPlan", &[DEPARTMENT, name]).by(CLERK).send().await?;
        Ok(if read.status == 404 { Ok(read) } else { Err(read.to_string()) })
    })
    .await?
    .is_problem(404, "not-found");
    Ok(())
}

/// Whoever writes reads the own write at once, from the plan and from the list.
async fn own_writes_are_read_at_once(contract: &Contract, setting: &Setting) -> Result<()> {
    let grant = setting.grant.as_str();
    for round in 0..ROUNDS {
        let name = format!("contract-plan-own-{round}");
        let created = create(contract, &name, &content(grant)).send().await?;
        reads(contract, &name, created.is(201)).await?;
        // What was read is what can be sent back.
        let read = contract.call("getRecoveryPlan", &[DEPARTMENT, &name]).by(CLERK).send().await?;
        let mut plan = read.body["plan"].clone();
        plan["paused"] = json!(true);
        let paused = put(contract, &name, read.tag(), &plan).send().await?;
        reads(contract, &name, paused.is(200)).await?;
        let remove = contract.call("deleteRecoveryPlan", &[DEPARTMENT, &name]).by(CLERK).seen(paused.tag());
        remove.send().await?.is(200);
        gone_from(contract, &name).await?;
        let list = list(contract).await?;
        list.check(listed(&list, &name).is_none(), &format!("must not show {name} any more"));
    }
    Ok(())
}

async fn list(contract: &Contract) -> Result<Answer> {
    contract.call("listRecoveryPlans", &[]).by(CLERK).query("limit=500").send().await
}

fn listed(list: &Answer, name: &str) -> Option<Value> {
    list.body["items"].as_array()?.iter().find(|item| item["name"] == name).cloned()
}

async fn reads(contract: &Contract, name: &str, written: &Answer) -> Result<()> {
    let list = list(contract).await?;
    let shown = listed(list.is(200), name);
    list.check(shown.is_some_and(|item| item["etag"] == written.tag()), &format!("must show {written}"));
    let path = format!("/api/v1/departments/{DEPARTMENT}/recovery-plans/{name}");
    let read = contract.knock(Method::GET, &path).by(CLERK).send().await?;
    read.is(200).check(read.tag() == written.tag(), &format!("must be what was written by {written}"));
    Ok(())
}

/// ETag of a plan as the API shows it.
pub(crate) async fn tag_of(town: &Town, name: &str) -> Result<String> {
    let path = format!("/api/v1/departments/{DEPARTMENT}/recovery-plans/{name}");
    let shown = town.door(CLERK)?.get(&path).await?;
    Ok(shown["etag"].as_str().with_context(|| format!("{name} has an ETag"))?.to_owned())
}

/// UID of a plan at the hub.
pub(crate) async fn uid_of(town: &Town, name: &str) -> Result<String> {
    let plans: Api<RecoveryPlan> = Api::namespaced(town.admin()?, &format!("dept-{DEPARTMENT}"));
    plans.get(name).await?.uid().context("a plan has a UID")
}
