//! The rules of the definitions: backup stores, recovery plans, and single runs of backup, restore and drill.

use serde_json::{Value, json};

use super::case::{Case, create, fields, merge, no, status, yes};
use super::ground::HERE;
use super::objects::{At, at, long, object, with};
use super::who::{CLERK, OPERATOR, Who};

/// The definitions hold for everybody, so also for whom nothing else stops.
const WHO: Who = Who::Root;
const TAKEN_BACK: &str = "spec.cancel cannot be taken back";

fn digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

fn store(name: &str) -> Value {
    let spec = json!({
        "displayNames": { "zh-CN": { "full": "准入测试" }, "en": { "full": "Admission" } }, "site": "hohhot",
        "backend": { "s3": { "endpoint": "https://s3.example:9000", "bucket": "backup", "prefix": "a/b", "secretName": "s" } }
    });
    object("BackupStore", "", name, &json!({ "spec": spec }))
}

fn plan(name: &str) -> Value {
    let spec = json!({
        "system": "smart-emergency", "level": 3, "ceiling": "50Gi",
        "sources": [{ "name": "space", "origin": { "namespace": { "grant": "live-1" } } }],
        "schedule": { "cron": "0 */4 * * *" }, "retention": { "last": 6 }, "copies": [{ "store": "near" }],
        "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key" }
    });
    object("RecoveryPlan", HERE, name, &json!({ "spec": spec }))
}

fn backup(name: &str) -> Value {
    let spec = json!({ "plan": "pay", "planUID": "u", "trigger": "Manual", "requestedBy": "lab-admin" });
    object("SystemBackup", HERE, name, &json!({ "spec": spec }))
}

fn restore(name: &str) -> Value {
    let spec = json!({ "backup": "pay-1", "mode": "Plan", "requestedBy": "lab-admin" });
    object("SystemRestore", HERE, name, &json!({ "spec": spec }))
}

fn drill(name: &str) -> Value {
    let spec = json!({
        "plan": "pay", "planUID": "u", "store": "near", "site": "ulanqab", "trigger": "Manual", "requestedBy": "lab-admin"
    });
    object("RecoveryDrill", HERE, name, &json!({ "spec": spec }))
}

pub(crate) fn stores() -> Vec<Case> {
    let folder = |path: &str| json!({ "filesystem": { "path": path } });
    let mut cases = fields(
        WHO,
        &store("admission"),
        &[
            ("/metadata/name", json!(long(40)), None),
            ("/metadata/name", json!(long(41)), Some("must be a DNS label of at most 40 characters")),
            ("/metadata/name", json!("a.b"), Some("must be a DNS label of at most 40 characters")),
            ("/spec/site", json!(""), Some("should be at least 1 chars")),
            ("/spec/backend", json!({}), Some("spec.backend")),
            ("/spec/backend", folder("/srv/backup"), None),
            ("/spec/backend", folder("srv/backup"), Some("path must be absolute")),
            ("/spec/backend", folder("/srv/../etc"), Some("path must be absolute")),
            ("/spec/backend", folder("/srv/./backup"), Some("path must be absolute")),
            ("/spec/backend", folder("/srv//backup"), Some("path must be absolute")),
            ("/spec/backend", folder("/srv/..hidden"), None),
            ("/spec/backend/s3/endpoint", json!("ftp://s3.example"), Some("endpoint in body should match")),
            ("/spec/backend/s3/endpoint", json!("https://user@s3.example"), Some("endpoint in body should match")),
            ("/spec/backend/s3/bucket", json!("Backup"), Some("bucket in body should match")),
            ("/spec/backend/s3/prefix", json!("a/../b"), Some("prefix in body should match")),
            (
                "/spec/backend/s3/objectLock",
                json!({ "mode": "Compliance", "days": 0 }),
                Some("should be greater than or equal to 1"),
            ),
        ],
    );
    let standing = at("BackupStore", "", "admission-s3");
    let backend = |value: Value| merge(&standing, json!({ "spec": { "backend": value } }));
    let moved = "the data is there: register another store";
    cases.extend([
        yes(WHO, "registers a store", create(store("admission-s3"))).for_real(),
        no(WHO, "moves a store", merge(&standing, json!({ "spec": { "site": "ulanqab" } })), "spec.site cannot change"),
        no(WHO, "changes the bucket", backend(json!({ "s3": { "bucket": "other" } })), moved),
        no(WHO, "changes the prefix", backend(json!({ "s3": { "prefix": "" } })), moved),
        no(WHO, "makes it a folder", backend(json!({ "s3": null, "filesystem": { "path": "/srv/backup" } })), moved),
        yes(
            WHO,
            "changes the address of the service",
            backend(json!({ "s3": { "endpoint": "https://other.example" } })),
        ),
    ]);
    cases
}

