//! Bodies that are too large, of another type, no JSON, or no order.

use anyhow::Result;
use serde_json::{Value, json};

use crate::call::{Call, Contract};
use crate::setting::{CLERK, DEPARTMENT, DRAFT, HEAD, Setting, TO_DECIDE, own_order};
use crate::{migration, recovery};

/// Twice the limit.
const TOO_LARGE_BYTES: usize = 2 * 1024 * 1024;

const TOO_LARGE_TIMES: usize = 10;

/// Each is a problem that says where.
pub(crate) async fn that_cannot_be_taken_are_problems(contract: &Contract, setting: &Setting) -> Result<()> {
    for (id, operation) in &contract.document.operations {
        if !operation.takes_body {
            continue;
        }
        let Some(call) = call(contract, setting, id) else {
            contract.faults.add(format!("{id} takes a body and has no case here: add one"));
            continue;
        };
        let json = |body: &[u8]| call.clone().bytes(body.to_vec()).header("content-type", "application/json");
        // More than once: the refusal must reach a client that is still sending.
        for _ in 0..TOO_LARGE_TIMES {
            json(&vec![b' '; TOO_LARGE_BYTES]).send().await?.is_problem(413, "body-too-large");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
            json(b"{}").header("content-type", kind).send().await?.is_problem(415, "unsupported-media-type");
        }
        json(b"{}").without("content-type").send().await?.is_problem(415, "unsupported-media-type");
        for broken in [&b"{"[..], b"", b"\xff\xfe", b"{\"a"] {
            json(broken).send().await?.is_problem(400, "malformed-request");
        }
        for shapeless in [&b"[]"[..], b"null", b"7", b"\"text\""] {
            json(shapeless).send().await?.is_problem(422, "invalid");
        }
        let unknown = json(br#"{"surprise": 1}"#).send().await?;
        unknown.is_problem(422, "invalid").points_to("/surprise");
    }
    orders(contract).await?;
    recovery::wrong_runs_are_problems(contract).await?;
    migration::wrong_signatures_are_problems(contract, &setting.digests).await?;
    others(contract, setting).await
}

/// How an operation that takes a body is called rightly, but for the body.
fn call<'a>(contract: &'a Contract, setting: &Setting, id: &str) -> Option<Call<'a>> {
    let at = |name: &str| contract.call(id, &[DEPARTMENT, name]);
    match id {
        "correctRequest" => Some(at(DRAFT).by(CLERK).seen(&setting.draft)),
        "decideRequest" => Some(at(TO_DECIDE).by(HEAD).seen(&setting.to_decide)),
        "cutOverMigration" => Some(at(migration::READY).by(HEAD)),
        "rollBackMigration" | "approveMigration" => Some(at(migration::TRIED).by(HEAD)),
        "revokeGrant" => Some(at(&setting.grant).by(CLERK)),
        "replaceRecoveryPlan" => Some(at(recovery::PLAN).by(CLERK).seen(&setting.plan)),
        "createRequest" | "createRecoveryPlan" | "createBackup" | "createRestore" | "createDrill" => {
            Some(contract.call(id, &[DEPARTMENT]).by(CLERK))
        }
        _ => None,
    }
}

