//! What must hold before a stage is reached: one function for each, with who can bring it about if it does not hold.

use jiff::SignedDuration;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{Blocker, Party, Strategy};

use super::facts::{Facts, Grant};
use super::finding::first_blocking;
use crate::condition::cut;
use crate::recovery::duration;

/// Longest message of a blocker, in bytes.
const MESSAGE: usize = 2_000;
/// Places at which a verified backup stands before a source is given up.
const PLACES: usize = 2;

/// Whether a gate is open; if not, what it waits for.
pub type Gate = Result<(), Blocker>;

/// A blocker.
pub fn blocker(reason: Reason, owner: Party, message: impl Into<String>) -> Blocker {
    Blocker { reason: reason.as_str().to_owned(), owner, message: cut(message.into(), MESSAGE) }
}

fn shut(reason: Reason, owner: Party, message: impl Into<String>) -> Gate {
    Err(blocker(reason, owner, message))
}

/// Nothing that was found stands in the way.
///
/// # Errors
/// The first finding that does, with its remedy and its owner.
pub fn findings(facts: &Facts<'_>) -> Gate {
    match first_blocking(facts.findings) {
        None => Ok(()),
        Some(found) => shut(
            Reason::FindingBlocks,
            found.owner,
            format!(
                "{} of {} in workload {}: {}; {}, then raise spec.round",
                found.code, found.subject, found.workload, found.evidence, found.remedy
            ),
        ),
    }
}

/// Assessed: nothing found blocks, and every dependency has an owner.
///
/// # Errors
/// What is missing.
pub fn assessed(facts: &Facts<'_>) -> Gate {
    findings(facts)?;
    match facts.unowned {
        [] => Ok(()),
        [first, ..] => shut(
            Reason::DependencyUnowned,
            Party::Department,
            format!(
                "{} of the dependencies have nobody who answers for them, the first is {first}: set its owner in spec.dependencies",
                facts.unowned.len()
            ),
        ),
    }
}

/// Planned: there is room on the cloud and a limit to the downtime. A system that is retired needs neither.
///
/// # Errors
/// What is missing.
pub fn planned(facts: &Facts<'_>) -> Gate {
    if facts.strategy == Strategy::Retire {
        return Ok(());
    }
    if facts.limits.downtime.is_none() {
        return shut(
            Reason::Invalid,
            Party::Department,
            "spec.cutover.downtimeBudget is missing or no length of time: write one such as 30m",
        );
    }
    match facts.grant {
        Grant::Absent => shut(
            Reason::GrantNotFound,
            Party::Department,
            "spec.grant names no grant that holds its charge: request the resources, then name the grant",
        ),
        Grant::Coming(_) | Grant::InService => Ok(()),
    }
}

/// Scheduled: a wave names it.
///
/// # Errors
/// That none does.
pub fn scheduled(facts: &Facts<'_>) -> Gate {
    match facts.wave.name {
        Some(_) => Ok(()),
        None => shut(
            Reason::NoWave,
            Party::Provider,
            "no MigrationWave names this migration: add it to spec.members of one",
        ),
    }
}

/// Landing may begin: the wave lets it.
///
/// # Errors
/// Why it does not.
pub fn admitted(facts: &Facts<'_>) -> Gate {
    scheduled(facts)?;
    match &facts.wave.hold {
        None => Ok(()),
        Some((reason, message)) => shut(*reason, Party::Provider, message.clone()),
    }
}

/// The grant to land on is in service.
///
/// # Errors
/// That it is not, and what it says of itself.
pub fn landed(facts: &Facts<'_>) -> Gate {
    match facts.grant {
        Grant::InService => Ok(()),
        Grant::Coming(said) => {
            shut(Reason::TargetNotReady, Party::Provider, format!("the grant is not in service: {said}"))
        }
        Grant::Absent => shut(
            Reason::GrantNotFound,
            Party::Department,
            "the grant to land on is gone: request another one and name it in spec.grant",
        ),
    }
}

/// Every target is in step, and has been for as long as is asked.
///
/// # Errors
/// The first workload that is not.
pub fn in_step(facts: &Facts<'_>) -> Gate {
    let needed = facts.limits.in_step_for;
    for work in facts.works {
        let since = work.in_step_since.map(|since| facts.now.duration_since(since));
        match since {
            Some(since) if since >= needed => {}
            Some(since) => {
                return shut(
                    Reason::LagTooLong,
                    Party::Provider,
                    format!(
                        "workload {} is in step for {} of the {} that are asked for",
                        work.name,
                        duration::print(since),
                        duration::print(needed)
                    ),
                );
            }
            None => {
                return shut(
                    Reason::LagTooLong,
                    Party::Provider,
                    format!(
                        "workload {} is further behind than spec.cutover.maxLag: see its lag in status.workloads",
                        work.name
                    ),
                );
            }
        }
    }
    Ok(())
}

/// Rehearsed: in step, and a cutover on an isolated copy kept to the downtime.
///
/// # Errors
/// What is missing.
pub fn rehearsed(facts: &Facts<'_>) -> Gate {
    in_step(facts)?;
    let budget = facts.limits.downtime.unwrap_or(SignedDuration::ZERO);
    match facts.backups.rehearsed {
        None => shut(
            Reason::NotRehearsed,
            Party::Provider,
            "no cutover was tried on an isolated copy since the copy stands: hold a RecoveryDrill of spec.recoveryPlan",
        ),
        Some(took) if took > budget => shut(
            Reason::DowntimeTooLong,
            Party::Department,
            format!(
                "the rehearsal took {} and the downtime may be {}: raise spec.cutover.downtimeBudget, or make the copy smaller",
                duration::print(took),
                duration::print(budget)
            ),
        ),
        Some(_) => Ok(()),
    }
}

