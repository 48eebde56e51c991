//! MachineRoom: its phases, and the gate before it counts as emptied.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{
    ClosureRecord, MigrationStage, RoomDecision, RoomPhase, RoomSystemStatus, SignedMigration, Strategy, SystemOutcome,
};

/// Migrations of a system of which is kept what was signed, and signatures of each.
const KEPT: usize = 16;

/// What can happen to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// What it hosts was recognised.
    Recognised,
    /// It is kept for a stated time.
    Kept,
    /// It is to be given up.
    Withdrawn,
    /// A system begins to leave it.
    Leaving,
    /// Every system that it hosted runs on the cloud or is retired, with evidence.
    AllGone,
    /// A system is there that was not.
    Refilled,
    /// Its media were wiped.
    Sanitised,
    /// Its assets were disposed of.
    Disposed,
    /// Its lines were cut.
    Cut,
    /// It was closed.
    Closed,
    /// The authority verified it.
    Verified,
}

impl Event {
    /// Every event, for exhaustive tests.
    pub const ALL: [Self; 11] = [
        Self::Recognised,
        Self::Kept,
        Self::Withdrawn,
        Self::Leaving,
        Self::AllGone,
        Self::Refilled,
        Self::Sanitised,
        Self::Disposed,
        Self::Cut,
        Self::Closed,
        Self::Verified,
    ];
}

/// A transition that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IllegalTransition: a room in phase {phase} has no transition for {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub phase: RoomPhase,
    /// What happened.
    pub event: Event,
}

/// The phase that follows. Media are wiped only in a room that is empty; a room of which media were wiped is never filled again.
///
/// # Errors
/// When the table has no such transition.
pub const fn step(phase: RoomPhase, event: Event) -> Result<RoomPhase, Illegal> {
    use RoomPhase as P;
    match (phase, event) {
        (P::Registered, Event::Recognised) => Ok(P::Assessed),
        (P::Assessed | P::ToWithdraw, Event::Kept) => Ok(P::Retained),
        (P::Assessed | P::Retained, Event::Withdrawn) => Ok(P::ToWithdraw),
        (P::ToWithdraw, Event::Leaving) | (P::Emptied, Event::Refilled) => Ok(P::Migrating),
        (P::ToWithdraw | P::Migrating, Event::AllGone) => Ok(P::Emptied),
        (P::Emptied, Event::Sanitised) => Ok(P::Sanitised),
        (P::Sanitised, Event::Disposed) => Ok(P::AssetsDisposed),
        (P::AssetsDisposed, Event::Cut) => Ok(P::LinksCut),
        (P::LinksCut, Event::Closed) => Ok(P::Closed),
        (P::Closed, Event::Verified) => Ok(P::Verified),
        (phase, event) => Err(Illegal { phase, event }),
    }
}

/// What came of a hosted system, from the migration that brings it away: where it stands, what it does, and what was signed.
///
/// A system that moves has left once it is signed for; one that is retired once it is closed for good.
pub fn outcome(migration: Option<(MigrationStage, Strategy)>) -> SystemOutcome {
    match migration {
        None | Some((MigrationStage::Cancelled | MigrationStage::RolledBack, _)) => SystemOutcome::Hosted,
        Some((stage, Strategy::Retire)) if stage.is_past_return() => SystemOutcome::Retired,
        Some((stage, Strategy::Rehost | Strategy::Replatform)) if stage.is_accepted() => SystemOutcome::Accepted,
        Some(_) => SystemOutcome::Migrating,
    }
}

/// Whether a system has left its room, and something that was signed shows it.
pub fn has_left(system: &RoomSystemStatus) -> bool {
    matches!(system.outcome, SystemOutcome::Accepted | SystemOutcome::Retired)
        && system.evidence.as_deref().is_some_and(|digest| digest.starts_with("sha256:"))
}

/// What a room says of a system next, with what was signed of its migrations that are there.
///
/// What was signed stays, and a system whose source was closed for good stays gone when its migration is deleted: there was no way back for
/// it any more.
pub fn remembered(
    before: Option<&RoomSystemStatus>,
    now: RoomSystemStatus,
    signed: Vec<SignedMigration>,
) -> RoomSystemStatus {
    let mut kept = before.map(|before| before.signed.clone()).unwrap_or_default();
    for one in signed.into_iter().filter(|one| !one.signatures.is_empty()) {
        match kept.iter_mut().find(|known| known.uid == one.uid) {
            None => kept.push(one),
            Some(known) => {
                let new = one.signatures.into_iter().filter(|signature| !known.signatures.contains(signature));
                let new: Vec<_> = new.collect();
                known.signatures.extend(new);
            }
        }
    }
    for one in &mut kept {
        one.signatures.truncate(KEPT);
    }
    // Of more than that, the oldest went long ago.
    kept.drain(..kept.len().saturating_sub(KEPT));
    let nothing_there = matches!(now.stage, None | Some(MigrationStage::Cancelled));
    let past_return = |known: &&RoomSystemStatus| known.stage.is_some_and(MigrationStage::is_past_return);
    match before.filter(past_return).filter(|known| nothing_there && has_left(known)) {
        Some(known) => RoomSystemStatus { signed: kept, ..known.clone() },
        None => RoomSystemStatus { signed: kept, ..now },
    }
}

