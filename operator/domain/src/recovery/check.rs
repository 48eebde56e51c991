//! Reading whole stores through: when a check is due, whose repository is read next, and what came of it.
//!
//! A store holds a repository for each department. They are read one after the other, each by a process of its own that takes no lease
//! and writes nothing, so no backup waits for a check.

mod outcome;
mod told;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zhengyun_crds::recovery::{
    BackupStoreStatus, CheckOutcome, CheckPolicy, IntegrityCheck, RepositoryCheck, RunningCheck,
};

use self::outcome::{damaged, judged, unread};
use self::told::finished;
use super::run::{Order, Sighting};
use super::schedule::{Schedule, due};
use crate::finding::Finding;

pub use self::told::{intact, known};

/// How long a check waits for a repository that is busy or away before it goes on without it.
const PATIENCE: SignedDuration = SignedDuration::from_hours(6);
/// How often a process may end without a word.
const ATTEMPTS: i32 = 5;
/// What a process says when what it reads is not as it was written.
const DAMAGE: [&str; 4] = ["RepositoryDamaged", "EvidenceInvalid", "NotIntact", "NoRepository"];

/// Everything that the decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// When checks are due.
    pub policy: &'a CheckPolicy,
    /// UID of the store.
    pub uid: &'a str,
    /// Creation of the store; intervals count from it.
    pub created: Timestamp,
    /// What was decided before.
    pub before: &'a BackupStoreStatus,
    /// Departments with a repository in the store, in an order that stays.
    pub departments: &'a [String],
    /// What is seen of the process that reads the repository of [`current`].
    pub seen: &'a Sighting,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// No check is under way.
    Nothing,
    /// A check begins: what processes of an earlier one left goes.
    Begin,
    /// The repository of this department is read.
    Start(String),
    /// Its process is left to go on.
    Wait,
    /// Its process hangs and is ended.
    Kill(String),
    /// Its process came to its end; what it left goes.
    Clear(String),
}

/// The decision.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What is to be done.
    pub next: Next,
    /// The check under way.
    pub checking: Option<RunningCheck>,
    /// The last one that came to its end.
    pub last_check: Option<IntegrityCheck>,
    /// Due time of the last one that was begun.
    pub check_due: Option<Time>,
    /// When the next one begins.
    pub next_check: Option<Time>,
    /// Damage that was not known a moment ago.
    pub damage: Option<RepositoryCheck>,
    /// What is wrong with the schedule.
    pub finding: Option<Finding>,
}

/// Whose repository the check under way reads now.
pub fn current<'a>(before: &BackupStoreStatus, departments: &'a [String]) -> Option<&'a str> {
    let running = before.checking.as_ref()?;
    let is_read = |department: &str| running.repositories.iter().any(|read| read.department == department);
    departments.iter().map(String::as_str).find(|department| !is_read(department))
}

/// What is told of a store that cannot be looked at: what was known before.
pub fn kept(before: &BackupStoreStatus) -> Decision {
    Decision {
        next: Next::Nothing,
        checking: before.checking.clone(),
        last_check: before.last_check.clone(),
        check_due: before.check_due.clone(),
        next_check: before.next_check.clone(),
        damage: None,
        finding: None,
    }
}

/// Decides what is done next, and what is told.
pub fn decide(facts: &Facts<'_>, now: Timestamp) -> Decision {
    let before = facts.before;
    let mut decision = kept(before);
    match Schedule::read("/spec/check/schedule", &facts.policy.schedule, facts.created) {
        Ok(schedule) => {
            let known = before.check_due.as_ref().map(|due| due.0);
            let due = due(&schedule, facts.uid, known, facts.created, now);
            decision.next_check = due.next.filter(|_| !facts.policy.paused).map(Time);
            if before.checking.is_none()
                && let Some(run) = due.run.filter(|_| !facts.policy.paused)
            {
                decision.check_due = Some(Time(run.at));
                // Nothing is read where there is nothing: that proves as little as no check.
                if !facts.departments.is_empty() {
                    decision.next = Next::Begin;
                    decision.checking =
                        Some(RunningCheck { started_at: Time(now), attempt: 0, repositories: Vec::new() });
                }
            }
        }
        Err(found) => {
            decision.next_check = None;
            decision.finding = found.into_iter().next();
        }
    }
    // What was begun comes to its end, whatever the schedule says by now.
    if let Some(running) = before.checking.clone() {
        go_on(facts, running, &mut decision, now);
    }
    decision
}

