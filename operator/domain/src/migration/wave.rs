//! Which migrations of a wave may begin now, and why the others may not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{AfterWave, MigrationStage, WaveMark};

use super::window::Calendar;

/// Which migration: department and name.
pub type Key = (String, String);

/// What is seen of a migration of the wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which one.
    pub key: Key,
    /// Where it stands; none if there is no such migration.
    pub stage: Option<MigrationStage>,
    /// Whether it was let in before.
    pub admitted: bool,
    /// Whether it waits for people to decide: nothing is done meanwhile that others would have to wait for.
    pub waits: bool,
}

impl Member {
    /// Whether it was let in: it is under way, or may begin.
    fn is_in(&self) -> bool {
        match self.stage {
            Some(MigrationStage::Scheduled) => self.admitted,
            Some(stage) => stage.is_under_way(),
            None => false,
        }
    }

    /// Whether it has one of the places. While it waits for people it gives its place up, and takes it again when they have decided.
    fn holds_place(&self) -> bool {
        self.is_in() && !self.waits
    }
}

/// Whether a migration waits for people to decide, by the reason for which it waits.
pub fn waits_for_people(reason: &str) -> bool {
    [Reason::AwaitingSignature, Reason::Paused].iter().any(|known| known.as_str() == reason)
}

/// Where a migration stands that is not there any more: one that is past its point of no return goes only when it is over, and one that was
/// given up stays given up. Of any other nobody knows what becomes of its system.
pub fn last_seen(before: Option<MigrationStage>) -> Option<MigrationStage> {
    before.filter(|stage| stage.is_past_return() || *stage == MigrationStage::Cancelled)
}

/// A wave, as far as others look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Waves that it comes after.
    pub after: Vec<AfterWave>,
    /// Where its migrations stand; none for one that is not there.
    pub stages: Vec<Option<MigrationStage>>,
}

/// What a wave keeps to.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many may be under way at once.
    pub max_parallel: usize,
    /// How many may be rolled back before no other one begins.
    pub max_failures: usize,
    /// Whether it is paused.
    pub paused: bool,
    /// Its days.
    pub calendar: &'a Calendar,
}

/// Why a migration may not begin.
pub type Hold = (Reason, String);

/// A circle of waves that come after one another, the first one again at its end; none if there is no circle that leads back to the
/// wave.
pub fn cycle(name: &str, waves: &BTreeMap<String, Standing>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut open = vec![vec![name.to_owned()]];
    while let Some(path) = open.pop() {
        let last = path.last().cloned().unwrap_or_default();
        for after in waves.get(&last).map(|wave| wave.after.as_slice()).unwrap_or_default() {
            let mut longer = path.clone();
            longer.push(after.wave.clone());
            if after.wave == name {
                return Some(longer);
            }
            if seen.insert(after.wave.clone()) {
                open.push(longer);
            }
        }
    }
    None
}

/// Whether a migration came as far as a wave that comes after asks for, or was given up.
fn reached(stage: Option<MigrationStage>, mark: WaveMark) -> bool {
    match (stage, mark) {
        (Some(MigrationStage::Cancelled), _) => true,
        (Some(stage), WaveMark::CutOver) => stage.is_cut_over(),
        (Some(stage), WaveMark::Accepted) => stage.is_accepted(),
        (None, _) => false,
    }
}

/// What holds the whole wave.
fn held(rules: &Rules<'_>, members: &[Member], waves: &BTreeMap<String, Standing>, now: Timestamp) -> Option<Hold> {
    if let Some(circle) = cycle(rules.name, waves) {
        let message = format!(
            "the waves come after one another in a circle: {}; take one of them out of spec.after",
            circle.join(" after ")
        );
        return Some((Reason::WaveCycle, message));
    }
    for after in waves.get(rules.name).map(|wave| wave.after.as_slice()).unwrap_or_default() {
        let Some(before) = waves.get(&after.wave) else {
            let message = format!("wave {} in spec.after is not there: register it, or take it out", after.wave);
            return Some((Reason::WaveBefore, message));
        };
        let left = before.stages.iter().filter(|stage| !reached(**stage, after.reached)).count();
        if left > 0 {
            let message = format!(
                "{left} of {} migrations of wave {} are not {} yet",
                before.stages.len(),
                after.wave,
                after.reached
            );
            return Some((Reason::WaveBefore, message));
        }
    }
    if rules.paused {
        return Some((Reason::Paused, "spec.paused of the wave is set".to_owned()));
    }
    let failed = members.iter().filter(|member| member.stage == Some(MigrationStage::RolledBack)).count();
    if failed > rules.max_failures {
        let message = format!(
            "{failed} migrations of the wave were rolled back and {} may be: look at them, try them again or cancel them",
            rules.max_failures
        );
        return Some((Reason::WaveStopped, message));
    }
    rules
        .calendar
        .frozen(now)
        .map(|(until, reason)| (Reason::FreezeDay, format!("nothing begins until the end of {until}: {reason}")))
}

/// Which migrations may begin: all of the wave, each with why it may not.
///
/// One that was let in stays in. Nothing is taken away from those under way when the wave is held or its limits fall; nothing new begins.
pub fn admit(
    rules: &Rules<'_>,
    members: &[Member],
    waves: &BTreeMap<String, Standing>,
    now: Timestamp,
) -> Vec<(Key, Option<Hold>)> {
    let hold = held(rules, members, waves, now);
    let mut places = members.iter().filter(|member| member.holds_place()).count();
    let mut said = Vec::new();
    for member in members {
        let verdict = match member.stage {
            _ if member.is_in() => None,
            Some(MigrationStage::Scheduled) => match &hold {
                Some(hold) => Some(hold.clone()),
                None if places >= rules.max_parallel => {
                    let message =
                        format!("{places} migrations of the wave are under way, {} may be", rules.max_parallel);
                    Some((Reason::WaveFull, message))
                }
                None => {
                    places = places.saturating_add(1);
                    None
                }
            },
            Some(stage) => Some((Reason::Pending, format!("it is {stage}, and begins from Scheduled"))),
            None => Some((Reason::Pending, "there is no such migration".to_owned())),
        };
        said.push((member.key.clone(), verdict));
    }
    said
}