/// Whether what was signed of a migration is kept, as far as there is room for it.
pub fn remembers(system: &RoomSystemStatus, signed: &SignedMigration) -> bool {
    let whole = |known: &SignedMigration| {
        known.signatures.len() >= KEPT || signed.signatures.iter().all(|one| known.signatures.contains(one))
    };
    signed.signatures.is_empty() || system.signed.iter().any(|known| known.uid == signed.uid && whole(known))
}

/// What is seen of a room.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Department that owns it.
    pub owner: &'a str,
    /// Where it stands.
    pub phase: RoomPhase,
    /// What becomes of it.
    pub decision: Option<&'a RoomDecision>,
    /// How its systems stand.
    pub systems: &'a [RoomSystemStatus],
    /// What proves the steps of its closure.
    pub records: &'a [ClosureRecord],
}

/// What follows for a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The phase.
    pub phase: RoomPhase,
    /// What it waits for.
    pub waits: Option<(Reason, String)>,
}

/// Decides. One step at a time, each of them written down.
///
/// # Errors
/// When the table of phases has no such transition, which is a defect.
pub fn follow(facts: &Facts<'_>) -> Result<Next, Illegal> {
    use RoomPhase as P;
    let phase = facts.phase;
    let left = still_there(facts.systems, facts.owner);
    let moved = |event| step(phase, event).map(|phase| Next { phase, waits: None });
    let waits = |reason, message: String| Ok(Next { phase, waits: Some((reason, message)) });
    let recorded = |next: RoomPhase, event| match facts.records.iter().find(|record| record.phase == next) {
        Some(_) => moved(event),
        None => waits(
            Reason::RecordMissing,
            format!("no document says that the room is {next}: add it to spec.records with its digest"),
        ),
    };
    match phase {
        P::Registered => recorded(P::Assessed, Event::Recognised),
        P::Assessed => match facts.decision {
            None => waits(
                Reason::NotDecided,
                "nobody decided what becomes of the room: set spec.decision to retain or withdraw".to_owned(),
            ),
            Some(RoomDecision::Retain(_)) => moved(Event::Kept),
            Some(RoomDecision::Withdraw(_)) => moved(Event::Withdrawn),
        },
        P::Retained => match facts.decision {
            Some(RoomDecision::Withdraw(_)) => moved(Event::Withdrawn),
            _ => Ok(Next { phase, waits: None }),
        },
        P::ToWithdraw if matches!(facts.decision, Some(RoomDecision::Retain(_))) => moved(Event::Kept),
        P::ToWithdraw | P::Migrating => match left {
            None => moved(Event::AllGone),
            Some(_) if phase == P::ToWithdraw && facts.systems.iter().any(leaves) => moved(Event::Leaving),
            Some(message) => waits(Reason::SystemsLeft, message),
        },
        P::Emptied if left.is_some() => moved(Event::Refilled),
        P::Emptied => recorded(P::Sanitised, Event::Sanitised),
        P::Sanitised | P::AssetsDisposed | P::LinksCut | P::Closed | P::Verified => match (left, phase) {
            (Some(message), _) => waits(Reason::SystemsLeft, format!("the room's media were wiped, and yet {message}")),
            (None, P::Sanitised) => recorded(P::AssetsDisposed, Event::Disposed),
            (None, P::AssetsDisposed) => recorded(P::LinksCut, Event::Cut),
            (None, P::LinksCut) => recorded(P::Closed, Event::Closed),
            (None, P::Closed) => recorded(P::Verified, Event::Verified),
            (None, _) => Ok(Next { phase, waits: None }),
        },
    }
}

fn leaves(system: &RoomSystemStatus) -> bool {
    system.outcome != SystemOutcome::Hosted
}

/// The closure gate: that systems have not left, in words; none if all have. The owner of a room that it shares reads nothing of the systems of
/// other departments.
fn still_there(systems: &[RoomSystemStatus], owner: &str) -> Option<String> {
    let left: Vec<&RoomSystemStatus> = systems.iter().filter(|system| !has_left(system)).collect();
    let first = left.iter().find(|system| system.department == owner).or_else(|| left.first())?;
    let counted = format!("{} of {} systems are not gone from it", left.len(), systems.len());
    if first.department != owner {
        return Some(format!("{counted}, all of them another department's"));
    }
    let stage = first.stage.map_or_else(|| "no migration".to_owned(), |stage| stage.to_string());
    let unproven = if leaves(first) && first.outcome != SystemOutcome::Migrating { " and nothing signed" } else { "" };
    Some(format!("{counted}; the first is {}/{} ({stage}{unproven})", first.department, first.system))
}

/// The moment at which the last system is expected to have left, if they go on leaving as they did since the room was to be given up.
/// None while nothing has left.
pub fn forecast(since: Timestamp, now: Timestamp, left: usize, total: usize) -> Option<Timestamp> {
    let gone = i64::try_from(total.saturating_sub(left)).ok().filter(|gone| *gone > 0)?;
    let passed = now.duration_since(since).as_secs().max(0);
    let each = passed.checked_div(gone)?;
    let ahead = each.checked_mul(i64::try_from(left).ok()?)?;
    now.checked_add(SignedDuration::from_secs(ahead)).ok()
}

/// Whether a forecast is after the day by which the room is to be closed.
pub fn late(forecast: Date, by: &str) -> bool {
    by.parse::<Date>().is_ok_and(|by| forecast > by)
}