fn go_on(facts: &Facts<'_>, mut running: RunningCheck, decision: &mut Decision, now: Timestamp) {
    let Some(department) = current(facts.before, facts.departments) else {
        decision.last_check = Some(finished(&running, now));
        decision.checking = None;
        return;
    };
    let waited = now.duration_since(running.started_at.0);
    let outcome = match facts.seen {
        Sighting::Absent | Sighting::Lost if running.attempt >= ATTEMPTS => Some(unread(
            department,
            format!("its process ended {ATTEMPTS} times without a word: look at the log of the operator"),
        )),
        Sighting::Absent | Sighting::Lost => {
            running.attempt = running.attempt.saturating_add(1);
            decision.next = Next::Start(department.to_owned());
            None
        }
        seen if seen.hangs() => {
            decision.next = Next::Kill(department.to_owned());
            None
        }
        Sighting::Running { .. } => {
            decision.next = Next::Wait;
            None
        }
        Sighting::Done(report) => Some(judged(department, report)),
        Sighting::Failed(fault) if DAMAGE.contains(&fault.reason.as_str()) => Some(damaged(department, fault)),
        Sighting::Failed(fault) if fault.transient && waited < PATIENCE => {
            decision.next = match fault.order() {
                Order::Start => Next::Start(department.to_owned()),
                _ => Next::Wait,
            };
            None
        }
        Sighting::Failed(fault) => Some(unread(department, format!("{} ({})", fault.message, fault.reason))),
    };
    if let Some(outcome) = outcome.map(|outcome| remembered(facts.before, outcome)) {
        decision.next = Next::Clear(department.to_owned());
        decision.damage = Some(outcome.clone()).filter(|outcome| outcome.outcome == CheckOutcome::Damaged);
        running.attempt = 0;
        running.repositories.push(outcome);
    }
    decision.checking = Some(running);
}