/// A fresh verified backup stands.
///
/// # Errors
/// That there is none, or how old it is.
pub fn backed_up(facts: &Facts<'_>) -> Gate {
    let most = facts.limits.backup_age;
    match facts.backups.age {
        Some(age) if age <= most => Ok(()),
        Some(age) => shut(
            Reason::BackupTooOld,
            Party::Department,
            format!(
                "the newest verified backup is {} old and may be {}: ask for a backup by spec.recoveryPlan",
                duration::print(age),
                duration::print(most)
            ),
        ),
        None => shut(
            Reason::BackupTooOld,
            Party::Department,
            "spec.recoveryPlan is no plan of this system, or has no verified backup: name its plan and ask for a backup",
        ),
    }
}

/// Ready for cutover: approved for the window, and backed up.
///
/// # Errors
/// What is missing.
pub fn approved(facts: &Facts<'_>) -> Gate {
    if facts.wave.window.is_none() {
        return shut(
            Reason::OutsideWindow,
            Party::Provider,
            "the wave has no change window that is long enough for spec.cutover.downtimeBudget: add one to its spec.windows",
        );
    }
    backed_up(facts)?;
    signed(&facts.signed.cutover, Party::Department)
}

/// The cutover may begin: the approved window is open, and everything that was true when it was approved still is.
///
/// # Errors
/// What it waits for.
pub fn open(facts: &Facts<'_>) -> Gate {
    let Some(window) = facts.wave.window.filter(|window| window.start <= facts.now) else {
        let opens = facts.wave.window.map(|window| window.start.to_string()).unwrap_or_default();
        return shut(Reason::OutsideWindow, Party::Provider, format!("the approved change window opens at {opens}"));
    };
    let left = window.end.duration_since(facts.now);
    if facts.limits.downtime.is_none_or(|budget| left < budget) {
        return shut(Reason::OutsideWindow, Party::Provider, "what is left of the change window is too short");
    }
    findings(facts)?;
    landed(facts)?;
    in_step(facts)?;
    backed_up(facts)?;
    signed(&facts.signed.cutover, Party::Department)
}

/// Accepted: the trial is over without trouble, and all parties signed.
///
/// # Errors
/// What is missing.
pub fn accepted(facts: &Facts<'_>) -> Gate {
    if let Some(trouble) = &facts.outside.trouble {
        return shut(
            Reason::TrialFailed,
            Party::Provider,
            format!("{trouble}; mend it, or go back: sign status.evidence Rollback"),
        );
    }
    let Some(admitted) = facts.moments.admitted else {
        return shut(
            Reason::Invalid,
            Party::Provider,
            "nothing says when traffic was admitted: look at status.trafficAdmittedAt",
        );
    };
    let passed = facts.now.duration_since(admitted);
    if passed < facts.limits.trial {
        return shut(
            Reason::TrialRunning,
            Party::Department,
            format!("it runs on trial for {} of {}", duration::print(passed), duration::print(facts.limits.trial)),
        );
    }
    signed(&facts.signed.acceptance, Party::Department)
}

/// The source may be closed for good: somebody asked for it. A system that is retired is signed for and backed up first, for nothing
/// else of it is left.
///
/// # Errors
/// What is missing.
pub fn closed_for_good(facts: &Facts<'_>) -> Gate {
    if facts.strategy == Strategy::Retire {
        backed_up(facts)?;
        signed(&facts.signed.acceptance, Party::Department)?;
    }
    if facts.asked.close_source {
        return Ok(());
    }
    shut(
        Reason::SourceKept,
        Party::Department,
        "the source can still be opened again: set spec.closeSource to close it for good, from where there is no way back",
    )
}

/// The source may be kept for its time: a verified backup stands at two places.
///
/// # Errors
/// At how many it stands.
pub fn kept(facts: &Facts<'_>) -> Gate {
    if facts.backups.places >= PLACES {
        return Ok(());
    }
    shut(
        Reason::BackupTooOld,
        Party::Department,
        format!(
            "a verified backup stands at {} independent places, {PLACES} are needed: add a copy to spec.recoveryPlan and ask for a backup",
            facts.backups.places
        ),
    )
}

/// The source may be given up: its time is over, backups stand, and two people signed.
///
/// # Errors
/// What is missing.
pub fn erased(facts: &Facts<'_>) -> Gate {
    if facts.moments.retained_until.is_none_or(|until| until > facts.now) {
        let until = facts.moments.retained_until.map(|until| until.to_string()).unwrap_or_default();
        return shut(
            Reason::RetentionRunning,
            Party::Department,
            format!("what the source holds is kept until {until}"),
        );
    }
    kept(facts)?;
    signed(&facts.signed.erasure, Party::Authority)
}

/// Whether people recorded that what the source held is erased. It is asked for last: what copying needed was made there and must be taken away
/// first.
///
/// # Errors
/// The record is missing.
pub fn erasure_recorded(facts: &Facts<'_>) -> Gate {
    if facts.erasure_recorded {
        return Ok(());
    }
    shut(
        Reason::RecordMissing,
        Party::Department,
        "nothing of the migration is left at the source: erase what it holds and put the digest of the record into spec.erasureRecord",
    )
}

/// Whether enough people signed.
///
/// # Errors
/// Who is missing.
pub fn signed(signed: &super::facts::Signed, owner: Party) -> Gate {
    match signed {
        Ok(()) => Ok(()),
        Err(missing) => shut(Reason::AwaitingSignature, owner, missing.clone()),
    }
}
