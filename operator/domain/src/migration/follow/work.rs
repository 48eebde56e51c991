//! What follows from the processes of the workloads at one place.

use serde_json::Value;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{Blocker, MigrationVerb, Party};

use super::{Act, verb};
use crate::migration::facts::{Facts, Signed, Work};
use crate::migration::gate::{blocker, signed};
use crate::recovery::run::{Fault, Order, Sighting};

/// The reason with which a mover refuses what another migration holds.
const HELD_BY_ANOTHER: &str = "OtherMigration";

/// How the movers stand with what they do at a place.
pub(super) enum Done<'a> {
    /// Every one came to its end.
    Yes(Vec<Report<'a>>),
    /// Not every one has.
    Not {
        /// What is to be done.
        act: Act,
        /// What it waits for.
        blocker: Option<Blocker>,
    },
    /// One cannot come to its end without somebody mending something.
    Failed(Blocker),
}

/// What a mover that came to its end says of a workload.
pub(super) struct Report<'a> {
    /// Workload.
    name: &'a str,
    /// What it did.
    verb: MigrationVerb,
    /// What it says.
    said: &'a Value,
}

impl Report<'_> {
    /// Whether it says that both sides are equal.
    pub(super) fn equal(&self) -> bool {
        self.said.get("equal").and_then(Value::as_bool) == Some(true)
    }

    /// That they are not, in words.
    pub(super) fn unequal(&self) -> String {
        let first = self.said.pointer("/differences/0").map(|first| match first {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        format!(
            "{} found workload {} unequal{}; look at its report, mend the target, then raise spec.round",
            self.verb,
            self.name,
            first.map(|first| format!(", the first difference is {first}")).unwrap_or_default()
        )
    }

    /// Why a source does not count as closed; none if it does.
    ///
    /// A source of which it is only declared that nothing writes counts when somebody signed for it.
    pub(super) fn not_frozen(&self, declared: &Signed) -> Option<Blocker> {
        match self.said.get("strength").and_then(Value::as_str) {
            Some("Proven") if self.evidence() => None,
            Some("Declared") if self.evidence() => signed(declared, Party::Department).err(),
            _ => Some(self.unproven("source")),
        }
    }

    /// Why a target does not count as closed; none if it does. A mover that cannot see everybody who may have it open says so.
    pub(super) fn not_closed(&self, declared: &Signed) -> Option<Blocker> {
        match self.said.get("strength").and_then(Value::as_str) {
            None | Some("Proven") if self.evidence() => None,
            Some("Declared") if self.evidence() => signed(declared, Party::Department).err(),
            _ => Some(self.unproven("target")),
        }
    }

    fn unproven(&self, side: &str) -> Blocker {
        blocker(
            Reason::NotProvenClosed,
            Party::Provider,
            format!(
                "{} of workload {} came to its end and shows no evidence that the {side} is closed: look at it, then raise spec.round",
                self.verb, self.name
            ),
        )
    }

    fn evidence(&self) -> bool {
        match self.said.get("evidence") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(all)) => !all.is_empty(),
            Some(Value::Object(all)) => !all.is_empty(),
            Some(_) => true,
        }
    }
}

/// An order about a process of the present epoch.
pub(super) fn run(facts: &Facts<'_>, work: &Work<'_>, verb: MigrationVerb, order: Order) -> Act {
    Act::Run { workload: work.name.to_owned(), verb, epoch: facts.epoch, order }
}

/// A fault that does not pass by itself, as a blocker.
pub(super) fn fault(name: &str, verb: MigrationVerb, fault: &Fault) -> Blocker {
    // What is wrong at the source is mended by whoever runs the system there.
    let of_the_source = matches!(fault.reason.as_str(), "SourceUnreadable" | "FreezeRefused" | "SourceChanged");
    let owner = if of_the_source { Party::Department } else { Party::Provider };
    Blocker {
        reason: Reason::RunFailed.as_str().to_owned(),
        owner,
        message: crate::condition::cut(
            format!("{verb} of workload {name}: {}: {}; then raise spec.round", fault.reason, fault.message),
            2_000,
        ),
    }
}

/// A process of a turn before that still lives is ended before anything else is begun: both sides refuse it by its epoch, and it may
/// be in the way of the next one.
pub(super) fn stale(facts: &Facts<'_>) -> Option<Act> {
    facts.works.iter().find_map(|work| {
        let stale = work.stale?;
        // On the way back, applications wait.
        let order = if stale.hangs || facts.at.step.is_some() && !facts.at.goes_back_by_itself() {
            Order::Kill
        } else {
            Order::Cancel
        };
        Some(Act::Run { workload: work.name.to_owned(), verb: stale.verb, epoch: stale.epoch, order })
    })
}

/// Has the movers do what is to be done at the place, and says how they stand with it.
pub(super) fn carry<'a>(facts: &Facts<'a>) -> Done<'a> {
    let Some(verb) = verb(facts.at) else { return Done::Yes(Vec::new()) };
    let mut reports = Vec::new();
    let mut act = None;
    let mut held = None;
    for work in facts.works {
        let order = match work.sighting {
            Sighting::Absent | Sighting::Lost => Order::Start,
            Sighting::Running { .. } if work.sighting.hangs() => Order::Kill,
            Sighting::Running { .. } => Order::Wait,
            Sighting::Failed(fault) if fault.may_pass(work.attempt) => fault.order(),
            // Another migration holds it, so this one was refused there and made nothing that could be taken away.
            Sighting::Failed(fault) if verb == MigrationVerb::Drop && fault.reason == HELD_BY_ANOTHER => continue,
            Sighting::Failed(failed) => {
                held.get_or_insert_with(|| fault(work.name, verb, failed));
                continue;
            }
            Sighting::Done(said) => {
                reports.push(Report { name: work.name, verb, said });
                continue;
            }
        };
        // One that is to be started comes before one that is to be waited for.
        if order == Order::Wait {
            act.get_or_insert(Act::Wait);
        } else if !matches!(act, Some(Act::Run { .. })) {
            act = Some(run(facts, work, verb, order));
        }
    }
    match (held, act) {
        (Some(blocker), _) => Done::Failed(blocker),
        (None, Some(act)) => Done::Not { act, blocker: None },
        (None, None) => Done::Yes(reports),
    }
}

/// As [`carry`], for what must come to its end whatever happens: a fault is told, and the process is taken up after a rest.
pub(super) fn insist<'a>(facts: &Facts<'a>) -> Done<'a> {
    let Some(verb) = verb(facts.at) else { return Done::Yes(Vec::new()) };
    match carry(facts) {
        Done::Failed(blocker) => {
            let again = facts.works.iter().find_map(|work| match work.sighting {
                Sighting::Failed(fault) => Some(run(facts, work, verb, fault.order())),
                _ => None,
            });
            Done::Not { act: again.unwrap_or(Act::Wait), blocker: Some(blocker) }
        }
        done => done,
    }
}