pub(crate) fn plans() -> Vec<Case> {
    let files = |subpath: &str| json!([{ "name": "f", "origin": { "files": { "site": "hohhot", "root": "scans", "subpath": subpath } } }]);
    let source = json!({ "name": "space", "origin": { "namespace": { "grant": "g" } } });
    let mut cases = fields(
        WHO,
        &plan("admission"),
        &[
            ("/metadata/name", json!(long(40)), None),
            ("/metadata/name", json!(long(41)), Some("must be a DNS label of at most 40 characters")),
            ("/spec/sources", json!([]), Some("spec.sources")),
            ("/spec/sources", json!([source, source]), Some("Duplicate value")),
            ("/spec/sources", json!([{ "name": "a", "origin": {} }]), Some("origin")),
            ("/spec/sources", files(""), None),
            ("/spec/sources", files("2026/scans"), None),
            ("/spec/sources", files("../etc"), Some("subpath must lie below the root")),
            ("/spec/sources", files("/etc"), Some("subpath must lie below the root")),
            ("/spec/sources", files("a/./b"), Some("subpath must lie below the root")),
            ("/spec/schedule", json!({ "every": "6h" }), None),
            ("/spec/schedule", json!({}), Some("a schedule has either cron or every")),
            ("/spec/schedule", json!({ "cron": "@daily", "every": "6h" }), Some("a schedule has either cron or every")),
            ("/spec/schedule/timeZone", json!("../etc/passwd"), Some("timeZone in body should match")),
            ("/spec/retention", json!({}), Some("retention must keep something")),
            ("/spec/retention", json!({ "daily": 1, "minimum": 0 }), Some("should be greater than or equal to 1")),
            ("/spec/copies", json!([{ "store": "a" }, { "store": "a" }]), Some("Duplicate value")),
            ("/spec/copies", json!([]), Some("spec.copies")),
            ("/spec/ceiling", json!("-1"), Some("must be a Kubernetes quantity that is not negative")),
            ("/spec/objectives/rpo", json!("soon"), Some("rpo in body should match")),
            ("/spec/objectives/rpo", json!("0s"), None),
            ("/spec/level", json!(7), Some("should be less than or equal to 6")),
            ("/spec/edition", json!("GB/T 20988-2007"), None),
            ("/spec/edition", json!("2007"), Some("spec.edition: Unsupported value")),
        ],
    );
    let standing = at("RecoveryPlan", HERE, "admission-plan");
    let charges = |sequence: i64, site: &str| {
        status(&standing, json!({ "charges": [{ "site": site, "sequence": sequence, "reserved": {}, "granted": {} }] }))
    };
    let never = "status.charges[].sequence never falls";
    cases.extend([
        yes(WHO, "writes a plan", create(plan("admission-plan"))).for_real(),
        yes(WHO, "is charged", charges(7, "hohhot")).for_real(),
        yes(WHO, "is charged again", charges(8, "hohhot")),
        no(WHO, "is charged earlier", charges(6, "hohhot"), never),
        no(WHO, "is charged elsewhere only", charges(9, "ulanqab"), never),
        no(WHO, "loses its charges", status(&standing, json!({ "charges": null })), never),
        no(
            WHO,
            "protects another system",
            merge(&standing, json!({ "spec": { "system": "other" } })),
            "spec.system cannot change",
        ),
        yes(WHO, "is paused", merge(&standing, json!({ "spec": { "paused": true } }))),
    ]);
    cases
}

