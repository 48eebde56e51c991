//! Seeded bugs: mistakes that operators like this one really have, each behind a switch, for the tests of the tests.
//!
//! Without the feature `mutants`, which no release has, [`is`] is a constant `false` and the compiler leaves nothing of a bug. With
//! it, [`seed`] turns one bug on while the program runs, and `zhengyun-prove --mutants` must catch every one.

macro_rules! bugs {
    ($($name:ident $about:literal;)*) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $(#[doc = $about] $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What it does, in a line.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about,)*
                }
            }
        }
    };
}

bugs! {
    JournalNotReplayed "a new leader does not replay decisions that were committed and not yet shown";
    EpochNotRaised "a new leader takes the ledger without raising its epoch";
    CommitUnguarded "the ledger is written without the resourceVersion that was read";
    TakeoverIgnored "a conflict on the ledger is retried over whoever holds it now";
    CheckedBeforeTheQueue "a charge is checked before it waits in line, and not again when its turn comes";
    AncestorsUnchecked "only the department's own limit is looked at, not those above it";
    LimitUnchecked "only the limits above the department are looked at, not its own";
    CapacityUnchecked "what a site has is not looked at";
    ReservationsNotSummed "what is reserved and not yet granted is left out of the sum";
    DecisionAdded "a decision adds to a charge instead of stating it, so that repeating it doubles it";
    StatusBeforeCommit "the status says that a charge is released before the ledger commits it";
    AcknowledgedBeforeShown "the journal forgets a decision before the object shows it";
    JournalNeverTrimmed "decisions stay in the journal for good";
    ReservationKept "a charge moves to the grant and stays on the request as well";
    ReservationOutlivesRelease "a request shows its reservation after the release";
    ChargeSequenceFalls "a charge is written without the sequence of its decision";
    GrantNameDrawn "the grant's name is drawn anew at every try";
    StatusUnguarded "a status is written without the resourceVersion that was read";
    ConflictOverwritten "a write that meets a conflict reads anew and writes the same status over what changed";
    StaleNotRetried "an object that changed under a write is not looked at again";
    ErrorsSwallowed "what failed is not tried again";
    SubscribedLate "changes are listened to only after the first lists came back";
    Restless "a condition's time moves at every look";
    TimesRefreshed "a condition that is looked at two minutes later gets the time of the look";
    ConditionsNotRefreshed "a condition that stays as it was keeps the generation that it spoke of";
    ReadyTooEarly "a grant is in service as soon as its objects are made, ready or not";
    EndNotFinal "a grant that has ended is worked on again";
    TokenTold "the credential that cannot be used is quoted in the condition about it";
    OwnApprovalCounts "who wrote an order may approve it";
    OldApprovalCounts "an approval counts although the order was changed since";
    ClocksCompared "the hub's time of an approval is compared with the operator's own clock";
    GuardsNotLookedFor "decisions are acted on although the admission policies are away";
    HoldIgnored "a revocation removes at once, without its hold";
    HoldNeverEnds "nothing looks at a frozen grant when its hold is over";
    ReleasedBeforeZero "the charge is released before anything is removed";
    ZeroAssumed "zero is taken as proven when the namespace is gone";
    UnreachableIsGone "a site that does not answer is taken for one where nothing is left";
    DeleteUnguarded "objects are deleted by name, without UID";
    BindingDeletedByName "a department's stale role binding is deleted by name, without UID";
    ForeignDeleted "a namespace of the right name is deleted, whoever it belongs to";
    ForeignAdopted "an object of the right name is taken over, whoever it belongs to";
    InventoryAfterEffect "what is delivered is written down after it was made";
    RecreatedUnrecorded "what vanished is made again while the inventory still has its old UID";
    DriftNotRepaired "what others change at a site stays changed";
    FenceNotRaised "a new leader writes to a site without raising its fence";
    ToldInSystem "what happens to an object is told in the system's own namespace";
    DecisionNameDrawn "the API draws the name of a decision anew at every call";
    CompletedUnread "a backup is whole as soon as every store has a copy, read back or not";
    DamageOverlooked "what reading a backup back finds wrong is taken for its good end";
    PoorStandsForGood "retention lets a backup that is no good stand for the last good one";
    DroppedUntold "a backup is forgotten before it says that it will be";
    RestoreUnproved "a restore takes a copy that was never read back, of a backup that has not ended";
    RestoreCrosses "a restore finds the grants of other departments as well";
    DrillUncompared "a drill passes whatever its comparison says";
    ScratchForgotten "a drill ends as soon as the end of its scratch is ordered";
    CreatedUnderAnotherName "the API makes a request under another name when its own is taken";
}

impl std::fmt::Display for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::str::FromStr for Bug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|bug| bug.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no seeded bug; `zhengyun-prove --mutants` names them all"))
    }
}

pub use switch::{is, seed};

#[cfg(not(feature = "mutants"))]
mod switch {
    use super::Bug;

    /// Whether a bug is on: never.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "nothing of a bug may be left")]
    pub const fn is(_: Bug) -> bool {
        false
    }

    /// Turns a bug on. There are none in this program, so it tells `false`.
    pub const fn seed(_: Option<Bug>) -> bool {
        false
    }
}

#[cfg(feature = "mutants")]
mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Bug;

    /// One more than the number of the bug that is on.
    static ON: AtomicUsize = AtomicUsize::new(0);

    /// Whether a bug is on.
    pub fn is(bug: Bug) -> bool {
        ON.load(Ordering::Relaxed) == (bug as usize).wrapping_add(1)
    }

    /// Turns a bug on, or all off, in the whole process. Tells whether this program has them.
    pub fn seed(bug: Option<Bug>) -> bool {
        ON.store(bug.map_or(0, |bug| (bug as usize).wrapping_add(1)), Ordering::Release);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Bug, is};

    #[test]
    fn no_bug_is_on_by_itself() {
        assert!(Bug::ALL.iter().all(|bug| !is(*bug)));
    }

    #[test]
    #[cfg(not(feature = "mutants"))]
    fn a_program_without_the_feature_cannot_turn_one_on() {
        const NONE: bool = !is(Bug::ZeroAssumed);
        assert!(NONE && !super::seed(Some(Bug::ZeroAssumed)) && !is(Bug::ZeroAssumed));
    }

    #[test]
    fn a_bug_reads_as_it_is_written() {
        for bug in Bug::ALL {
            assert_eq!(bug.to_string().parse(), Ok(*bug));
            assert!(bug.about().len() > 20);
        }
    }
}
