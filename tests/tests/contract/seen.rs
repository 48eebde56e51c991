//! `If-Match`: what was seen is what is edited and decided.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use zhengyun_crds::RequestPhase;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town};

use crate::call::Contract;
use crate::setting::{CLERK, DEPARTMENT, HEAD, own_order};

const NAME: &str = "contract-seen";

/// Required where it must be, never `*`, never weak, never stale; and good for as long as the content stays.
pub(crate) async fn what_was_seen_counts(contract: &Contract, town: &Town) -> Result<()> {
    let body = json!({ "name": NAME, "order": own_order() });
    let created = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&body).send().await?;
    created.is(201);
    corrections(contract, created.tag()).await?;
    decisions(contract, town).await
}

fn reasoned(why: &str) -> Value {
    let mut order = own_order();
    order["justification"] = json!(why);
    json!({ "order": order })
}

async fn corrections(contract: &Contract, tag: &str) -> Result<()> {
    let put = |why: &str| contract.call("correctRequest", &[DEPARTMENT, NAME]).by(CLERK).json(&reasoned(why));
    put("x").send().await?.is_problem(428, "precondition-required");
    put("x").seen("*").send().await?.is_problem(428, "precondition-required");
    for stale in ["\"stale\"", &format!("W/{tag}"), tag.trim_matches('"'), ""] {
        put("x").seen(stale).send().await?.is_problem(412, "precondition-failed");
    }
    // Two windows: the first edit counts, and the second is told, though nothing but the justification differs.
    let first = put("first").seen(tag).send().await?;
    first.is(200).check(first.tag() != tag, "an edit of the justification must show in the ETag");
    put("second").seen(tag).send().await?.is_problem(412, "precondition-failed");
    // One of several tags is enough (RFC 9110, section 13.1.1).
    put("third").seen(&format!("\"other\", {}", first.tag())).send().await?.is(200);

    // Where it is optional, it counts if it is sent; what was submitted is not edited by who has not seen that.
    let before = contract.call("getRequest", &[DEPARTMENT, NAME]).by(CLERK).send().await?;
    let submit = contract.call("submitRequest", &[DEPARTMENT, NAME]).by(CLERK);
    submit.clone().seen("\"stale\"").send().await?.is_problem(412, "precondition-failed");
    submit.clone().seen(before.tag()).send().await?.is(202);
    put("late").seen(before.tag()).send().await?.is_problem(412, "precondition-failed");
    Ok(())
}

async fn decisions(contract: &Contract, town: &Town) -> Result<()> {
    town.in_phase(DEPARTMENT, NAME, RequestPhase::InReview).await?;
    let technician = "reviewer-technical";
    let tag = reviewed(contract, technician, "department").await?;
    let decide =
        |person: &'static str, body: Value| contract.call("decideRequest", &[DEPARTMENT, NAME]).by(person).json(&body);
    let approve = json!({ "verdict": "Approve" });
    decide(HEAD, approve.clone()).send().await?.is_problem(428, "precondition-required");
    decide(HEAD, approve.clone()).seen("*").send().await?.is_problem(428, "precondition-required");
    decide(HEAD, approve.clone()).seen("\"stale\"").send().await?.is_problem(412, "precondition-failed");
    let staged = json!({ "verdict": "Approve", "stage": "department" });
    let recorded = decide(HEAD, staged.clone()).seen(&tag).send().await?;
    recorded.is(201);
    let again = decide(HEAD, staged).seen(&tag).send().await?;
    again.is(200).check(again.body == recorded.body, "the same decision again must be the same record");

    // The operator moved the request on; what the next approver read before that is still what is decided.
    reviewed(contract, technician, "technical").await?;
    let returned = decide(technician, json!({ "verdict": "Return", "reason": "请补充理由" })).seen(&tag).send().await?;
    returned.is(201);
    town.in_phase(DEPARTMENT, NAME, RequestPhase::ReturnedForCorrection).await?;

    // A better justification alone: earlier approvals stand, and nobody decides by what was read before it.
    let now = contract.call("getRequest", &[DEPARTMENT, NAME]).by(CLERK).send().await?;
    let put = contract.call("correctRequest", &[DEPARTMENT, NAME]).by(CLERK).json(&reasoned("a better reason"));
    let corrected = put.seen(now.tag()).send().await?;
    corrected.is(200);
    let submit = contract.call("submitRequest", &[DEPARTMENT, NAME]).by(CLERK).seen(corrected.tag());
    submit.send().await?.is(202);
    town.in_phase(DEPARTMENT, NAME, RequestPhase::InReview).await?;
    let fresh = reviewed(contract, technician, "technical").await?;
    decide(technician, approve.clone()).seen(&tag).send().await?.is_problem(412, "precondition-failed");
    decide(technician, approve).seen(&fresh).send().await?.is(201);
    Ok(())
}

/// Waits until the API shows a stage open, as the operator's writes reach it a moment later, and returns the tag.
async fn reviewed(contract: &Contract, person: &'static str, stage: &str) -> Result<String> {
    let path = format!("/api/v1/departments/{DEPARTMENT}/requests/{NAME}");
    settled(&format!("{NAME} shown at stage {stage}"), SOON, || async {
        let answer = contract.knock(Method::GET, &path).by(person).send().await?;
        let open = answer.body["stage"]["name"].as_str().unwrap_or_default();
        Ok(if open == stage { Ok(answer.tag().to_owned()) } else { Err(format!("{answer}, open is {open:?}")) })
    })
    .await
    .context("the API shows the stage")
}
