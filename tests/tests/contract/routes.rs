//! Every operation of the document, for nobody, for a token that nobody has, for another department's person, and for the right one.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Contract, Who};
use crate::migration::{READY, ROOM, TO_CANCEL, TRIED, WAVE, signature};
use crate::plans;
use crate::recovery::{
    BACKUP, BACKUP_TO_CANCEL, DRILL, DRILL_TO_CANCEL, PLAN, PLAN_TO_DELETE, RESTORE, RESTORE_TO_CANCEL, STORE,
};
use crate::setting::{CLERK, DEPARTMENT, DRAFT, GRANTED, HEAD, Setting, TO_DECIDE, TO_SUBMIT, TO_WITHDRAW, own_order};

/// What a signed-in person of another department gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// It is not there.
    Hidden,
    /// The list, without anything of the department.
    Filtered,
    /// The same as everybody: departments, sites and the catalogue are shown to whoever may sign in.
    Shown,
    /// The same as everybody who has a role in some department; nothing for who has none.
    Members,
    /// What is about the caller alone.
    Own,
}

/// How an operation is called rightly.
struct Case<'a> {
    /// With everything it needs but a caller.
    call: Call<'a>,
    /// The right person.
    by: &'static str,
    /// Status of the success.
    status: u16,
    /// What others get.
    others: Others,
    /// Somebody of the same kind in another department.
    other: &'static str,
}

/// Calls each operation as everybody.
pub(crate) async fn every_route_for_every_caller(contract: &Contract, setting: &Setting) -> Result<()> {
    let cases = cases(contract, setting);
    for (id, operation) in &contract.document.operations {
        let Some(case) = cases.get(id.as_str()) else {
            contract.faults.add(format!("{} {} ({id}) has no case: add one", operation.method, operation.path));
            continue;
        };
        if operation.open {
            for who in [Who::Nobody, Who::Garbage, Who::Person("stranger")] {
                case.call.clone().who(who).send().await?.is(200);
            }
            continue;
        }
        case.call.clone().who(Who::Nobody).send().await?.is_problem(401, "unauthenticated");
        case.call.clone().who(Who::Garbage).send().await?.is_problem(401, "invalid-token");
        for person in [case.other, "stranger"] {
            let answer = case.call.clone().by(person).send().await?;
            of_another(&answer, case.others, person);
        }
        let answer = case.call.clone().by(case.by).send().await?;
        answer.is(case.status);
        if case.others == Others::Filtered {
            answer.check(belongs(&answer.body), "the right person must see what others do not");
        }
        if case.status == 201 {
            // An answer may be lost on its way: the same call again gives the same thing, and makes nothing new.
            let again = case.call.clone().by(case.by).send().await?;
            let same = ["uid", "name", "order"].iter().all(|part| again.body[*part] == answer.body[*part]);
            again.is(200).check(same, &format!("must be the same as {answer}"));
        }
    }
    for id in cases.keys() {
        contract.faults.check(contract.document.operations.contains_key(*id), || format!("{id} is in no document"));
    }
    for (id, status) in contract.successes_not_seen() {
        contract.faults.add(format!("{id} may answer {status} by the document, and no case made it do so"));
    }
    let served = contract.call("getOpenApi", &[]).send().await?;
    served.check(served.body == contract.document.json, "the served document must be the committed one");
    Ok(())
}

fn of_another(answer: &Answer, others: Others, person: &str) {
    match others {
        Others::Filtered => drop(answer.is(200).check(!belongs(&answer.body), "must not show what is another's")),
        Others::Shown => drop(answer.is(200)),
        Others::Members if person != "stranger" => drop(answer.is(200)),
        Others::Members if answer.status == 200 => {
            let nothing = answer.body["items"].as_array().is_some_and(Vec::is_empty);
            answer.check(nothing, "must show nothing to who has no role");
        }
        Others::Hidden | Others::Members => drop(answer.is_problem(404, "not-found")),
        Others::Own => drop(answer.is(200).check(answer.body["username"] == person, "must be about the caller")),
    }
}

/// Whether a list holds something of the department.
fn belongs(list: &Value) -> bool {
    list["items"].as_array().is_some_and(|items| items.iter().any(|item| item["department"] == DEPARTMENT))
}