/// What all runs have in common: what was asked for stands, only `cancel` is set, and the end is the end.
fn run(kind: &str, base: &Value, change: &Value, what: &'static str, end: &str, ended: &'static str) -> Vec<Case> {
    let named = |name: &str| with(base.clone(), "/metadata/name", json!(name));
    let (open, over): (At, At) = (at(kind, HERE, "admission-open"), at(kind, HERE, "admission-over"));
    let cancel = |at: &At, value: bool| merge(at, json!({ "spec": { "cancel": value } }));
    vec![
        yes(WHO, format!("asks for a {kind}"), create(named("admission-open"))).for_real(),
        yes(WHO, format!("asks for another {kind}"), create(named("admission-over"))).for_real(),
        no(WHO, format!("changes a {kind}"), merge(&open, json!({ "spec": change })), what),
        yes(WHO, format!("cancels a {kind}"), cancel(&open, true)),
        yes(WHO, format!("cancels a {kind} for good"), cancel(&over, true)).for_real(),
        no(WHO, format!("takes the end of a {kind} back"), cancel(&over, false), TAKEN_BACK),
        yes(WHO, format!("begins a {kind}"), status(&over, json!({ "phase": "Pending" }))).for_real(),
        yes(WHO, format!("ends a {kind}"), status(&over, json!({ "phase": end }))).for_real(),
        no(WHO, format!("begins a {kind} anew"), status(&over, json!({ "phase": "Pending" })), ended),
        no(WHO, format!("takes the phase of a {kind} away"), status(&over, json!({ "phase": null })), ended),
        yes(WHO, format!("notes more of a {kind}"), status(&over, json!({ "attempt": 2, "differenceCount": 1 }))),
    ]
}

pub(crate) fn backups() -> Vec<Case> {
    let base = backup("admission");
    let mut cases = fields(
        WHO,
        &base,
        &[
            ("/metadata/name", json!(long(63)), None),
            ("/metadata/name", json!("a.b"), Some("must be a DNS label of at most 63 characters")),
            ("/spec/trigger", json!("Scheduled"), Some("due is the due time of a scheduled backup")),
            ("/spec/due", json!("2026-11-26T02:00:00Z"), Some("due is the due time of a scheduled backup")),
            ("/spec/trigger", json!("Revocation"), Some("grant names the grant that is revoked")),
            ("/spec/grant", json!("live-1"), Some("grant names the grant that is revoked")),
            ("/spec/requestedBy", json!(""), Some("should be at least 1 chars")),
        ],
    );
    let changed = "a backup cannot be changed once it was asked for";
    cases.extend(run(
        "SystemBackup",
        &base,
        &json!({ "plan": "other" }),
        changed,
        "Completed",
        "a backup that ended stays",
    ));
    cases
}

pub(crate) fn restores() -> Vec<Case> {
    let base = restore("admission");
    let files = |subpath: &str| json!({ "site": "hohhot", "root": "scans", "subpath": subpath });
    let database = |endpoint: &str| json!({ "site": "hohhot", "endpoint": endpoint, "database": "app" });
    let either = "a source goes to one place: a grant, files or a database";
    let execute = with(with(base.clone(), "/spec/mode", json!("Execute")), "/spec/planDigest", json!(digest()));
    let mut cases = fields(
        WHO,
        &base,
        &[
            ("/metadata/name", json!("a.b"), Some("must be a DNS label of at most 63 characters")),
            ("/spec/mode", json!("Execute"), Some("planDigest names the plan that is carried out")),
            ("/spec/planDigest", json!(digest()), Some("planDigest names the plan that is carried out")),
            ("/spec/existing", json!("Overwrite"), Some("spec.existing: Unsupported value")),
            (
                "/spec/redirects",
                json!([{ "source": "a", "grant": "g" }, { "source": "a", "grant": "h" }]),
                Some("Duplicate value"),
            ),
            (
                "/spec/redirects",
                json!([{ "source": "a", "grant": "g" }, { "source": "b", "files": files("2026") }]),
                None,
            ),
            ("/spec/redirects", json!([{ "source": "a" }]), Some(either)),
            ("/spec/redirects", json!([{ "source": "a", "grant": "g", "files": files("") }]), Some(either)),
            (
                "/spec/redirects",
                json!([{ "source": "a", "database": database("standby"), "grant": "g" }]),
                Some(either),
            ),
            ("/spec/redirects", json!([{ "source": "a", "database": database("standby") }]), None),
            ("/spec/redirects", json!([{ "source": "a", "database": database("10.0.0.1:5432") }]), Some("endpoint")),
            (
                "/spec/redirects",
                json!([{ "source": "a", "files": files("../x") }]),
                Some("subpath must lie below the root"),
            ),
            (
                "/spec/redirects",
                json!([{ "source": "a", "files": files("/etc") }]),
                Some("subpath must lie below the root"),
            ),
        ],
    );
    cases.push(yes(WHO, "carries a plan out", create(execute)));
    let changed = "a restore cannot be changed once it was asked for";
    let change = json!({ "existing": "Replace" });
    cases.extend(run("SystemRestore", &base, &change, changed, "Refused", "a restore that ended stays"));
    cases
}

