//! What is seen of a migration to which everything is as it should be, to be spoilt by a test.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use zhengyun_crds::migration::{MigrationFinding, Strategy};
use zhengyun_domain::migration::facts::{
    Asked, Backups, Facts, Grant, Limits, Moments, Outside, Signatures, Told, Wave, Work,
};
use zhengyun_domain::migration::follow::{FOLLOWING, Next, follow};
use zhengyun_domain::migration::machine::Place;
use zhengyun_domain::migration::window::Open;
use zhengyun_domain::recovery::run::{Fault, Sighting, Standing};

use crate::at;

pub(crate) const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// One workload, owned.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) sighting: Sighting,
    pub(crate) follower: Sighting,
    pub(crate) attempt: i32,
    pub(crate) in_step_since: Option<Timestamp>,
    pub(crate) stale: Option<zhengyun_domain::migration::facts::Stale>,
}

/// Everything that is seen, owned.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) now: Timestamp,
    pub(crate) strategy: Strategy,
    pub(crate) at: Place,
    pub(crate) epoch: i64,
    pub(crate) round: i32,
    pub(crate) asked: Asked,
    pub(crate) works: Vec<Seen>,
    pub(crate) findings: Vec<MigrationFinding>,
    pub(crate) unowned: Vec<String>,
    pub(crate) grant: Grant,
    pub(crate) wave: Wave,
    pub(crate) backups: Backups,
    pub(crate) signed: Signatures,
    pub(crate) erasure_recorded: bool,
    pub(crate) outside: Outside,
    pub(crate) limits: Limits,
    pub(crate) moments: Moments,
}

pub(crate) fn missing() -> Result<(), String> {
    Err("somebody is to sign".to_owned())
}

pub(crate) fn following() -> Sighting {
    running(FOLLOWING)
}

pub(crate) fn running(word: &str) -> Sighting {
    Sighting::Running { standing: Standing { phase: word.to_owned(), ..Standing::default() }, silent_seconds: 0 }
}

pub(crate) fn failed(reason: &str, transient: bool) -> Sighting {
    Sighting::Failed(Fault {
        reason: reason.to_owned(),
        message: "it says why".to_owned(),
        transient,
        seconds_ago: 60,
        ..Fault::default()
    })
}

pub(crate) fn proven() -> Value {
    json!({ "strength": "Proven", "equal": true, "evidence": { "mount": "read-only" } })
}

impl Scene {
    /// A migration at a place, of two workloads whose movers came to a good end, and with every gate open.
    pub(crate) fn good(place: Place) -> Self {
        let now = at("2027-03-05T14:30:00Z");
        let window = Open { start: at("2027-03-05T14:00:00Z"), end: at("2027-03-05T22:00:00Z") };
        let seen = |name: &str| Seen {
            name: name.to_owned(),
            sighting: Sighting::Done(proven()),
            follower: following(),
            attempt: 1,
            in_step_since: Some(now - HOUR),
            stale: None,
        };
        Self {
            now,
            strategy: Strategy::Rehost,
            at: place,
            epoch: 4,
            round: 0,
            asked: Asked { close_source: true, ..Asked::default() },
            works: vec![seen("scans"), seen("books")],
            findings: Vec::new(),
            unowned: Vec::new(),
            grant: Grant::InService,
            wave: Wave {
                name: Some("first".to_owned()),
                hold: None,
                window: Some(window),
                approved: Some(window.start),
            },
            backups: Backups { age: Some(HOUR), places: 2, rehearsed: Some(HOUR / 2) },
            signed: Signatures {
                cutover: Ok(()),
                declared: missing(),
                rollback: missing(),
                acceptance: Ok(()),
                erasure: Ok(()),
            },
            erasure_recorded: true,
            outside: Outside { probe: Told::Done, switch: Told::Done, switch_back: Told::Done, trouble: None },
            limits: Limits { downtime: Some(HOUR), in_step_for: HOUR / 6, backup_age: HOUR * 24, trial: HOUR * 24 },
            moments: Moments {
                frozen: Some(now - HOUR / 6),
                admitted: Some(now - HOUR * 48),
                retained_until: Some(now - HOUR),
            },
        }
    }

    /// What follows.
    pub(crate) fn next(&self) -> Next {
        let works: Vec<Work<'_>> = self
            .works
            .iter()
            .map(|seen| Work {
                name: &seen.name,
                sighting: &seen.sighting,
                follower: &seen.follower,
                stale: seen.stale,
                attempt: seen.attempt,
                in_step_since: seen.in_step_since,
            })
            .collect();
        follow(&Facts {
            now: self.now,
            strategy: self.strategy,
            at: self.at,
            epoch: self.epoch,
            round: self.round,
            asked: self.asked,
            works: &works,
            findings: &self.findings,
            unowned: &self.unowned,
            grant: &self.grant,
            wave: &self.wave,
            backups: self.backups,
            signed: &self.signed,
            erasure_recorded: self.erasure_recorded,
            outside: &self.outside,
            limits: self.limits,
            moments: self.moments,
        })
        .unwrap()
    }
}