fn cases<'a>(contract: &'a Contract, setting: &Setting) -> BTreeMap<&'static str, Case<'a>> {
    let call = |id: &str, parameters: &[&str]| contract.call(id, parameters);
    let read = |call: Call<'a>, others: Others| Case { call, by: CLERK, status: 200, others, other: "clerk-finance" };
    let write = |call: Call<'a>, by: &'static str, status: u16| {
        let other = if by == HEAD { "head-finance" } else { "clerk-finance" };
        Case { call, by, status, others: Others::Hidden, other }
    };
    let request = |id: &str, name: &str| call(id, &[DEPARTMENT, name]);
    let grant = setting.grant.as_str();
    BTreeMap::from([
        ("getOpenApi", read(call("getOpenApi", &[]), Others::Shown)),
        ("getMe", read(call("getMe", &[]), Others::Own)),
        ("listDepartments", read(call("listDepartments", &[]), Others::Shown)),
        ("getDepartment", read(call("getDepartment", &[DEPARTMENT]), Others::Shown)),
        ("listQuotas", read(call("listQuotas", &[]), Others::Filtered)),
        ("getQuota", read(call("getQuota", &[DEPARTMENT]), Others::Hidden)),
        ("listSites", read(call("listSites", &[]), Others::Shown)),
        ("getSite", read(call("getSite", &["hohhot"]), Others::Shown)),
        ("listCatalog", read(call("listCatalog", &[]), Others::Shown)),
        ("getCatalogItem", read(call("getCatalogItem", &["container-space"]), Others::Shown)),
        ("listSystems", read(call("listSystems", &[]), Others::Filtered)),
        ("getSystem", read(call("getSystem", &[DEPARTMENT, "smart-emergency"]), Others::Hidden)),
        ("listRequests", read(call("listRequests", &[]), Others::Filtered)),
        ("getRequest", read(request("getRequest", DRAFT), Others::Hidden)),
        ("listGrants", read(call("listGrants", &[]), Others::Filtered)),
        ("getGrant", read(call("getGrant", &[DEPARTMENT, grant]), Others::Hidden)),
        ("createRequest", {
            let body = json!({ "name": "contract-created", "order": own_order() });
            write(call("createRequest", &[DEPARTMENT]).json(&body), CLERK, 201)
        }),
        ("correctRequest", {
            let body = json!({ "order": own_order() });
            write(request("correctRequest", DRAFT).json(&body).seen(&setting.draft), CLERK, 200)
        }),
        ("submitRequest", write(request("submitRequest", TO_SUBMIT), CLERK, 202)),
        ("withdrawRequest", write(request("withdrawRequest", TO_WITHDRAW), CLERK, 202)),
        ("decideRequest", {
            let body = json!({ "verdict": "Approve", "stage": "department", "reason": "同意" });
            write(request("decideRequest", TO_DECIDE).json(&body).seen(&setting.to_decide), HEAD, 201)
        }),
        ("confirmDelivery", write(request("confirmDelivery", GRANTED), CLERK, 202)),
        ("revokeGrant", {
            let body = json!({ "justification": "no longer needed" });
            write(call("revokeGrant", &[DEPARTMENT, grant]).json(&body), CLERK, 201)
        }),
        ("listBackupStores", read(call("listBackupStores", &[]), Others::Members)),
        ("getBackupStore", read(call("getBackupStore", &[STORE]), Others::Members)),
        ("listRecoveryPlans", read(call("listRecoveryPlans", &[]), Others::Filtered)),
        ("getRecoveryPlan", read(request("getRecoveryPlan", PLAN), Others::Hidden)),
        ("createRecoveryPlan", {
            let body = json!({ "name": "contract-plan-created", "plan": plans::content(grant) });
            write(call("createRecoveryPlan", &[DEPARTMENT]).json(&body), CLERK, 201)
        }),
        ("replaceRecoveryPlan", {
            let body = json!({ "plan": plans::content(grant) });
            write(request("replaceRecoveryPlan", PLAN).json(&body).seen(&setting.plan), CLERK, 200)
        }),
        ("deleteRecoveryPlan", write(request("deleteRecoveryPlan", PLAN_TO_DELETE), CLERK, 200)),
        ("listBackups", read(call("listBackups", &[]), Others::Filtered)),
        ("getBackup", read(request("getBackup", BACKUP), Others::Hidden)),
        ("createBackup", {
            let body = json!({ "name": "contract-backup-created", "plan": PLAN });
            write(call("createBackup", &[DEPARTMENT]).json(&body), CLERK, 201)
        }),
        ("cancelBackup", write(request("cancelBackup", BACKUP_TO_CANCEL), CLERK, 202)),
        ("listRestores", read(call("listRestores", &[]), Others::Filtered)),
        ("getRestore", read(request("getRestore", RESTORE), Others::Hidden)),
        ("createRestore", {
            let body = json!({ "name": "contract-restore-created", "backup": BACKUP, "mode": "Plan" });
            write(call("createRestore", &[DEPARTMENT]).json(&body), CLERK, 201)
        }),
        ("cancelRestore", write(request("cancelRestore", RESTORE_TO_CANCEL), CLERK, 202)),
        ("listDrills", read(call("listDrills", &[]), Others::Filtered)),
        ("getDrill", read(request("getDrill", DRILL), Others::Hidden)),
        ("createDrill", {
            let body = json!({ "name": "contract-drill-created", "plan": PLAN, "site": "ulanqab" });
            write(call("createDrill", &[DEPARTMENT]).json(&body), CLERK, 201)
        }),
        ("listMigrations", read(call("listMigrations", &[]), Others::Filtered)),
        ("getMigration", read(request("getMigration", TRIED), Others::Hidden)),
        ("approveMigration", {
            let mut body = signature(&setting.digests.acceptance);
            body["purpose"] = json!("Acceptance");
            write(request("approveMigration", TRIED).json(&body), HEAD, 202)
        }),
        ("cutOverMigration", {
            let body = signature(&setting.digests.cutover);
            write(request("cutOverMigration", READY).json(&body), HEAD, 202)
        }),
        ("rollBackMigration", {
            let body = signature(&setting.digests.rollback);
            write(request("rollBackMigration", TRIED).json(&body), HEAD, 202)
        }),
        ("cancelMigration", write(request("cancelMigration", TO_CANCEL), CLERK, 202)),
        ("listWaves", read(call("listWaves", &[]), Others::Members)),
        ("getWave", read(call("getWave", &[WAVE]), Others::Members)),
        ("listRooms", read(call("listRooms", &[]), Others::Filtered)),
        ("getRoom", read(call("getRoom", &[ROOM]), Others::Hidden)),
        ("watchEvents", read(call("watchEvents", &[]), Others::Shown)),
        ("cancelDrill", write(request("cancelDrill", DRILL_TO_CANCEL), CLERK, 202)),
    ])
}
