//! The rules of the definitions: machine rooms, waves and migrations.

use serde_json::{Value, json};

use super::case::{Case, create, delete, fields, merge, no, status, yes};
use super::ground::HERE;
use super::objects::{at, long, object, with};
use super::who::{ADMIN, AUTHORITY, CLERK, HEAD, OTHER_HEAD, PROVIDER, Who};

/// The definitions hold for everybody, so also for whom nothing else stops.
const WHO: Who = Who::Root;
/// Who that is, to the API server.
const SELF: &str = "lab-admin";

fn digest(of: char) -> String {
    format!("sha256:{}", String::from(of).repeat(64))
}

fn names() -> Value {
    json!({ "zh-CN": { "full": "准入测试" }, "en": { "full": "Admission" } })
}

fn room(name: &str) -> Value {
    let spec = json!({
        "displayNames": names(), "department": "emergency", "location": { "address": "Hohhot" },
        "networks": ["10.1.0.0/16"], "systems": [{ "department": "emergency", "system": "smart-emergency" }]
    });
    object("MachineRoom", "", name, &json!({ "spec": spec }))
}

fn wave(name: &str) -> Value {
    let spec = json!({
        "displayNames": names(), "members": [{ "department": "emergency", "migration": "move" }],
        "windows": [{ "opens": "0 22 * * 5", "length": "8h" }]
    });
    object("MigrationWave", "", name, &json!({ "spec": spec }))
}

fn migration(name: &str) -> Value {
    let files = json!({ "site": "hohhot", "root": "landing", "subpath": "" });
    let spec = json!({
        "system": "smart-emergency", "room": "old", "strategy": "Rehost", "grant": "live-1", "recoveryPlan": "pay",
        "workloads": [{ "name": "scans", "source": { "files": { "root": "scans" } }, "target": { "files": files } }],
        "cutover": { "downtimeBudget": "30m", "approvers": ["head"], "rollbackPlan": "open the source again" },
        "signers": { "department": ["head"], "authority": ["auditor"], "provider": ["engineer"] }
    });
    object("SystemMigration", HERE, name, &json!({ "spec": spec }))
}

fn record(phase: &str, of: char) -> Value {
    json!({ "phase": phase, "title": "record", "digest": digest(of), "by": SELF })
}

pub(crate) fn rooms() -> Vec<Case> {
    let mut cases = fields(
        WHO,
        &room("admission"),
        &[
            ("/metadata/name", json!(long(40)), None),
            ("/metadata/name", json!(long(41)), Some("must be a DNS label of at most 40 characters")),
            ("/spec/department", json!(""), Some("should be at least 1 chars")),
            ("/spec/networks", json!(["fd00::/8"]), None),
            ("/spec/networks", json!(["everywhere"]), Some("spec.networks")),
            ("/spec/decision", json!({ "withdraw": { "by": "2027-12-31" } }), None),
            ("/spec/decision", json!({ "withdraw": { "by": "soon" } }), Some("by in body should match")),
            ("/spec/decision", json!({ "retain": { "until": "2028-12-31", "reason": "edge" } }), None),
            ("/spec/decision", json!({}), Some("spec.decision")),
            (
                "/spec/systems",
                json!([{ "department": "a", "system": "b" }, { "department": "a", "system": "b" }]),
                Some("Duplicate value"),
            ),
            ("/spec/records", json!([record("Sanitised", 'a')]), None),
            ("/spec/records", json!([record("Emptied", 'a')]), Some("records are of what people do")),
        ],
    );
    let standing = at("MachineRoom", "", "admission-room");
    let records = |all: Value| merge(&standing, json!({ "spec": { "records": all } }));
    let kept = "a record of the closure cannot be changed";
    let ended = "a room whose closure was verified stays closed";
    cases.extend([
        yes(WHO, "registers a room", create(room("admission-room"))).for_real(),
        no(
            WHO,
            "gives a room away",
            merge(&standing, json!({ "spec": { "department": "finance" } })),
            "spec.department cannot change",
        ),
        yes(WHO, "records a step", records(json!([record("Assessed", 'a')]))).for_real(),
        yes(WHO, "records another", records(json!([record("Assessed", 'a'), record("Sanitised", 'b')]))),
        no(WHO, "changes a record", records(json!([record("Assessed", 'b')])), kept),
        no(WHO, "takes a record away", records(json!([])), kept),
        yes(WHO, "verifies the closure", status(&standing, json!({ "phase": "Verified" }))).for_real(),
        no(WHO, "opens it again", status(&standing, json!({ "phase": "Migrating" })), ended),
        no(WHO, "forgets it", status(&standing, json!({ "phase": null })), ended),
    ]);
    cases
}