/// What was found damaged stays so until somebody has read it again.
fn remembered(before: &BackupStoreStatus, outcome: RepositoryCheck) -> RepositoryCheck {
    let mut last = before.last_check.iter().flat_map(|last| &last.repositories);
    let was_damaged =
        |one: &&RepositoryCheck| one.department == outcome.department && one.outcome == CheckOutcome::Damaged;
    let known = last.find(was_damaged).filter(|_| outcome.outcome == CheckOutcome::Unread).cloned();
    known.unwrap_or(outcome)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhengyun_crds::recovery::{BackupStoreStatus, CheckOutcome as O, CheckPolicy, RunningCheck};
    use zhengyun_crds::{ConditionStatus as S, Reason};

    use super::*;
    use crate::recovery::run::{Fault, Standing};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn policy(paused: bool) -> CheckPolicy {
        serde_json::from_value(json!({ "schedule": { "cron": "0 3 * * 0", "timeZone": "UTC" }, "paused": paused }))
            .unwrap()
    }

    /// Sunday is 2026-03-08.
    const CREATED: &str = "2026-03-02T00:00:00Z";
    const SUNDAY: &str = "2026-03-08T03:00:30Z";

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn decided(before: &BackupStoreStatus, departments: &[&str], seen: &Sighting, now: &str) -> Decision {
        let (policy, departments) = (policy(false), names(departments));
        let facts = Facts { policy: &policy, uid: "u", created: at(CREATED), before, departments: &departments, seen };
        decide(&facts, at(now))
    }

    fn status(decision: &Decision) -> BackupStoreStatus {
        BackupStoreStatus {
            checking: decision.checking.clone(),
            last_check: decision.last_check.clone(),
            check_due: decision.check_due.clone(),
            next_check: decision.next_check.clone(),
            ..BackupStoreStatus::default()
        }
    }

    fn begun() -> BackupStoreStatus {
        status(&decided(&BackupStoreStatus::default(), &["a", "b"], &Sighting::Absent, SUNDAY))
    }

    fn done(findings: &serde_json::Value) -> Sighting {
        Sighting::Done(json!({ "intact": ["s"], "findings": findings, "bytesRead": 100, "signerKnown": true }))
    }

    fn failed(reason: &str, transient: bool, seconds_ago: u64) -> Sighting {
        Sighting::Failed(Fault {
            reason: reason.to_owned(),
            message: "so".to_owned(),
            transient,
            seconds_ago,
            ..Fault::default()
        })
    }

    fn pack() -> String {
        format!("data/ab/ab{}", "0".repeat(62))
    }

    #[test]
    fn a_check_begins_once_when_it_is_due_and_not_while_it_is_paused() {
        let nothing = BackupStoreStatus::default();
        let early = decided(&nothing, &["a"], &Sighting::Absent, "2026-03-07T00:00:00Z");
        assert_eq!((early.next, early.checking), (Next::Nothing, None));
        assert_eq!(early.next_check.unwrap().0, at("2026-03-08T03:00:00Z"));
        let due = decided(&nothing, &["a"], &Sighting::Absent, SUNDAY);
        assert_eq!((&due.next, due.check_due.as_ref().unwrap().0), (&Next::Begin, at("2026-03-08T03:00:00Z")));
        // Once it ended, the same due time starts no second one.
        let mut ended = status(&due);
        ended.checking = None;
        assert_eq!(decided(&ended, &["a"], &Sighting::Absent, "2026-03-08T04:00:00Z").next, Next::Nothing);
        assert_eq!(decided(&ended, &["a"], &Sighting::Absent, "2026-03-15T03:00:30Z").next, Next::Begin);
        // Nothing to read: no check, and none made up for when the first repository comes.
        let empty = decided(&nothing, &[], &Sighting::Absent, SUNDAY);
        assert_eq!((&empty.next, empty.checking.is_none(), empty.check_due.is_some()), (&Next::Nothing, true, true));
        let paused = policy(true);
        let departments = names(&["a"]);
        let facts = Facts {
            policy: &paused,
            uid: "u",
            created: at(CREATED),
            before: &nothing,
            departments: &departments,
            seen: &Sighting::Absent,
        };
        let decision = decide(&facts, at(SUNDAY));
        assert_eq!((decision.next, decision.next_check), (Next::Nothing, None));
    }

    #[test]
    fn the_repositories_are_read_one_after_the_other() {
        let mut before = begun();
        let mut steps = Vec::new();
        for seen in [
            Sighting::Absent,
            Sighting::Running { standing: Standing::default(), silent_seconds: 1 },
            done(&json!([])),
            Sighting::Absent,
            done(&json!([])),
            Sighting::Absent,
        ] {
            let decision = decided(&before, &["a", "b"], &seen, SUNDAY);
            steps.push(decision.next.clone());
            before = status(&decision);
        }
        let of = |name: &str| name.to_owned();
        assert_eq!(
            steps,
            [
                Next::Start(of("a")),
                Next::Wait,
                Next::Clear(of("a")),
                Next::Start(of("b")),
                Next::Clear(of("b")),
                Next::Nothing
            ]
        );
        let last = before.last_check.unwrap();
        assert!(last.passed && before.checking.is_none());
        assert_eq!((last.bytes_read, last.repositories.len(), last.damaged_count), (200, 2, 0));
    }

    #[test]
    fn damage_is_told_at_once_and_stays_until_a_check_finds_none() {
        let found =
            done(&json!([{ "part": pack(), "problem": "its content is not that of its name", "needed": false }]));
        let first = decided(&begun(), &["a", "b"], &found, SUNDAY);
        assert_eq!(first.damage.as_ref().map(|d| (d.outcome, d.damaged.clone())), Some((O::Damaged, vec![pack()])));
        let (holds, reason, message) = intact(&first);
        assert_eq!((holds, reason), (S::False, Reason::RepositoryDamaged));
        assert!(message.contains("department a") && message.contains(&pack()), "{message}");
        let second = decided(&status(&first), &["a", "b"], &done(&json!([])), SUNDAY);
        assert!(second.damage.is_none());
        let ended = decided(&status(&second), &["a", "b"], &Sighting::Absent, SUNDAY);
        let last = ended.last_check.clone().unwrap();
        assert_eq!((last.passed, last.damaged_count, last.damaged), (false, 1, vec![format!("a: {}", pack())]));
        assert_eq!(intact(&ended).0, S::False);
        // A check that cannot read it says nothing about it.
        let late = decided(&status(&ended), &["a", "b"], &Sighting::Absent, "2026-03-15T03:00:30Z");
        let blind = decided(&status(&late), &["a", "b"], &failed("WrongKey", false, 1), "2026-03-15T03:01:00Z");
        assert_eq!(intact(&blind).0, S::False);
        // The next check finds it mended.
        let again = decided(&status(&ended), &["a", "b"], &Sighting::Absent, "2026-03-15T03:00:30Z");
        assert_eq!((&again.next, intact(&again).0), (&Next::Begin, S::False));
        let mended = decided(&status(&again), &["a", "b"], &done(&json!([])), "2026-03-15T03:01:00Z");
        assert_eq!(intact(&mended).0, S::True);
    }

    #[test]
    fn what_is_damaged_so_that_nothing_opens_is_damage_too() {
        for reason in ["RepositoryDamaged", "EvidenceInvalid", "NoRepository"] {
            let decision = decided(&begun(), &["a"], &failed(reason, false, 60), SUNDAY);
            assert_eq!(decision.damage.map(|d| d.outcome), Some(O::Damaged), "{reason}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_called_damaged() {
        // A repository that others write to all the time, or a store that is away, is asked again for a while.
        for reason in ["RepositoryBusy", "StoreUnreachable"] {
            assert_eq!(decided(&begun(), &["a"], &failed(reason, true, 1), SUNDAY).next, Next::Wait);
            let again = decided(&begun(), &["a"], &failed(reason, true, 60), SUNDAY);
            assert_eq!((again.next, again.damage), (Next::Start("a".to_owned()), None));
            let late = decided(&begun(), &["a"], &failed(reason, true, 60), "2026-03-08T10:00:00Z");
            assert_eq!((late.next.clone(), intact(&late).0), (Next::Clear("a".to_owned()), S::Unknown));
        }
        let wrong = decided(&begun(), &["a"], &failed("WrongKey", false, 1), SUNDAY);
        assert_eq!((intact(&wrong).0, intact(&wrong).1), (S::Unknown, Reason::NotChecked));
        assert!(!decided(&status(&wrong), &["a"], &Sighting::Absent, SUNDAY).last_check.unwrap().passed);
        let mut before = begun();
        for _ in 0..ATTEMPTS {
            let decision = decided(&before, &["a"], &Sighting::Lost, SUNDAY);
            assert_eq!(decision.next, Next::Start("a".to_owned()));
            before = status(&decision);
        }
        let given_up = decided(&before, &["a"], &Sighting::Lost, SUNDAY);
        assert_eq!((given_up.next, given_up.damage), (Next::Clear("a".to_owned()), None));
        let hanging = Sighting::Running { standing: Standing::default(), silent_seconds: 1000 };
        assert_eq!(decided(&begun(), &["a"], &hanging, SUNDAY).next, Next::Kill("a".to_owned()));
    }

    #[test]
    fn a_check_goes_on_whatever_the_schedule_says_by_then() {
        let before = begun();
        let bad: CheckPolicy =
            serde_json::from_value(json!({ "schedule": { "cron": "0 0 30 2 *" }, "paused": true })).unwrap();
        let departments = names(&["a"]);
        let facts = Facts {
            policy: &bad,
            uid: "u",
            created: at(CREATED),
            before: &before,
            departments: &departments,
            seen: &Sighting::Absent,
        };
        let decision = decide(&facts, at(SUNDAY));
        assert_eq!(decision.next, Next::Start("a".to_owned()));
        assert_eq!(decision.finding.unwrap().rule, "ScheduleNeverFires");
        let _: &RunningCheck = decision.checking.as_ref().unwrap();
    }
}
