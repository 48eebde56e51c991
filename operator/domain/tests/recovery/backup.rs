use std::collections::{BTreeMap, BTreeSet};

use rstest::rstest;
use serde_json::json;
use zhengyun_crds::recovery::{
    DatabaseSource, DrillPolicy, Edition, FileSource, GrantItemSource, PlanSource, RecoveryPlan, RecoveryPlanSpec,
    Schedule, SourceOrigin,
};
use zhengyun_crds::site::{ExternalDatabase, ExternalFileRoot, ExternalSources};
use zhengyun_domain::recovery::backup::{BackupPlan, GrantFacts, Observed, StoreFacts, patience, plan};
use zhengyun_domain::recovery::files::Folder;
use zhengyun_domain::recovery::level::built_in;
use zhengyun_domain::recovery::place::Place;

use crate::at;

fn spec() -> RecoveryPlanSpec {
    serde_json::from_value(json!({
        "system": "pay", "level": 3, "ceiling": "50Gi",
        "sources": [{ "name": "space", "origin": { "namespace": { "grant": "pay-abcdef" } } }],
        "schedule": { "cron": "0 */4 * * *" },
        "retention": { "last": 6, "daily": 7 },
        "copies": [{ "store": "near" }, { "store": "far" }],
        "objectives": { "rpo": "6h", "rto": "1d" },
        "drill": { "schedule": { "cron": "0 3 1 * *" }, "site": "ulanqab" },
        "encryption": { "secretName": "key-finance" }
    }))
    .unwrap()
}

fn observed() -> Observed {
    let grant = |department: &str, system: &str| GrantFacts {
        department: department.to_owned(),
        system: system.to_owned(),
        site: "hohhot".to_owned(),
        namespace: Some("zy-finance-pay".to_owned()),
        live: true,
        items: BTreeSet::from(["db".to_owned()]),
    };
    let place = |site: &str, building: &str, longitude: f64| {
        let domains = vec![("building", building.to_owned())];
        (site.to_owned(), Place { site: site.to_owned(), domains, coordinates: Some((40.9, longitude)) })
    };
    let store = |site: &str| StoreFacts { site: site.to_owned(), unusable: None, damaged: BTreeMap::new() };
    let declared = ExternalSources {
        databases: vec![ExternalDatabase {
            name: "old-pay".to_owned(),
            department: "finance".to_owned(),
            host: "10.1.2.3".to_owned(),
            port: 5432,
            databases: vec!["invoices".to_owned()],
            secret_name: "old-pay".to_owned(),
        }],
        file_roots: vec![ExternalFileRoot {
            name: "scans".to_owned(),
            department: "emergency".to_owned(),
            folder: "exports".to_owned(),
            subpath: "emergency/scans".to_owned(),
        }],
    };
    Observed {
        department: "finance".to_owned(),
        grants: BTreeMap::from([
            ("pay-abcdef".to_owned(), grant("finance", "pay")),
            ("tax-abcdef".to_owned(), grant("finance", "tax")),
            ("alarm-abcdef".to_owned(), grant("emergency", "alarm")),
        ]),
        stores: BTreeMap::from([("near".to_owned(), store("hohhot")), ("far".to_owned(), store("ulanqab"))]),
        places: BTreeMap::from([place("hohhot", "h1", 111.75), place("ulanqab", "u1", 113.13)]),
        declared: BTreeMap::from([("hohhot".to_owned(), declared)]),
        folders: BTreeMap::from([("exports".to_owned(), Folder { writable: false })]),
        created: at("2026-11-01T00:00:00Z"),
    }
}

fn planned(spec: &RecoveryPlanSpec, observed: &Observed) -> Result<BackupPlan, Vec<(String, String, String)>> {
    plan(spec, &built_in(Edition::Gbt2025).unwrap(), observed)
        .map_err(|all| all.into_iter().map(|f| (f.pointer, f.rule, f.message)).collect())
}

fn source(origin: SourceOrigin) -> Vec<PlanSource> {
    vec![PlanSource { name: "s".to_owned(), origin }]
}

#[test]
fn a_plan_that_can_run() {
    let plan = planned(&spec(), &observed()).unwrap();
    assert_eq!(plan.sources[0].site, "hohhot");
    assert_eq!(plan.sources[0].namespace.as_deref(), Some("zy-finance-pay"));
    assert_eq!(plan.stores.iter().map(|s| s.site.as_str()).collect::<Vec<_>>(), ["hohhot", "ulanqab"]);
    assert_eq!(plan.independence.independent(), 1);
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    assert!(plan.digest().starts_with("sha256:"));
}

