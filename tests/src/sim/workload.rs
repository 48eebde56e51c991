//! Workloads: short scripts of what people do. Each must come to the same end whatever happens to operators meanwhile.

mod door;
mod lives;
mod quotas;
mod recovery;
mod reviews;
mod sites;
mod surroundings;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;
use serde_json::{Value, json};

use super::stage::Stage;

/// A script's progress.
pub type Play<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// What of an end is the same whatever happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Everything: what stands, and how often each thing was made and removed.
    Exactly,
    /// What stands; how much was made before it was removed depends on who was quicker.
    Standing,
    /// Only what the script itself waits for; who wins a race depends on who was quicker.
    AsTold,
}

/// One workload.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Name, in plans.
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// What of its end is always the same.
    pub ends: Ends,
    /// The script.
    pub play: for<'a> fn(&'a Stage) -> Play<'a>,
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload").field("name", &self.name).finish_non_exhaustive()
    }
}

macro_rules! workloads {
    ($($name:literal $ends:ident $about:literal $play:path;)*) => {
        /// Every workload.
        pub const ALL: &[Workload] = &[$(Workload { name: $name, about: $about, ends: Ends::$ends, play: |stage| Box::pin($play(stage)) }),*];
    };
}

workloads! {
    "deliver" Exactly "a request is approved and delivered" lives::deliver;
    "correct" Exactly "a request is returned, corrected, approved and delivered" lives::correct;
    "refuse" Exactly "one request is rejected, another one withdrawn" lives::refuse;
    "revoke" Exactly "a grant is delivered and revoked to zero" lives::revoke;
    "hasty" AsTold "a grant is revoked while it is being delivered" lives::hasty;
    "cut-off" Exactly "a grant is revoked while its site is cut off, which comes back later" lives::cut_off;
    "last-unit" AsTold "two requests ask for what is there once" quotas::last_unit;
    "again" Exactly "a refused request is deleted and made again under its name, for less" lives::again;
    "quota-cut" Exactly "a quota is cut below what is used, and raised again" quotas::cut;
    "move" Exactly "a department is moved to another parent" quotas::move_department;
    "bad-object" Exactly "a template holds an object that the site refuses" lives::bad_object;
    "auto" Exactly "a request needs no approval" lives::auto;
    "many-things" Exactly "a space, a volume, a bucket and a database are delivered as one and revoked" lives::many_things;
    "twice-ended" Exactly "two revocations are ordered for one grant" lives::twice_ended;
    "undone" Standing "the authority undoes a revocation in its hold" lives::undone;
    "cleared" Exactly "ended orders are deleted, and the same is ordered again under the old names" lives::cleared;
    "too-soon" Exactly "a renewal is asked for, which there is not yet" lives::renewal;
    "staged" Exactly "a request passes every stage that is shipped, and its delivery is confirmed" reviews::staged;
    "late-refusal" Exactly "the second stage rejects what the first approved" reviews::late_refusal;
    "unfit" Exactly "who may not approve tries to, before who may does" reviews::unfit;
    "outdated" Exactly "somebody approves the order as it was before its correction, and their own" reviews::outdated;
    "new-way" Exactly "the approval policy changes while a request is under review" reviews::new_way;
    "new-item" Exactly "a catalogue item changes while a request is under review" reviews::new_item;
    "no-guard" Exactly "a policy of the API server is away as a request is submitted, and comes back" reviews::no_guard;
    "two-sites" Exactly "two departments order at two sites at once" sites::two_sites;
    "cut-deliver" Exactly "the site is cut off as a grant is to be delivered, and comes back" sites::cut_deliver;
    "flapping" Standing "the way to the site comes and goes while a grant is delivered" sites::flapping;
    "squatted" Exactly "somebody has the namespace's name already, and gives it up" sites::squatted;
    "squatted-end" Exactly "somebody has the namespace's name as the grant is revoked" sites::squatted_end;
    "drift" Exactly "somebody widens and deletes what was delivered" sites::drift;
    "replaced" Exactly "somebody puts a policy of their own in the place of a delivered one, and takes it away" sites::replaced;
    "retained" Exactly "a volume outlives its claim, and an administrator removes it" sites::retained;
    "lost-key" Exactly "the site's credential is spoilt while a grant is revoked, and mended" sites::lost_key;
    "other-cluster" Exactly "another cluster answers for a site for a while" sites::other_cluster;
    "capacity" AsTold "two departments ask for what a site has once" surroundings::capacity;
    "quota-gone" Exactly "a quota is deleted while it is used, and made again" surroundings::quota_gone;
    "department-gone" Exactly "a department is deleted while it holds something" surroundings::department_gone;
    "door" Exactly "a request and its revocation, all through the API" door::life;
    "door-correct" Exactly "a request is returned and corrected through the API" door::correct;
    "door-twice" Exactly "everything is sent to the API twice at the same time" door::twice;
    "backup" Exactly "a namespace is backed up once" recovery::backups::backup;
    "two-plans" Standing "two plans back up into one repository at the same time" recovery::backups::two_plans;
    "kept" AsTold "backups are due, copied to two stores, and thinned out to one" recovery::backups::kept;
    "held" AsTold "a backup is put on hold as it is to be dropped" recovery::backups::held;
    "rotten" Standing "what was stored of a backup rots before it is read back" recovery::backups::rotten;
    "store-away" AsTold "a bucket is away while backups are due, and comes back" recovery::backups::store_away;
    "no-room" Standing "a quota is too small for the ceiling of a plan, and raised" recovery::charges::no_room;
    "settled" Standing "backups are made and dropped, and what is charged is what stands" recovery::charges::settled;
    "too-much" Standing "a backup would pass the ceiling of its plan, which is raised" recovery::charges::too_much;
    "plan-gone" Standing "a plan is deleted whose backups stand, and another one takes them over" recovery::charges::plan_gone;
    "restore" Standing "a namespace is emptied and restored to its grant" recovery::restores::same_grant;
    "elsewhere" Standing "a backup is restored to another grant at another site" recovery::restores::elsewhere;
    "trespass" Standing "a restore names a grant of another department" recovery::restores::trespass;
    "impatient" Standing "a restore is asked for before its backup is proved" recovery::restores::impatient;
    "drill" AsTold "a drill of two namespaces and a database is due, held, and its scratch removed to zero" recovery::drills::drilled;
    "disturbed" Standing "somebody changes what a drill has restored" recovery::drills::disturbed;
    "site-gone" Exactly "a site is deleted while something stands there" surroundings::site_gone;
}