/// Orders that are none: refused by the API itself or by the hub's schema, with the place either way.
async fn orders(contract: &Contract) -> Result<()> {
    let order = |change: &dyn Fn(&mut Value)| {
        let mut order = own_order();
        change(&mut order);
        order
    };
    let wrong: [(&str, Value); 9] = [
        ("/order/action", order(&|o| o["action"] = json!("Creat"))),
        ("/order/site", order(&|o| o["site"] = json!(7))),
        ("/order/colour", order(&|o| o["colour"] = json!("red"))),
        ("/order/items/0/count", order(&|o| o["items"][0]["count"] = json!("two"))),
        ("/order/items/0/count", order(&|o| o["items"][0]["count"] = json!(0))),
        ("/order/items/0/name", order(&|o| o["items"][0]["name"] = json!("Not_A_Label"))),
        ("/order/leaseEnd", order(&|o| o["leaseEnd"] = json!("tomorrow"))),
        ("/order", order(&|o| o["items"] = json!([]))),
        ("/order/justification", order(&|o| o["justification"] = json!(""))),
    ];
    for (pointer, order) in wrong {
        let body = json!({ "name": "contract-wrong", "order": order });
        let call = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&body);
        call.send().await?.is_problem(422, "invalid").points_to(pointer);
    }
    for name in ["Wrong_Name", "", &"n".repeat(64)] {
        let body = json!({ "name": name, "order": own_order() });
        let call = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&body);
        call.send().await?.is_problem(422, "invalid").points_to("/name");
    }
    for action in ["Change", "Renew"] {
        let order = order(&|o| o["action"] = json!(action));
        let body = json!({ "name": "contract-wrong", "order": order });
        let call = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&body);
        call.send().await?.is_problem(422, "action-not-available").points_to("/order/action");
    }
    let body = format!("{} x", json!({ "name": "contract-wrong", "order": own_order() }));
    let call = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&json!({})).bytes(body.into_bytes());
    call.send().await?.is_problem(400, "malformed-request");
    let taken = json!({ "name": DRAFT, "order": order(&|o| o["justification"] = json!("another")) });
    let call = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&taken);
    call.send().await?.is_problem(409, "already-exists");
    Ok(())
}

/// Documents, decisions and revocations that are none, and states that do not admit a call.
async fn others(contract: &Contract, setting: &Setting) -> Result<()> {
    let material = json!({ "kind": "申请公函", "title": "公函", "sha256": "00", "reference": "档案" });
    let body = json!({ "order": own_order(), "materials": [material] });
    let call = contract.call("correctRequest", &[DEPARTMENT, DRAFT]).by(CLERK).seen(&setting.draft).json(&body);
    call.send().await?.is_problem(422, "invalid").points_to("/materials/0/sha256");

    let decide = |body: Value| {
        contract.call("decideRequest", &[DEPARTMENT, TO_DECIDE]).by(HEAD).seen(&setting.to_decide).json(&body)
    };
    decide(json!({ "verdict": "Perhaps" })).send().await?.is_problem(422, "invalid").points_to("/verdict");
    for verdict in ["Return", "Reject"] {
        decide(json!({ "verdict": verdict })).send().await?.is_problem(422, "invalid").points_to("/reason");
    }
    let closed = decide(json!({ "verdict": "Approve", "stage": "technical" }));
    closed.send().await?.is_problem(409, "stage-not-open");
    let approve = json!({ "verdict": "Approve" });
    decide(approve.clone()).by("provider-ops").send().await?.is_problem(403, "not-entitled");
    decide(approve.clone()).by(CLERK).send().await?.is_problem(403, "duties-not-separate");
    let draft = contract.call("decideRequest", &[DEPARTMENT, DRAFT]).by(HEAD).seen(&setting.draft);
    draft.json(&approve).send().await?.is_problem(409, "not-under-review");

    contract.call("submitRequest", &[DEPARTMENT, TO_DECIDE]).by(CLERK).send().await?.is_problem(409, "request-frozen");
    let frozen = contract.call("correctRequest", &[DEPARTMENT, TO_DECIDE]).by(CLERK).seen(&setting.to_decide);
    frozen.json(&json!({ "order": own_order() })).send().await?.is_problem(409, "request-frozen");
    let early = contract.call("confirmDelivery", &[DEPARTMENT, DRAFT]).by(CLERK);
    early.send().await?.is_problem(409, "nothing-to-confirm");
    // Whoever may read but not write is told so.
    contract.call("submitRequest", &[DEPARTMENT, DRAFT]).by(HEAD).send().await?.is_problem(403, "forbidden");

    let revoke = |body: Value| contract.call("revokeGrant", &[DEPARTMENT, &setting.grant]).by(CLERK).json(&body);
    revoke(json!({})).send().await?.is_problem(422, "invalid");
    let disposition = json!({ "justification": "x", "disposition": "Burn" });
    revoke(disposition).send().await?.is_problem(422, "invalid").points_to("/disposition");
    let nothing = contract.call("revokeGrant", &[DEPARTMENT, "nothing"]).by(CLERK);
    nothing.json(&json!({ "justification": "x" })).send().await?.is_problem(404, "not-found");
    Ok(())
}