pub(crate) fn drills() -> Vec<Case> {
    let base = drill("admission");
    let mut cases = fields(
        WHO,
        &base,
        &[
            ("/metadata/name", json!("a.b"), Some("must be a DNS label of at most 63 characters")),
            ("/spec/trigger", json!("Scheduled"), Some("due is the due time of a scheduled drill")),
            ("/spec/due", json!("2026-11-26T02:00:00Z"), Some("due is the due time of a scheduled drill")),
            ("/spec/store", Value::Null, Some("spec.store: Required value")),
        ],
    );
    let changed = "a drill cannot be changed once it was asked for";
    cases.extend(run(
        "RecoveryDrill",
        &base,
        &json!({ "site": "hohhot" }),
        changed,
        "Passed",
        "a drill that ended stays",
    ));
    cases
}

/// Whoever asks for a run says so, and nobody claims to be the schedule.
pub(crate) fn authors() -> Vec<Case> {
    let by = |base: Value, who: &str| with(base, "/spec/requestedBy", json!(who));
    let mut cases = Vec::new();
    for (kind, base) in [
        ("backup", backup("admission-author")),
        ("restore", restore("admission-author")),
        ("drill", drill("admission-author")),
    ] {
        cases.push(yes(CLERK, format!("asks for a {kind}"), create(by(base.clone(), "clerk-emergency"))));
        let forged = create(by(base, "head-emergency"));
        cases.push(no(CLERK, format!("asks for a {kind} in another's name"), forged, "spec.requestedBy must be you"));
    }
    for (kind, base) in [("backup", backup("admission-author")), ("drill", drill("admission-author"))] {
        let by_hand = "a person asks for a backup or drill with Manual";
        let scheduled = with(by(base.clone(), "clerk-emergency"), "/spec/trigger", json!("Scheduled"));
        let scheduled = with(scheduled, "/spec/due", json!("2026-11-26T02:00:00Z"));
        cases.push(no(CLERK, format!("claims to be the schedule of a {kind}"), create(scheduled.clone()), by_hand));
        let due = by(scheduled, "zhengyun:schedule");
        let signs = format!("signs for a {kind} as the schedule");
        cases.push(no(CLERK, signs, create(due.clone()), "spec.requestedBy must be you"));
        cases.push(yes(OPERATOR, format!("starts a {kind} that is due"), create(due)));
        let manual = create(by(base, "zhengyun:schedule"));
        cases.push(no(OPERATOR, format!("asks for a {kind} out of turn"), manual, by_hand));
    }
    let kept =
        with(with(backup("admission-author"), "/spec/trigger", json!("Revocation")), "/spec/grant", json!("live-1"));
    let keeps = create(by(kept.clone(), "zhengyun:revocation"));
    cases.push(yes(OPERATOR, "starts a backup for a revocation", keeps));
    let as_schedule = create(by(kept.clone(), "zhengyun:schedule"));
    cases.push(no(
        OPERATOR,
        "starts a backup for a revocation as the schedule",
        as_schedule,
        "spec.requestedBy must be you",
    ));
    let claimed = create(by(kept, "clerk-emergency"));
    let by_hand = "a person asks for a backup or drill with Manual";
    cases.push(no(CLERK, "claims to be a revocation", claimed, by_hand));
    let restored = create(by(restore("admission-author"), "zhengyun:schedule"));
    cases.push(no(OPERATOR, "asks for a restore", restored, "cannot create resource \"systemrestores\""));
    cases
}
