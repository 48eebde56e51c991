//! What is seen of a migration.

use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::migration::{MigrationFinding, MigrationVerb, Strategy};

use super::machine::Place;
use super::window::Open;
use crate::recovery::run::Sighting;

/// What people ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// To begin nothing further.
    pub paused: bool,
    /// To give it up.
    pub cancel: bool,
    /// To try again: `spec.round`.
    pub round: i32,
    /// To close the source for good.
    pub close_source: bool,
}

/// A process of a turn before that still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// What it does.
    pub verb: MigrationVerb,
    /// Its epoch.
    pub epoch: i64,
    /// Whether it hangs.
    pub hangs: bool,
}

/// What is seen of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// Its name.
    pub name: &'a str,
    /// The process of the verb that [`super::follow::verb`] names, of the present epoch.
    pub sighting: &'a Sighting,
    /// The process that copies and follows the source, of the present epoch.
    pub follower: &'a Sighting,
    /// A process of an older epoch, or a follower where there must be none.
    pub stale: Option<Stale>,
    /// How often the process was taken up.
    pub attempt: i32,
    /// Since when the target is not further behind than it may be.
    pub in_step_since: Option<Timestamp>,
}

/// What is seen of the grant to land on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Grant {
    /// There is none, or it is over.
    #[default]
    Absent,
    /// Its charge stands, and it is not in service yet; what it says of itself.
    Coming(String),
    /// It is in service.
    InService,
}

/// What is seen of the wave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// Its name, if one names the migration.
    pub name: Option<String>,
    /// Why the migration may not begin; none if it may.
    pub hold: Option<(zhengyun_crds::Reason, String)>,
    /// The change window that is open and long enough, or the next one.
    pub window: Option<Open>,
    /// Start of the window for which the cutover was approved.
    pub approved: Option<Timestamp>,
}

/// What is seen of the backups and drills of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backups {
    /// Age of the newest verified backup.
    pub age: Option<SignedDuration>,
    /// Independent places at which it was verified.
    pub places: usize,
    /// Downtime that a cutover on an isolated copy took; none if none was tried and came out equal.
    pub rehearsed: Option<SignedDuration>,
}

/// Whether enough people signed; if not, who is missing.
pub type Signed = Result<(), String>;

/// What was signed, each for the digest that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// The cutover in the window.
    pub cutover: Signed,
    /// That nothing writes to a source whose closing cannot be proven.
    pub declared: Signed,
    /// What the way back loses.
    pub rollback: Signed,
    /// That the system runs as it should, or may be retired.
    pub acceptance: Signed,
    /// The erasure.
    pub erasure: Signed,
}

/// What came of something that is not a mover's: a probe, pointing applications elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// It was not begun.
    #[default]
    Nothing,
    /// It is at work.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed(String),
}

/// What of a stage is not a mover's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The system's own probes.
    pub probe: Told,
    /// Applications are pointed to the target.
    pub switch: Told,
    /// Applications are pointed to the source.
    pub switch_back: Told,
    /// What went wrong in the parallel run.
    pub trouble: Option<String>,
}

/// What the migration keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest downtime; none for a system that is retired or whose spec does not say.
    pub downtime: Option<SignedDuration>,
    /// For how long the target must have been in step.
    pub in_step_for: SignedDuration,
    /// How old the last verified backup may be.
    pub backup_age: SignedDuration,
    /// Length of the parallel run.
    pub trial: SignedDuration,
}

/// Moments that were written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// When the source was to be closed.
    pub frozen: Option<Timestamp>,
    /// When traffic was admitted.
    pub admitted: Option<Timestamp>,
    /// Until when what the source holds is kept.
    pub retained_until: Option<Timestamp>,
}

/// Everything that a decision looks at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Now.
    pub now: Timestamp,
    /// What becomes of the system.
    pub strategy: Strategy,
    /// Where the migration stands.
    pub at: Place,
    /// Epoch of the present turn.
    pub epoch: i64,
    /// Round that was taken up.
    pub round: i32,
    /// What people ask for.
    pub asked: Asked,
    /// Workloads.
    pub works: &'a [Work<'a>],
    /// What was found.
    pub findings: &'a [MigrationFinding],
    /// Dependencies that nobody answers for.
    pub unowned: &'a [String],
    /// The grant.
    pub grant: &'a Grant,
    /// The wave.
    pub wave: &'a Wave,
    /// Backups and drills.
    pub backups: Backups,
    /// Signatures.
    pub signed: &'a Signatures,
    /// Whether the record of the erasure is attached.
    pub erasure_recorded: bool,
    /// What is not a mover's.
    pub outside: &'a Outside,
    /// What it keeps to.
    pub limits: Limits,
    /// Moments.
    pub moments: Moments,
}