pub(crate) fn waves() -> Vec<Case> {
    let day = |from: &str, to: &str| json!([{ "from": from, "to": to, "reason": "festival" }]);
    fields(
        WHO,
        &wave("admission"),
        &[
            ("/metadata/name", json!("a.b"), Some("must be a DNS label of at most 40 characters")),
            ("/spec/members", json!([]), Some("spec.members")),
            (
                "/spec/members",
                json!([{ "department": "a", "migration": "b" }, { "department": "a", "migration": "b" }]),
                Some("Duplicate value"),
            ),
            ("/spec/after", json!([{ "wave": "first" }, { "wave": "other", "reached": "Accepted" }]), None),
            ("/spec/after", json!([{ "wave": "admission" }]), Some("spec.after names the wave itself")),
            ("/spec/after", json!([{ "wave": "first", "reached": "Planned" }]), Some("Unsupported value")),
            ("/spec/windows", json!([]), Some("spec.windows")),
            ("/spec/windows/0/length", json!("long"), Some("length in body should match")),
            ("/spec/timeZone", json!("../etc/passwd"), Some("timeZone in body should match")),
            ("/spec/freezes", day("2027-02-01", "2027-02-10"), None),
            ("/spec/freezes", day("2027-02-01", "2027-02-01"), None),
            ("/spec/freezes", day("2027-02-10", "2027-02-01"), Some("from must not be after to")),
            ("/spec/maxParallel", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/maxFailures", json!(-1), Some("should be greater than or equal to 0")),
        ],
    )
}

pub(crate) fn migrations() -> Vec<Case> {
    let base = migration("admission");
    let workload = |source: Value, target: Value| json!([{ "name": "a", "source": source, "target": target }]);
    let files = json!({ "files": { "root": "scans" } });
    let database = json!({ "database": { "endpoint": "old", "database": "app" } });
    let to_files = json!({ "files": { "site": "hohhot", "root": "landing" } });
    let to_database = json!({ "database": { "site": "hohhot", "endpoint": "new", "database": "app" } });
    let same = "target must be of the same type as source";
    let moves = "a system that moves needs grant and cutover";
    let targets = "every workload of a system that moves has a target";
    let mut cases = fields(
        WHO,
        &base,
        &[
            ("/metadata/name", json!(long(41)), Some("must be a DNS label of at most 40 characters")),
            ("/spec/workloads", workload(database.clone(), to_database.clone()), None),
            (
                "/spec/workloads",
                workload(with(database.clone(), "/database/endpoint", json!("10.0.0.1")), to_database.clone()),
                Some("endpoint in body should match"),
            ),
            (
                "/spec/workloads",
                workload(with(database.clone(), "/database/walBudgetMib", json!(1)), to_database.clone()),
                Some("should be greater than or equal to 16"),
            ),
            (
                "/spec/workloads",
                workload(database.clone(), with(to_database.clone(), "/database/owner", json!("app"))),
                None,
            ),
            ("/spec/workloads", workload(files.clone(), to_database), Some(same)),
            ("/spec/workloads", workload(database, to_files.clone()), Some(same)),
            ("/spec/workloads", json!([{ "name": "a", "source": files }]), Some(targets)),
            ("/spec/workloads", json!([]), Some("spec.workloads")),
            (
                "/spec/workloads",
                workload(json!({ "files": { "root": "a", "subpath": "../x" } }), to_files),
                Some("subpath must lie below the root"),
            ),
            ("/spec/workloads/0/name", json!("A"), Some("name in body should match")),
            ("/spec/grant", Value::Null, Some(moves)),
            ("/spec/cutover", Value::Null, Some(moves)),
            ("/spec/cutover/approvals", json!(2), Some("cutover.approvals is more than there are approvers")),
            ("/spec/cutover/downtimeBudget", json!("soon"), Some("downtimeBudget in body should match")),
            ("/spec/cutover/probes", json!([{ "workload": "scans", "path": "a/index.json" }]), None),
            (
                "/spec/cutover/probes",
                json!([{ "workload": "books", "path": "a" }]),
                Some("cutover.probes name workloads of this migration that are file trees"),
            ),
            (
                "/spec/cutover/probes",
                json!([{ "workload": "scans", "path": "../a" }]),
                Some("path must lie below the workload"),
            ),
            ("/spec/strategy", json!("Retire"), Some(targets)),
            ("/spec/strategy", json!("Refactor"), Some("spec.strategy: Unsupported value")),
            ("/spec/signers/authority", json!(["head"]), Some("nobody may sign for two parties")),
            ("/spec/signers/provider", json!(["auditor"]), Some("nobody may sign for two parties")),
            ("/spec/signers/provider", json!([]), Some("provider")),
            ("/spec/dependencies", json!([{ "name": "ledger" }, { "name": "maps", "owner": "survey office" }]), None),
            ("/spec/erasureRecord", json!("gone"), Some("spec.erasureRecord")),
            ("/spec/copiedData", json!("Delete"), None),
            ("/spec/copiedData", json!("Sell"), Some("spec.copiedData: Unsupported value")),
        ],
    );
    let retired = with(
        with(base, "/spec/strategy", json!("Retire")),
        "/spec/workloads",
        json!([{ "name": "a", "source": { "files": { "root": "scans" } } }]),
    );
    let retired = with(with(retired, "/spec/grant", Value::Null), "/spec/cutover", Value::Null);
    cases.push(yes(WHO, "retires a system", create(retired)));
    cases.extend(life());
    cases
}

fn life() -> Vec<Case> {
    let (open, over) = (at("SystemMigration", HERE, "admission-open"), at("SystemMigration", HERE, "admission-over"));
    let spec = |value: Value| merge(&open, json!({ "spec": value }));
    let signature = |of: char| json!({ "purpose": "Cutover", "party": "Department", "by": SELF, "digest": digest(of) });
    let other = json!([{ "name": "b", "source": { "files": { "root": "scans" } }, "target": { "files": { "site": "hohhot", "root": "landing" } } }]);
    let for_good = "spec.cancel cannot be taken back";
    let stays = "spec.system, spec.room and spec.strategy cannot change";
    let record = "a signature cannot be changed or taken away";
    let ended = "a migration that ended stays as it ended";
    let agreed = "stay as they were signed for";
    let undeleted = "is not deleted before it is over";
    let counted = json!({
        "purpose": "Cutover", "party": "Department", "by": "head", "digest": digest('a'), "at": "2026-01-01T00:00:00Z"
    });
    vec![
        yes(WHO, "asks for a migration", create(migration("admission-open"))).for_real(),
        yes(WHO, "asks for another one", create(migration("admission-over"))).for_real(),
        no(WHO, "moves another system", spec(json!({ "system": "other" })), stays),
        no(WHO, "leaves another room", spec(json!({ "room": "other" })), stays),
        yes(WHO, "moves something else", spec(json!({ "workloads": other }))),
        yes(WHO, "is planned", status(&open, json!({ "stage": "Planned", "epoch": 3 }))).for_real(),
        yes(WHO, "moves something else while it is planned", spec(json!({ "workloads": other }))),
        yes(WHO, "lands", status(&open, json!({ "stage": "Landing", "epoch": 4 }))).for_real(),
        no(
            WHO,
            "moves something else after that",
            spec(json!({ "workloads": other })),
            "spec.workloads cannot change once",
        ),
        no(WHO, "lowers the epoch", status(&open, json!({ "epoch": 3 })), "status.epoch never falls"),
        no(WHO, "takes the epoch away", status(&open, json!({ "epoch": null })), "status.epoch never falls"),
        yes(WHO, "tries again", spec(json!({ "round": 2 }))).for_real(),
        no(WHO, "tries less", spec(json!({ "round": 1 })), "spec.round never falls"),
        yes(WHO, "signs", spec(json!({ "signatures": [signature('a')] }))).for_real(),
        yes(WHO, "signs again", spec(json!({ "signatures": [signature('a'), signature('b')] }))),
        no(WHO, "changes a signature", spec(json!({ "signatures": [signature('b')] })), record),
        no(WHO, "takes a signature back", spec(json!({ "signatures": [] })), record),
        yes(WHO, "is rehearsed", status(&open, json!({ "stage": "Rehearsed" }))).for_real(),
        yes(WHO, "asks for a longer trial before anybody approved", spec(json!({ "trial": { "length": "60d" } }))),
        yes(WHO, "is approved", status(&open, json!({ "signatures": [counted] }))).for_real(),
        no(WHO, "shortens the trial after that", spec(json!({ "trial": { "length": "0s" } })), agreed),
        no(WHO, "needs fewer approvals", spec(json!({ "cutover": { "downtimeBudget": "9h" } })), agreed),
        no(WHO, "has others sign", spec(json!({ "signers": { "authority": ["friend"] } })), agreed),
        yes(WHO, "is rolled back", status(&open, json!({ "stage": "RolledBack" }))).for_real(),
        yes(WHO, "allows a longer downtime next time", spec(json!({ "cutover": { "downtimeBudget": "1h" } }))),
        yes(WHO, "cuts over", status(&open, json!({ "stage": "CuttingOver", "step": "Probe" }))).for_real(),
        yes(WHO, "deletes it before traffic is admitted", delete(&open)),
        yes(WHO, "is opened", status(&open, json!({ "step": "Open" }))).for_real(),
        no(WHO, "deletes it while applications get the target", delete(&open), undeleted),
        yes(WHO, "runs on the cloud", status(&open, json!({ "stage": "ParallelRun", "step": null }))).for_real(),
        no(WHO, "deletes it while it runs on the cloud", delete(&open), undeleted),
        no(WHO, "shortens the trial while it runs", spec(json!({ "trial": { "length": "0s" } })), agreed),
        no(
            WHO,
            "gives it up while it runs on the cloud",
            spec(json!({ "cancel": true })),
            "the system runs on the cloud",
        ),
        yes(WHO, "closes the source for good", spec(json!({ "closeSource": true }))).for_real(),
        no(WHO, "opens it again", spec(json!({ "closeSource": false })), "spec.closeSource cannot be taken back"),
        yes(WHO, "gives it up", merge(&over, json!({ "spec": { "cancel": true } }))).for_real(),
        no(WHO, "takes that back", merge(&over, json!({ "spec": { "cancel": false } })), for_good),
        yes(WHO, "is cancelled", status(&over, json!({ "stage": "Cancelled" }))).for_real(),
        yes(WHO, "deletes what is over", delete(&over)),
        no(WHO, "begins anew", status(&over, json!({ "stage": "Landing" })), ended),
        no(WHO, "loses its stage", status(&over, json!({ "stage": null })), ended),
    ]
}

/// Whoever signs or records something does so in their own name.
pub(crate) fn authors() -> Vec<Case> {
    let by = "by must be you";
    let signature =
        |by: &str| json!([{ "purpose": "Cutover", "party": "Department", "by": by, "digest": digest('a') }]);
    let records = |by: &str| with(record("Assessed", 'a'), "/by", json!(by));
    let erased = with(migration("admission-signed"), "/spec/erasureRecord", json!(digest('e')));
    let signed = |who: &str| with(erased.clone(), "/spec/signatures", signature(who));
    let recorded = |who: &str| with(room("admission-recorded"), "/spec/records", json!([records(who)]));
    let standing = at("SystemMigration", HERE, "admission-signed");
    let both = |other: &str| json!({ "spec": { "signatures": [signature(SELF)[0], signature(other)[0]] } });
    let party = |party: &str, who: &str| {
        let own = json!({ "purpose": "Acceptance", "party": party, "by": who, "digest": digest('a') });
        json!({ "spec": { "signatures": [signature(SELF)[0], own] } })
    };
    let closing = at("MachineRoom", "", "admission-closing");
    let verified = |who: &str| json!({ "spec": { "records": [with(record("Verified", 'a'), "/by", json!(who))] } });
    let (mine, alone) = ("you may not sign for this party", "change nothing else");
    vec![
        no(WHO, "signs a new migration in another's name", create(signed("head")), by),
        yes(WHO, "signs a new migration", create(signed(SELF))).for_real(),
        no(WHO, "adds another's signature", merge(&standing, both("head")), by),
        yes(WHO, "changes something beside a signature", merge(&standing, json!({ "spec": { "paused": true } }))),
        yes(CLERK, "changes what the department moves", merge(&standing, json!({ "spec": { "paused": true } }))),
        yes(HEAD, "signs for the department", merge(&standing, both("head-emergency"))),
        no(CLERK, "signs for the department without the right", merge(&standing, both("clerk-emergency")), mine),
        no(PROVIDER, "signs for the department as the provider", merge(&standing, both("provider-ops")), mine),
        yes(PROVIDER, "signs for the provider", merge(&standing, party("Provider", "provider-ops"))),
        yes(AUTHORITY, "signs for the authority", merge(&standing, party("Authority", "authority-chief"))),
        no(
            AUTHORITY,
            "signs for the provider as the authority",
            merge(&standing, party("Provider", "authority-chief")),
            mine,
        ),
        no(HEAD, "pauses it", merge(&standing, json!({ "spec": { "paused": true } })), alone),
        no(HEAD, "takes something out of it", merge(&standing, json!({ "spec": { "erasureRecord": null } })), alone),
        no(HEAD, "labels it", merge(&standing, json!({ "metadata": { "labels": { "a": "b" } } })), alone),
        no(OTHER_HEAD, "signs in another department", merge(&standing, both("head-finance")), "cannot patch resource"),
        yes(ADMIN, "registers a room", create(room("admission-closing"))).for_real(),
        no(ADMIN, "verifies its closure", merge(&closing, verified("cloud-admin")), "recorded by the authority"),
        yes(AUTHORITY, "verifies its closure", merge(&closing, verified("authority-chief"))),
        no(
            AUTHORITY,
            "gives it up",
            merge(&closing, json!({ "spec": { "decision": { "withdraw": { "by": "2027-12-31" } } } })),
            alone,
        ),
        no(WHO, "records a step in another's name", create(recorded("head")), by),
        yes(WHO, "records a step", create(recorded(SELF))),
    ]
}
