//! What was measured and attested of a plan.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use zhengyun_crds::recovery::{Attestation, Element};

use crate::recovery::duration;
use crate::recovery::objective::CopyEvidence;
use crate::recovery::place::Independence;

/// Something that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Metric {
    /// Age of the data in the newest verified backup. Every backup of ours restores the whole system, so each is a full one.
    FullBackupAge,
    /// Copies with a verified backup that share no failure domain with a source nor with one another.
    IndependentCopies,
    /// Verified backups that reached an independent copy over the network in the last 24 hours.
    TransfersPerDay,
    /// Time since the copy that was read back longest ago was read back.
    VerificationAge,
    /// Time since a drill last restored and compared an independent copy and passed.
    DrillAge,
    /// How far a continuous replica is behind. Nothing in this version replicates continuously.
    ReplicationLag,
}

impl Metric {
    /// Whether it is a length of time, of which less is better; otherwise a number, of which more is.
    pub const fn is_time(self) -> bool {
        !matches!(self, Self::IndependentCopies | Self::TransfersPerDay)
    }
}

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A length of time.
    Time(SignedDuration),
    /// A number of things.
    Count(u32),
}

impl std::fmt::Display for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time(time) => duration::print(*time).fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// Everything that counts as evidence for a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// [`Metric::FullBackupAge`].
    pub full_backup_age: Option<SignedDuration>,
    /// [`Metric::IndependentCopies`].
    pub independent_copies: Option<u32>,
    /// [`Metric::TransfersPerDay`].
    pub transfers_per_day: Option<u32>,
    /// [`Metric::VerificationAge`].
    pub verification_age: Option<SignedDuration>,
    /// [`Metric::DrillAge`].
    pub drill_age: Option<SignedDuration>,
    /// [`Metric::ReplicationLag`].
    pub replication_lag: Option<SignedDuration>,
    /// What people attest.
    pub attestations: Vec<Attestation>,
    /// The day on which it is looked at, for attestations that run out.
    pub today: Date,
}

impl Evidence {
    /// Evidence from what was measured of each copy and from where the copies are.
    ///
    /// `transfers` counts the verified backups of the last 24 hours in an independent copy, which retention may already have
    /// thinned; the caller counts runs, not what is kept.
    pub fn of(
        copies: &[CopyEvidence],
        independence: &Independence,
        transfers: Option<u32>,
        attestations: Vec<Attestation>,
        now: Timestamp,
        today: Date,
    ) -> Self {
        let alone = |store: &str| independence.copies.iter().any(|c| c.store == store && c.bound_to.is_none());
        let since = |moment: Timestamp| Some(now.duration_since(moment)).filter(|age| !age.is_negative());
        let points: Vec<_> = copies.iter().filter_map(|copy| copy.last.map(|last| (copy, last))).collect();
        let independent = points.iter().filter(|(copy, _)| alone(&copy.store)).count();
        Self {
            full_backup_age: points.iter().filter_map(|(_, last)| since(last.captured_at)).min(),
            independent_copies: u32::try_from(independent).ok(),
            transfers_per_day: transfers,
            // One copy that was never verified leaves the whole unproven.
            verification_age: copies
                .iter()
                .map(|copy| copy.last.and_then(|last| since(last.verified_at)))
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.into_iter().max()),
            drill_age: copies
                .iter()
                .filter(|copy| alone(&copy.store))
                .filter_map(|copy| copy.drill.filter(|drill| drill.rto.is_some()))
                .filter_map(|drill| since(drill.finished_at))
                .min(),
            replication_lag: None,
            attestations,
            today,
        }
    }

    /// What a metric reads, if it was measured.
    pub fn read(&self, metric: Metric) -> Option<Reading> {
        match metric {
            Metric::FullBackupAge => self.full_backup_age.map(Reading::Time),
            Metric::IndependentCopies => self.independent_copies.map(Reading::Count),
            Metric::TransfersPerDay => self.transfers_per_day.map(Reading::Count),
            Metric::VerificationAge => self.verification_age.map(Reading::Time),
            Metric::DrillAge => self.drill_age.map(Reading::Time),
            Metric::ReplicationLag => self.replication_lag.map(Reading::Time),
        }
    }

    /// The attestation for an element at a level, if one counts today. One whose last day cannot be read does not count.
    pub fn attested(&self, element: Element, level: i32) -> Option<&Attestation> {
        self.attestations
            .iter()
            .filter(|word| word.element == element && word.level >= level)
            .find(|word| word.until.parse::<Date>().is_ok_and(|until| self.today <= until))
    }
}
