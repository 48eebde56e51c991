//! Protocol errors that the model can be told to make. The checker must find every one of them.

/// One deliberate error in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The ledger's status is written without its resourceVersion.
    CommitWithoutGuard,
    /// A commit that met a conflict is written again on top of what is there: nobody looks whose epoch that is.
    CommitRepeatedOverConflict,
    /// A new leader lists the objects first and takes the epoch afterwards.
    ListBeforeEpoch,
    /// A new leader starts from what the objects say alone.
    JournalNotReplayed,
    /// An entry leaves the journal with the next commit, whether its object shows it or not.
    EntryLeavesUnshown,
    /// An object's status is written while the commit is still under way.
    StatusBeforeCommit,
    /// An operator whose commit was refused acts on its books before it ends.
    ActsOnRefusedCommit,
    /// A decision adds up what the objects say instead of the books.
    SumOfStatuses,
    /// The charge is released once removal begins.
    ReleaseBeforeZero,
    /// Removal and proof of zero do not wait until the site's fence is raised and its identity confirmed.
    ProofWithoutFence,
    /// Once everything was removed nothing is removed any more: what came afterwards is only found.
    ProofWithoutRemoval,
    /// The site lets writes of an older epoch through.
    FenceNotEnforced,
    /// Objects are created at the site before the inventory names them.
    EffectBeforeIntent,
    /// The grant's name does not follow from the request.
    GrantNamedByChance,
    /// The API server lets the sequence of an object's charge fall.
    SequenceMayFall,
    /// Entries that were shown before a takeover, or by another operator's write, stay in the journal.
    ShownEntriesStay,
    /// A request whose release was committed before a crash ends without saying that it holds nothing.
    ReleaseNotSaid,
    /// Such a request says so only over a charge that it shows.
    ReleaseSaidOverShown,
    /// A draft keeps the reservation that another operator made for it before it was refused.
    RefusedKeepsCharge,
}

/// Names of the properties, as stateright reports them.
pub(crate) mod property {
    pub(crate) const NO_OVERSELL: &str = "no oversell: both sums of every stored state are within their limits";
    pub(crate) const ONE_GRANT: &str = "one request, one grant, one charge";
    pub(crate) const STANDS_CHARGED: &str = "released only after zero: what stands at the site is charged";
    pub(crate) const REVOKED_IS_OVER: &str = "nothing of a revoked grant stands at the site";
    pub(crate) const NEVER_FALLS: &str = "epoch and sequences never fall";
    pub(crate) const NOTHING_LOST: &str = "no charge is lost: what lives is charged";
    pub(crate) const TOTALS: &str = "the stored totals are what objects and journal add up to";
    pub(crate) const NO_STALE_COMMIT: &str = "no commit of an operator that lost the ledger lands";
    pub(crate) const BALANCED: &str = "no takeover finds books that do not add up";
    pub(crate) const TRUE_BOOKS: &str = "the leader's books are what is stored and what it decided since";
    pub(crate) const INTENT_FIRST: &str = "what stands at the site is in an inventory";
    pub(crate) const LEGAL: &str = "only legal transitions";
    pub(crate) const FORWARD: &str = "every step leads forward";
    pub(crate) const ENDS: &str = "everything ends: requests decided, grants revoked to zero, journal empty";
    pub(crate) const ALL_REVOKED: &str = "every request can be granted and revoked to zero";
    pub(crate) const TWO_LEADERS: &str = "two operators can believe that they lead";
    pub(crate) const REPLAY: &str = "a takeover can find decisions that only the journal knows";
    pub(crate) const LATE_DELIVERY: &str = "a paused operator can be about to deliver what another is revoking";
    pub(crate) const REFUSED_BY_DEPARTMENT: &str = "a department's own limit can refuse";
    pub(crate) const REFUSED_BY_ANCESTOR: &str = "an ancestor's limit can refuse";
    pub(crate) const REFUSED_BY_SITE: &str = "the site's capacity can refuse";
}

impl Fault {
    /// Every error.
    pub(crate) const ALL: [Self; 19] = [
        Self::CommitWithoutGuard,
        Self::CommitRepeatedOverConflict,
        Self::ListBeforeEpoch,
        Self::JournalNotReplayed,
        Self::EntryLeavesUnshown,
        Self::StatusBeforeCommit,
        Self::ActsOnRefusedCommit,
        Self::SumOfStatuses,
        Self::ReleaseBeforeZero,
        Self::ProofWithoutFence,
        Self::ProofWithoutRemoval,
        Self::FenceNotEnforced,
        Self::EffectBeforeIntent,
        Self::GrantNamedByChance,
        Self::SequenceMayFall,
        Self::ShownEntriesStay,
        Self::ReleaseNotSaid,
        Self::ReleaseSaidOverShown,
        Self::RefusedKeepsCharge,
    ];

    /// Whether one request alone is not enough to see it.
    pub(crate) const fn needs_two(self) -> bool {
        matches!(self, Self::CommitWithoutGuard | Self::CommitRepeatedOverConflict | Self::SumOfStatuses)
    }

    /// The properties of which it must break each one.
    pub(crate) const fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::CommitWithoutGuard => &[property::NEVER_FALLS, property::NO_STALE_COMMIT, property::NO_OVERSELL],
            Self::CommitRepeatedOverConflict => &[property::NO_STALE_COMMIT, property::NO_OVERSELL],
            Self::ListBeforeEpoch | Self::JournalNotReplayed => &[property::BALANCED],
            Self::EntryLeavesUnshown | Self::StatusBeforeCommit | Self::ActsOnRefusedCommit | Self::SequenceMayFall => {
                &[property::TOTALS]
            }
            Self::SumOfStatuses => &[property::NO_OVERSELL],
            Self::ReleaseBeforeZero => &[property::STANDS_CHARGED],
            Self::ProofWithoutFence | Self::FenceNotEnforced => &[property::REVOKED_IS_OVER],
            Self::EffectBeforeIntent => &[property::INTENT_FIRST],
            Self::GrantNamedByChance => &[property::ONE_GRANT],
            Self::ShownEntriesStay
            | Self::ReleaseNotSaid
            | Self::ReleaseSaidOverShown
            | Self::RefusedKeepsCharge
            | Self::ProofWithoutRemoval => &[property::ENDS],
        }
    }
}