#[test]
fn declared_things_outside_the_cloud() {
    let mut spec = spec();
    spec.sources = source(SourceOrigin::Database(DatabaseSource {
        site: "hohhot".to_owned(),
        endpoint: "old-pay".to_owned(),
        database: "pay".to_owned(),
    }));
    assert_eq!(planned(&spec, &observed()).unwrap().sources[0].what, "database pay at old-pay");
    spec.sources =
        source(SourceOrigin::Item(GrantItemSource { grant: "pay-abcdef".to_owned(), item: "db".to_owned() }));
    assert_eq!(planned(&spec, &observed()).unwrap().sources[0].what, "item db");
}

fn namespace_of(grant: &str) -> SourceOrigin {
    SourceOrigin::Namespace(zhengyun_crds::recovery::GrantSource { grant: grant.to_owned() })
}

fn files(subpath: &str) -> SourceOrigin {
    SourceOrigin::Files(FileSource { site: "hohhot".to_owned(), root: "scans".to_owned(), subpath: subpath.to_owned() })
}

#[rstest]
#[case::unknown_grant(namespace_of("gone"), "/spec/sources/0/origin/namespace/grant", "GrantNotFound")]
#[case::another_departments(namespace_of("alarm-abcdef"), "/spec/sources/0/origin/namespace/grant", "GrantNotFound")]
#[case::another_systems(namespace_of("tax-abcdef"), "/spec/sources/0/origin/namespace/grant", "SourceRefused")]
#[case::another_departments_files(files(""), "/spec/sources/0/origin/files/root", "SourceRefused")]
#[case::no_such_item(SourceOrigin::Item(GrantItemSource { grant: "pay-abcdef".to_owned(), item: "x".to_owned() }), "/spec/sources/0/origin/item/item", "SourceRefused")]
#[case::an_address(SourceOrigin::Database(DatabaseSource { site: "hohhot".to_owned(), endpoint: "127.0.0.1".to_owned(), database: "d".to_owned() }), "/spec/sources/0/origin/database/endpoint", "SourceRefused")]
fn sources_that_are_refused(#[case] origin: SourceOrigin, #[case] pointer: &str, #[case] rule: &str) {
    let spec = RecoveryPlanSpec { sources: source(origin), ..spec() };
    let refusals = planned(&spec, &observed()).unwrap_err();
    assert_eq!((refusals[0].0.as_str(), refusals[0].1.as_str()), (pointer, rule), "{refusals:?}");
    // Nothing of another department shows.
    assert!(!refusals[0].2.contains("emergency") || rule == "SourceRefused", "{refusals:?}");
    assert!(!refusals[0].2.contains("emergency/scans"), "{refusals:?}");
}

#[rstest]
#[case("../etc")]
#[case("a/../../b")]
#[case("/etc")]
#[case("a//b")]
#[case("a\n")]
#[case("./a")]
fn a_path_never_leaves_its_root(#[case] subpath: &str) {
    let mut observed = observed();
    observed.declared.get_mut("hohhot").unwrap().file_roots[0].department = "finance".to_owned();
    let spec = RecoveryPlanSpec { sources: source(files(subpath)), ..spec() };
    let refusals = planned(&spec, &observed).unwrap_err();
    assert_eq!(refusals[0].0, "/spec/sources/0/origin/files/subpath");
}