/// The workload of a name.
pub fn named(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|w| w.name == name)
}

/// What a department orders: a space, of this many cores.
pub(super) fn order(system: &str, class: &str, cpu: &str) -> Value {
    json!({
        "action": "Create", "system": system, "site": "hohhot", "class": class, "justification": "simulated",
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": cpu, "memory": "1Gi" } }]
    })
}

/// What ends a grant.
pub(super) fn revocation(grant: &str) -> Value {
    json!({ "action": "Revoke", "site": "hohhot", "grant": grant, "justification": "simulated", "class": "Test" })
}

/// Approval policies of the simulated world beside those that are shipped: short ways, for runs are many.
pub(super) fn policies() -> Vec<Value> {
    let policy = |name: &str, matching: &str, rest: Value| {
        let mut spec = json!({
            "displayNames": { "zh-CN": { "full": "模拟用流程" }, "en": { "full": name } },
            "match": matching, "priority": 900, "confirm": "Auto"
        });
        if let (Some(spec), Some(rest)) = (spec.as_object_mut(), rest.as_object()) {
            spec.extend(rest.clone());
        }
        json!({ "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": name }, "spec": spec })
    };
    vec![
        policy(
            "sim-create",
            "request.action == 'Create' && request.class == 'Test'",
            json!({ "stages": [{ "name": "department" }], "holdSeconds": 0 }),
        ),
        policy(
            "sim-auto",
            "request.action == 'Create' && request.class == 'Temporary'",
            json!({ "autoApprove": { "basis": "a simulation" }, "holdSeconds": 0 }),
        ),
        policy(
            "sim-revoke",
            "request.action == 'Revoke'",
            json!({ "stages": [{ "name": "department" }], "holdSeconds": 1 }),
        ),
        json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "sim-hold" },
            "spec": {
                "displayNames": { "zh-CN": { "full": "模拟用流程" }, "en": { "full": "sim-hold" } },
                "match": "request.action == 'Revoke' && request.class == 'Temporary'", "priority": 950, "confirm": "Auto",
                "stages": [{ "name": "department" }], "holdSeconds": 120
            }
        }),
    ]
}
