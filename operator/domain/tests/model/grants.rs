//! The next step with a grant, by the real `task`, and the statuses that the real functions write for it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use zhengyun_crds::ResourceGrant;
use zhengyun_crds::grant::{GrantPhase, InventoryEntry, ResourceGrantStatus, RevokeStep};
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_domain::grant::{self, Delivery, Task};

use super::state::GrantAt;
use super::town::{SITE, amounts};

/// The time at which everything is decided: no deadline passes in the model.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_772_438_400).unwrap()
}

/// A status that an operator writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writing {
    /// The charge was moved to it.
    Charged,
    /// Everything stands.
    Delivered,
    /// Removal begins.
    Removing,
    /// Everything was removed.
    Proving,
    /// Zero was proven and the charge released.
    Revoked,
}

impl Writing {
    const ALL: [Self; 5] = [Self::Charged, Self::Delivered, Self::Removing, Self::Proving, Self::Revoked];
}

/// Tasks and statuses.
#[derive(Debug)]
pub(crate) struct Grants {
    examples: BTreeMap<(GrantAt, bool), ResourceGrant>,
    tasks: [Option<Task>; 14],
    written: [Option<GrantAt>; 70],
}

impl Grants {
    /// Asks for every task and status.
    pub(crate) fn ask() -> Self {
        let mut all = Self { examples: examples(), tasks: [None; 14], written: [None; 70] };
        for ((at, revocation), example) in &all.examples {
            all.tasks[place(*at, *revocation)] = Some(grant::task(example, now()));
            for writing in Writing::ALL {
                all.written[place(*at, *revocation) * 5 + writing as usize] = decode(&write(example, writing));
            }
        }
        all
    }

    /// What there is to do with a grant.
    pub(crate) const fn task(&self, at: GrantAt, revocation: bool) -> Option<Task> {
        self.tasks[place(at, revocation)]
    }

    /// Where a status leads.
    pub(crate) const fn after(&self, at: GrantAt, revocation: bool, writing: Writing) -> Option<GrantAt> {
        self.written[place(at, revocation) * 5 + writing as usize]
    }

    /// A grant that stands somewhere.
    pub(crate) fn example(&self, at: GrantAt, revocation: bool) -> Option<&ResourceGrant> {
        self.examples.get(&(at, revocation))
    }

    /// Every grant of the kind.
    pub(crate) fn examples(&self) -> impl Iterator<Item = (GrantAt, bool, &ResourceGrant)> {
        self.examples.iter().map(|((at, revocation), grant)| (*at, *revocation, grant))
    }

    /// How many questions were asked.
    pub(crate) fn questions(&self) -> usize {
        self.examples.len() * (1 + Writing::ALL.len())
    }
}

const fn place(at: GrantAt, revocation: bool) -> usize {
    at as usize * 2 + revocation as usize
}

/// Every grant that the protocol can come to, each written by the real functions from the one before.
fn examples() -> BTreeMap<(GrantAt, bool), ResourceGrant> {
    let with = |grant: &ResourceGrant, writing| ResourceGrant { status: Some(write(grant, writing)), ..grant.clone() };
    let pending = bare();
    let provisioning = with(&pending, Writing::Charged);
    let in_service = with(&provisioning, Writing::Delivered);
    let ordered = |grant: &ResourceGrant| {
        let mut grant = grant.clone();
        grant.spec.revocation = serde_json::from_value(json!({
            "request": { "name": "e", "uid": "e" }, "disposition": "Delete", "holdUntil": now().to_string()
        }))
        .unwrap();
        grant
    };
    let removing = with(&ordered(&in_service), Writing::Removing);
    let proving = with(&removing, Writing::Proving);
    let revoked = with(&proving, Writing::Revoked);
    [
        ((GrantAt::Pending, false), pending),
        ((GrantAt::Provisioning, true), ordered(&provisioning)),
        ((GrantAt::Provisioning, false), provisioning),
        ((GrantAt::InService, true), ordered(&in_service)),
        ((GrantAt::InService, false), in_service),
        ((GrantAt::Removing, true), removing),
        ((GrantAt::Proving, true), proving),
        ((GrantAt::Revoked, true), revoked),
    ]
    .into_iter()
    .collect()
}

fn write(grant: &ResourceGrant, writing: Writing) -> ResourceGrantStatus {
    let charge = |granted| ObjectCharge { site: SITE.to_owned(), sequence: 1, granted, ..ObjectCharge::default() };
    let granted = zhengyun_domain::quota::texts(&amounts([1, 1]));
    match writing {
        Writing::Charged => grant::charged(grant, "zy-x", charge(granted), now()),
        Writing::Delivered => {
            let entry = InventoryEntry {
                version: "v1".to_owned(),
                kind: "Namespace".to_owned(),
                plural: "namespaces".to_owned(),
                name: "zy-x".to_owned(),
                uid: Some("u".to_owned()),
                state: "Ready".to_owned(),
                ..InventoryEntry::default()
            };
            grant::delivering(grant, Delivery { inventory: vec![entry], ..Delivery::default() }, now())
        }
        Writing::Removing => grant::revoking(grant, RevokeStep::Removing, "", None, now()),
        Writing::Proving => grant::revoking(grant, RevokeStep::Proving, "", None, now()),
        Writing::Revoked => {
            grant::revoked(grant, charge(zhengyun_crds::Amounts::new()), vec!["Namespace: not found".to_owned()], now())
        }
    }
}

fn decode(status: &ResourceGrantStatus) -> Option<GrantAt> {
    Some(match (status.phase?, status.step) {
        (GrantPhase::Pending, _) => GrantAt::Pending,
        (GrantPhase::Provisioning, _) => GrantAt::Provisioning,
        (GrantPhase::InService, _) => GrantAt::InService,
        (GrantPhase::Revoking, Some(RevokeStep::Removing)) => GrantAt::Removing,
        (GrantPhase::Revoking, Some(RevokeStep::Proving)) => GrantAt::Proving,
        (GrantPhase::Revoking, _) => return None,
        (GrantPhase::Revoked, _) => GrantAt::Revoked,
    })
}

fn bare() -> ResourceGrant {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceGrant",
        "metadata": { "name": "g", "namespace": "dept-x", "uid": "g", "generation": 1 },
        "spec": {
            "department": "x", "system": "s", "site": SITE, "request": { "name": "r", "uid": "r" }, "revision": 1,
            "class": "Standard", "items": [], "charge": { "cpu": "1", "memory": "1" }, "bundle": {}, "confirm": false
        }
    }))
    .unwrap()
}
