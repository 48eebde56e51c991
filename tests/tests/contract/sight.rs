//! Lists show a caller what is the caller's own.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::call::Contract;

const BANNER: &str = "hohhot-xinchengqu-education";

/// Whoever sees one department, a subtree, everything or nothing sees exactly that in every list.
pub(crate) async fn lists_show_what_is_ones_own(contract: &Contract) -> Result<()> {
    let everything = ["emergency", "finance", BANNER];
    for (person, requests, grants) in [
        ("clerk-emergency", &["emergency"][..], &["emergency"][..]),
        ("head-emergency", &["emergency"], &["emergency"]),
        ("clerk-finance", &["finance"], &[]),
        ("clerk-xinchengqu-education", &[BANNER], &[]),
        ("reviewer-hohhot", &[BANNER], &[]),
        ("reviewer-ulanqab", &[], &[]),
        ("reviewer-technical", &everything, &["emergency"]),
        ("authority-chief", &everything, &["emergency"]),
        ("provider-ops", &everything, &["emergency"]),
        ("stranger", &[], &[]),
    ] {
        shows(contract, person, "listRequests", requests).await?;
        shows(contract, person, "listGrants", grants).await?;
    }
    for (person, quotas) in [
        ("clerk-emergency", &["emergency"][..]),
        ("reviewer-hohhot", &["hohhot"]),
        ("reviewer-ulanqab", &["ulanqab"]),
        ("authority-chief", &["emergency", "finance", "hohhot", "neimenggu", "ulanqab"]),
        ("stranger", &[]),
    ] {
        shows(contract, person, "listQuotas", quotas).await?;
    }
    for (person, runs) in [
        ("clerk-emergency", &["emergency"][..]),
        ("head-emergency", &["emergency"]),
        ("clerk-finance", &[]),
        ("reviewer-hohhot", &[]),
        ("authority-chief", &["emergency"]),
        ("stranger", &[]),
    ] {
        for id in ["listRecoveryPlans", "listBackups", "listRestores", "listDrills"] {
            shows(contract, person, id, runs).await?;
        }
    }
    for (person, systems) in [
        ("clerk-emergency", &["emergency"][..]),
        ("clerk-finance", &["finance"]),
        ("reviewer-hohhot", &[BANNER]),
        ("stranger", &[]),
    ] {
        shows(contract, person, "listSystems", systems).await?;
    }
    // A filter shows no more than the caller may see.
    for id in
        ["listRequests", "listGrants", "listSystems", "listRecoveryPlans", "listBackups", "listRestores", "listDrills"]
    {
        let foreign = contract.call(id, &[]).by("clerk-finance").query("department=emergency").send().await?;
        foreign.is(200).check(foreign.body["items"].as_array().is_some_and(Vec::is_empty), "must be empty");
    }
    who_am_i(contract).await
}

async fn shows(contract: &Contract, person: &'static str, id: &str, expected: &[&str]) -> Result<()> {
    let list = contract.call(id, &[]).by(person).query("limit=500").send().await?;
    let items = list.is(200).body["items"].as_array().cloned().unwrap_or_default();
    let shown: BTreeSet<String> = items.iter().filter_map(|i| i["department"].as_str()).map(str::to_owned).collect();
    let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
    list.check(shown == expected, &format!("must show what is of {expected:?}, and shows {shown:?}"));
    Ok(())
}

async fn who_am_i(contract: &Contract) -> Result<()> {
    for (person, everywhere, departments, stages) in [
        ("clerk-emergency", false, &["emergency"][..], &[][..]),
        ("reviewer-technical", true, &[], &["technical"]),
        ("authority-chief", true, &[], &["authority"]),
        ("stranger", false, &[], &[]),
    ] {
        let me = contract.call("getMe", &[]).by(person).send().await?;
        let names = me.is(200).body["departments"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = names.iter().filter_map(|d| d["name"].as_str()).collect();
        me.check(me.body["allDepartments"] == everywhere && names == departments, "must name the caller's departments");
        let decided = me.body["stages"].as_array().cloned().unwrap_or_default();
        let decided: Vec<&str> = decided.iter().filter_map(serde_json::Value::as_str).collect();
        me.check(decided == stages, &format!("must name the stages {stages:?}"));
    }
    Ok(())
}
