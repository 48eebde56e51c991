//! What the API does not know: routes, methods, parameters, names.

use std::collections::BTreeSet;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use crate::call::Contract;
use crate::recovery::PLAN_TO_DELETE;
use crate::setting::{CLERK, DEPARTMENT, DRAFT, Setting, own_order};

/// Operations that may be tried without being meant.
const TRIED: [&str; 5] =
    ["createRequest", "correctRequest", "createRecoveryPlan", "replaceRecoveryPlan", "deleteRecoveryPlan"];

/// Each is a problem, and changes nothing.
pub(crate) async fn is_a_problem(contract: &Contract, setting: &Setting) -> Result<()> {
    routes(contract).await?;
    methods(contract).await?;
    parameters(contract, setting).await?;
    values(contract).await?;
    names(contract).await?;
    let huge = "x".repeat(20 * 1024);
    contract.call("getMe", &[]).by(CLERK).header("x-padding", &huge).send().await?.is_problem(431, "headers-too-large");
    Ok(())
}

async fn routes(contract: &Contract) -> Result<()> {
    for path in
        ["/", "/api", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/me", "/api/v1/me/", "/metrics", "/healthz"]
    {
        contract.knock(Method::GET, path).by(CLERK).send().await?.is_problem(404, "not-found");
    }
    let deeper = format!("/api/v1/departments/{DEPARTMENT}/requests/{DRAFT}/approval");
    contract.knock(Method::POST, &deeper).by(CLERK).send().await?.is_problem(404, "not-found");
    Ok(())
}

/// Every path of the document with every method that it does not have; `Allow` names those that it has.
async fn methods(contract: &Contract) -> Result<()> {
    let paths: BTreeSet<&str> = contract.document.operations.values().map(|o| o.path.as_str()).collect();
    for path in paths {
        let mut known: BTreeSet<String> = contract.document.methods_of(path).into_iter().collect();
        // Whoever may GET may ask for the head alone.
        if known.contains("GET") {
            known.insert("HEAD".to_owned());
        }
        let filled = path.replace("{department}", DEPARTMENT).replace("{name}", DRAFT);
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if known.contains(method.as_str()) {
                continue;
            }
            let answer = contract.knock(method, &filled).by(CLERK).send().await?;
            answer.is_problem(405, "method-not-allowed");
            let allowed: BTreeSet<String> = answer.header("allow").split(',').map(|m| m.trim().to_owned()).collect();
            answer.check(allowed == known, &format!("Allow must name {known:?}, not {allowed:?}"));
        }
    }
    Ok(())
}

/// A parameter that a route does not know is refused on every route: a misspelt filter must not show everything, and
/// `dryRun` where there is none must not become a real write.
async fn parameters(contract: &Contract, setting: &Setting) -> Result<()> {
    for (id, operation) in contract.document.operations.iter().filter(|(_, o)| !o.open) {
        let mut parameters: Vec<&str> = Vec::new();
        for part in operation.path.split('/').filter(|part| part.starts_with('{')) {
            parameters.push(match (part, id.as_str()) {
                ("{department}", _) => DEPARTMENT,
                (_, "getSite") => "hohhot",
                (_, "getCatalogItem") => "container-space",
                (_, "getSystem") => "smart-emergency",
                (_, "getGrant" | "revokeGrant") => setting.grant.as_str(),
                _ => DRAFT,
            });
        }
        let mut call = contract.call(id, &parameters).by(CLERK).seen(&setting.draft);
        if operation.takes_body {
            call = call.json(&json!({}));
        }
        call.clone().query("surprise=1").send().await?.is_problem(400, "invalid-query").points_to("surprise");
        if operation.method != Method::GET && !TRIED.contains(&id.as_str()) {
            call.query("dryRun=all").send().await?.is_problem(400, "invalid-query").points_to("dryRun");
        }
        if operation.is_list {
            for (query, pointer) in [
                ("limit=0", "limit"),
                ("limit=501", "limit"),
                ("limit=-1", "limit"),
                ("limit=many", "limit"),
                ("limit=5&limit=6", "limit"),
                ("pageToken=", "pageToken"),
                ("pageToken=zz", "pageToken"),
                ("pageToken=e30", "pageToken"),
            ] {
                let call = contract.call(id, &[]).by(CLERK).query(query);
                call.send().await?.is_problem(400, "invalid-query").points_to(pointer);
            }
        }
    }
    let draft = contract.call("getRequest", &[DEPARTMENT, DRAFT]).by(CLERK).send().await?;
    draft.is(200).check(draft.tag() == setting.draft, "refused calls must change nothing");
    Ok(())
}

/// Values of known parameters that mean nothing.
async fn values(contract: &Contract) -> Result<()> {
    for (id, query, pointer) in [
        ("listRequests", "sort=size", "sort"),
        ("listRequests", "phase=Drafted", "phase"),
        ("listRequests", "action=Creat", "action"),
        ("listRequests", "pahse=Draft", "pahse"),
        ("listGrants", "sort=", "sort"),
        ("listGrants", "phase=Gone", "phase"),
        ("listBackups", "phase=Done", "phase"),
        ("listRestores", "phase=Done", "phase"),
        ("listDrills", "phase=Done", "phase"),
        ("listRecoveryPlans", "sort=size", "sort"),
        ("listDepartments", "level=Village", "level"),
        ("listDepartments", "type=Shop", "type"),
    ] {
        contract.call(id, &[]).by(CLERK).query(query).send().await?.is_problem(400, "invalid-query").points_to(pointer);
    }
    let body = json!({ "name": "contract-tried", "order": own_order() });
    let tried = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&body).query("dryRun=some");
    tried.send().await?.is_problem(400, "invalid-query").points_to("dryRun");
    let half = contract.call("deleteRecoveryPlan", &[DEPARTMENT, PLAN_TO_DELETE]).by(CLERK).query("dryRun=some");
    half.send().await?.is_problem(400, "invalid-query").points_to("dryRun");
    Ok(())
}

/// Names of nothing, and names that nothing can have.
async fn names(contract: &Contract) -> Result<()> {
    let body = json!({ "name": "contract-nowhere", "order": own_order() });
    for name in ["nowhere", "Emergency", "..%2Femergency", "%00", "a%20b", "kube-system"] {
        for id in ["getDepartment", "getQuota"] {
            contract.call(id, &[name]).by("authority-chief").send().await?.is_problem(404, "not-found");
        }
        contract.call("createRequest", &[name]).by(CLERK).json(&body).send().await?.is_problem(404, "not-found");
        contract.call("getRequest", &[name, DRAFT]).by(CLERK).send().await?.is_problem(404, "not-found");
    }
    for name in ["nothing", "No_Name", "a%20b"] {
        for id in ["getSite", "getCatalogItem", "getBackupStore"] {
            contract.call(id, &[name]).by(CLERK).send().await?.is_problem(404, "not-found");
        }
        for id in [
            "getSystem",
            "getRequest",
            "getGrant",
            "submitRequest",
            "withdrawRequest",
            "confirmDelivery",
            "getRecoveryPlan",
            "deleteRecoveryPlan",
            "getBackup",
            "cancelBackup",
            "getRestore",
            "cancelRestore",
            "getDrill",
            "cancelDrill",
        ] {
            contract.call(id, &[DEPARTMENT, name]).by(CLERK).send().await?.is_problem(404, "not-found");
        }
    }
    Ok(())
}