#[test]
fn a_file_tree_needs_its_folder_named_to_the_operator() {
    let mut observed = observed();
    observed.declared.get_mut("hohhot").unwrap().file_roots[0].department = "finance".to_owned();
    let spec = RecoveryPlanSpec { sources: source(files("2026")), ..spec() };
    let planned_source = &planned(&spec, &observed).unwrap().sources[0];
    assert_eq!((planned_source.what.as_str(), planned_source.site.as_str()), ("files scans/2026", "hohhot"));
    observed.folders.clear();
    let refusals = planned(&spec, &observed).unwrap_err();
    let (pointer, rule) = ("/spec/sources/0/origin/files/root", "ActionNotAvailable");
    assert_eq!((refusals[0].0.as_str(), refusals[0].1.as_str()), (pointer, rule), "{refusals:?}");
    assert!(refusals[0].2.contains("--file-root exports=PATH"), "{refusals:?}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let mut spec = spec();
    spec.sources = source(namespace_of("gone"));
    spec.copies[1].store = "nowhere".to_owned();
    spec.schedule = Schedule { cron: Some("0 0 30 2 *".to_owned()), ..spec.schedule };
    spec.objectives.rto = "0s".into();
    spec.ceiling = "0".into();
    spec.drill = spec.drill.map(|drill| DrillPolicy { site: "baotou".to_owned(), ..drill });
    let rules: Vec<(String, String)> =
        planned(&spec, &observed()).unwrap_err().into_iter().map(|(pointer, rule, _)| (pointer, rule)).collect();
    let expected = [
        ("/spec/sources/0/origin/namespace/grant", "GrantNotFound"),
        ("/spec/copies/1/store", "StoreNotFound"),
        ("/spec/schedule/cron", "ScheduleNeverFires"),
        ("/spec/drill/site", "SiteNotFound"),
        ("/spec/objectives/rto", "Invalid"),
        ("/spec/ceiling", "Invalid"),
    ];
    assert_eq!(rules, expected.map(|(pointer, rule)| (pointer.to_owned(), rule.to_owned())));
}

#[test]
fn a_store_that_cannot_be_used_is_refused_with_its_reason() {
    let mut observed = observed();
    observed.stores.get_mut("near").unwrap().unusable = Some("the bucket does not exist".to_owned());
    let refusals = planned(&spec(), &observed).unwrap_err();
    assert_eq!(refusals[0].1, "StoreNotReady");
    assert!(refusals[0].2.contains("the bucket does not exist"));
}

#[test]
fn a_further_store_that_cannot_be_used_is_told_and_stops_nothing() {
    let mut observed = observed();
    observed.stores.get_mut("far").unwrap().unusable = Some("the bucket does not exist".to_owned());
    let plan = planned(&spec(), &observed).unwrap();
    assert_eq!(plan.stores.len(), 2);
    let told = plan.findings.iter().find(|finding| finding.rule == "StoreNotReady").unwrap();
    assert!(told.pointer == "/spec/copies/1/store" && told.message.contains("the bucket does not exist"), "{told:?}");
}

#[test]
fn a_further_store_is_waited_for_until_the_next_run_or_as_long_as_the_objective_allows() {
    let of = |rpo: &str, cron: &str| -> RecoveryPlan {
        let mut spec = spec();
        spec.objectives.rpo = rpo.into();
        spec.schedule = Schedule { cron: Some(cron.to_owned()), time_zone: "UTC".to_owned(), ..spec.schedule };
        RecoveryPlan::new("pay", spec)
    };
    let until = |plan: &RecoveryPlan| patience(plan, at("2026-11-26T06:00:10Z"), at("2026-11-26T06:01:00Z"));
    assert_eq!(until(&of("7h", "0 */6 * * *")), at("2026-11-26T12:00:00Z"));
    assert_eq!(until(&of("2h", "0 */6 * * *")), at("2026-11-26T08:00:10Z"));
    let mut paused = of("7h", "0 */6 * * *");
    paused.spec.paused = true;
    assert_eq!(until(&paused), at("2026-11-26T13:00:10Z"));
}

#[test]
fn what_must_be_known_is_a_finding() {
    let mut spec = spec();
    spec.copies.truncate(1);
    spec.topology.minimum_kilometres = 300;
    spec.schedule = Schedule { cron: Some("0 2 * * *".to_owned()), ..spec.schedule };
    spec.level = 5;
    let plan = planned(&spec, &observed()).unwrap();
    let rules: Vec<&str> = plan.findings.iter().map(|f| f.rule.as_str()).collect();
    assert_eq!(
        rules,
        ["CopiesNotIndependent", "CopiesTooClose", "ScheduleTooSparse", "ObjectiveOutsideRow", "ObjectiveOutsideRow"]
    );
    assert!(plan.findings[0].message.contains("the copy in near goes with the source at hohhot: site hohhot"));
}

#[test]
fn a_damaged_store_is_told_to_the_plans_of_that_department_alone() {
    let mut observed = observed();
    let far = observed.stores.get_mut("far").unwrap();
    far.damaged = BTreeMap::from([("emergency".to_owned(), "data/ab: it is missing".to_owned())]);
    assert!(planned(&spec(), &observed).unwrap().findings.is_empty());
    let far = observed.stores.get_mut("far").unwrap();
    far.damaged = BTreeMap::from([("finance".to_owned(), "data/cd: it is missing".to_owned())]);
    let findings = planned(&spec(), &observed).unwrap().findings;
    assert_eq!(
        (findings[0].pointer.as_str(), findings[0].rule.as_str()),
        ("/spec/copies/1/store", "RepositoryDamaged")
    );
    assert!(findings[0].message.contains("data/cd") && findings[0].message.contains("far"), "{findings:?}");
}
