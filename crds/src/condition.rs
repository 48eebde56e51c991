//! Conditions: what every kind says about itself, in one shape (`metav1.Condition`) and one closed vocabulary.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::wire_enum;

wire_enum! {
    /// What a condition is about. `Ready` exists on every kind; `Reconciling` and `Stalled` follow kstatus.
    pub enum ConditionType {
        /// The object is accepted and as intended. A request that waits for a person is Ready.
        Ready = "Ready",
        /// The operator is at work on it; absent otherwise.
        Reconciling = "Reconciling",
        /// It cannot go on until a user acts; absent otherwise.
        Stalled = "Stalled",
        /// The spec was checked and is in force.
        Accepted = "Accepted",
        /// Use exceeds the adopted limit; nothing is taken away, nothing new is granted.
        OverLimit = "OverLimit",
        /// A new parent is set but the subtree holds charges.
        MoveBlocked = "MoveBlocked",
        /// A deletion is asked for that cannot be done now.
        DeletionBlocked = "DeletionBlocked",
        /// The charge is reserved at the department and all its ancestors.
        Reserved = "Reserved",
        /// All stages of the approval policy approved.
        Approved = "Approved",
        /// The objects stand at the site.
        Delivered = "Delivered",
        /// The department confirmed the delivery.
        Confirmed = "Confirmed",
        /// The life of the object is over and its result is final.
        Complete = "Complete",
        /// The site answers.
        Reachable = "Reachable",
        /// The site is the cluster that was joined.
        IdentityConfirmed = "IdentityConfirmed",
        /// The credential for the site is usable and not about to expire.
        CredentialValid = "CredentialValid",
        /// The declared capacity is covered by what the cluster reports.
        CapacityBacked = "CapacityBacked",
        /// Labelled things at the site belong to live grants.
        Swept = "Swept",
        /// The ledger agrees with the objects it accounts for.
        Balanced = "Balanced",
        /// The shipped admission policies are in force as shipped.
        PolicyEnforced = "PolicyEnforced",
        /// Things that must go are still there, and are still charged.
        RetainedStorage = "RetainedStorage",
        /// Measurements meet the objectives of the recovery plan.
        ObjectiveMet = "ObjectiveMet",
        /// The evidence supports the recovery level that is asked for.
        LevelMet = "LevelMet",
        /// A verified restore point stands, and its keys are in a safe place.
        Protected = "Protected",
        /// Every copy was read back and compared.
        Verified = "Verified",
        /// The last check of a store found everything in it as it was written.
        Intact = "Intact",
    }
}

wire_enum! {
    /// `status` of a condition.
    pub enum ConditionStatus {
        /// It holds.
        True = "True",
        /// It does not hold.
        False = "False",
        /// Not known yet.
        Unknown = "Unknown",
    }
}

wire_enum! {
    /// Why a condition has its status: the stable code behind the message, the same in kubectl, the API and metrics.
    pub enum Reason {
        /// As intended.
        AsIntended = "AsIntended",
        /// Seen for the first time; nothing decided yet.
        Pending = "Pending",
        /// Work is under way.
        InProgress = "InProgress",
        /// The spec was accepted.
        Accepted = "Accepted",
        /// A field of the spec is wrong.
        Invalid = "Invalid",
        /// The named parent does not exist.
        ParentNotFound = "ParentNotFound",
        /// Following the parents leads back to the start.
        CyclicTree = "CyclicTree",
        /// The parent's type or level does not admit this child.
        LevelMismatch = "LevelMismatch",
        /// A namespace of that name exists and is not ours.
        NamespaceConflict = "NamespaceConflict",
        /// Charges, children or other dependents stand in the way.
        InUse = "InUse",
        /// The subtree holds charges, so it cannot move.
        SubtreeCharged = "SubtreeCharged",
        /// A limit exceeds the parent's.
        LimitAboveParent = "LimitAboveParent",
        /// The children's limits add up to more than the parent's allows.
        ChildrenAboveParent = "ChildrenAboveParent",
        /// Use is above the limit.
        UseAboveLimit = "UseAboveLimit",
        /// Use is within the limit.
        WithinLimit = "WithinLimit",
        /// There is no such department.
        DepartmentNotFound = "DepartmentNotFound",
        /// There is no such site.
        SiteNotFound = "SiteNotFound",
        /// There is no such catalogue item.
        ItemNotFound = "ItemNotFound",
        /// The catalogue item is not accepted itself.
        ItemNotReady = "ItemNotReady",
        /// The catalogue item is not offered at the site.
        ItemNotOffered = "ItemNotOffered",
        /// There is no such information system.
        SystemNotFound = "SystemNotFound",
        /// There is no such grant.
        GrantNotFound = "GrantNotFound",
        /// The grant is not in a phase that admits this.
        GrantNotLive = "GrantNotLive",
        /// The parameters do not fit the item's schema.
        ParametersInvalid = "ParametersInvalid",
        /// A CEL expression does not compile, fails or runs away.
        ExpressionFailed = "ExpressionFailed",
        /// A template renders something that is not allowed.
        TemplateRefused = "TemplateRefused",
        /// The site refused a rendered object in its dry run.
        DryRunRefused = "DryRunRefused",
        /// The action is not offered in this version.
        ActionNotAvailable = "ActionNotAvailable",
        /// The order is based on an older revision of the grant.
        StaleRevision = "StaleRevision",
        /// The system's protection level is above the site's (GB/T 22239).
        ProtectionLevelTooHigh = "ProtectionLevelTooHigh",
        /// The system's network zone is not served at the site.
        ZoneNotServed = "ZoneNotServed",
        /// State secrets may not be on this cloud.
        Classified = "Classified",
        /// No approval policy matches.
        NoApprovalPolicy = "NoApprovalPolicy",
        /// Two approval policies of the same priority match.
        AmbiguousApprovalPolicy = "AmbiguousApprovalPolicy",
        /// The admission policies are not in force as shipped.
        PolicyNotEnforced = "PolicyNotEnforced",
        /// The department or an ancestor has no quota for it.
        QuotaExceeded = "QuotaExceeded",
        /// The site's capacity does not suffice.
        CapacityExceeded = "CapacityExceeded",
        /// The ledger's journal is full for the moment.
        LedgerBusy = "LedgerBusy",
        /// The ledger does not accept new charges until its books are balanced.
        LedgerHeld = "LedgerHeld",
        /// A charged object of this department vanished; its charge is kept until an administrator decides.
        Quarantined = "Quarantined",
        /// The books are balanced.
        Balanced = "Balanced",
        /// The ledger object is missing although grants exist.
        LedgerMissing = "LedgerMissing",
        /// Totals and objects differ.
        TotalsMismatch = "TotalsMismatch",
        /// The site's fence is ahead: the hub was restored to the past.
        HubRestoredToPast = "HubRestoredToPast",
        /// The site holds a labelled grant that the hub does not know.
        UnknownGrantAtSite = "UnknownGrantAtSite",
        /// Not submitted yet.
        NotSubmitted = "NotSubmitted",
        /// Waits for a decision of a person.
        AwaitingApproval = "AwaitingApproval",
        /// Sent back to the department for correction.
        Returned = "Returned",
        /// Refused by an approver.
        Rejected = "Rejected",
        /// Taken back by the department.
        Withdrawn = "Withdrawn",
        /// Ran out of time.
        Expired = "Expired",
        /// Approved by all stages, or by a policy without stages on its stated basis.
        Approved = "Approved",
        /// Carried out.
        Applied = "Applied",
        /// Reserved in the ledger.
        Reserved = "Reserved",
        /// Charge given back.
        Released = "Released",
        /// The approval counts.
        Counted = "Counted",
        /// The approver lacks the right for the stage.
        NotEntitled = "NotEntitled",
        /// The approver requested, edited or already decided.
        DutiesNotSeparate = "DutiesNotSeparate",
        /// The approval is for another order than the one under review.
        OrderChanged = "OrderChanged",
        /// The stage is not open.
        StageNotOpen = "StageNotOpen",
        /// The request is gone or is another one of that name.
        RequestNotFound = "RequestNotFound",
        /// Objects are being created at the site.
        Provisioning = "Provisioning",
        /// Waits for the department's confirmation of the delivery.
        AwaitingConfirmation = "AwaitingConfirmation",
        /// In service.
        InService = "InService",
        /// An object of that name exists at the site and is not ours.
        ForeignObject = "ForeignObject",
        /// The site refused an object.
        ApplyRefused = "ApplyRefused",
        /// The site does not answer.
        SiteUnreachable = "SiteUnreachable",
        /// The site answers.
        Reachable = "Reachable",
        /// The site is not the cluster that was joined.
        IdentityChanged = "IdentityChanged",
        /// The same cluster is registered under another name.
        DuplicateSite = "DuplicateSite",
        /// The kubeconfig is missing, unusable or uses something that is not allowed.
        KubeconfigRefused = "KubeconfigRefused",
        /// The credential expires soon.
        ExpiresSoon = "ExpiresSoon",
        /// Network and workloads are stopped, data is kept until the hold ends.
        Frozen = "Frozen",
        /// Things are being removed.
        Removing = "Removing",
        /// Removal is done and is being proven.
        Proving = "Proving",
        /// Zero was proven and the charge released.
        Revoked = "Revoked",
        /// Things that must go are still there.
        RetainedStorage = "RetainedStorage",
        /// The cluster reports less than the declared capacity.
        CapacityShort = "CapacityShort",
        /// The object cannot be decoded.
        Undecodable = "Undecodable",
        /// There is no such backup store.
        StoreNotFound = "StoreNotFound",
        /// A backup store does not answer or cannot be used.
        StoreNotReady = "StoreNotReady",
        /// Something in a backup store is not as it was written, or is missing.
        RepositoryDamaged = "RepositoryDamaged",
        /// Not everything in a backup store was read through.
        NotChecked = "NotChecked",
        /// A source of the plan is not there, is another department's, or was not declared by an administrator.
        SourceRefused = "SourceRefused",
        /// The schedule cannot be read.
        ScheduleInvalid = "ScheduleInvalid",
        /// The schedule names a moment that never comes.
        ScheduleNeverFires = "ScheduleNeverFires",
        /// Runs are further apart than the recovery point objective.
        ScheduleTooSparse = "ScheduleTooSparse",
        /// The clock is behind what it was when the last run was recorded.
        ClockWentBack = "ClockWentBack",
        /// Too few copies are independent of the sources and of one another.
        CopiesNotIndependent = "CopiesNotIndependent",
        /// No copy is as far away as the plan asks for.
        CopiesTooClose = "CopiesTooClose",
        /// An objective is outside the range that the standard gives as an example for the level.
        ObjectiveOutsideRow = "ObjectiveOutsideRow",
        /// The row of the level table was not checked against the published standard.
        LevelRowUnverified = "LevelRowUnverified",
        /// A clause of the recovery level is not met.
        ClauseUnmet = "ClauseUnmet",
        /// Measurements meet the objectives.
        ObjectiveMet = "ObjectiveMet",
        /// Nothing counts as a measurement yet.
        NotMeasured = "NotMeasured",
        /// More data would be lost than the objective allows.
        RpoExceeded = "RpoExceeded",
        /// The last drill took longer than the objective allows.
        RtoExceeded = "RtoExceeded",
        /// The last passed drill is too old to count.
        DrillOverdue = "DrillOverdue",
        /// What a drill restored is not what the manifest says.
        Differs = "Differs",
        /// There was no room for the drill.
        DrillSkipped = "DrillSkipped",
        /// Not everybody has confirmed where the password keys are kept.
        EscrowPending = "EscrowPending",
        /// The plan is paused.
        Paused = "Paused",
        /// A volume in scope is covered by no source.
        VolumeDataNotCovered = "VolumeDataNotCovered",
        /// There is no such backup, or no copy of it.
        BackupNotFound = "BackupNotFound",
        /// No copy of the backup was verified.
        BackupNotVerified = "BackupNotVerified",
        /// A restore may not cross from one department to another.
        CrossDepartment = "CrossDepartment",
        /// The plan that would be carried out is not the one that was agreed to.
        PlanChanged = "PlanChanged",
        /// Objects are in the way at the target.
        TargetConflict = "TargetConflict",
        /// The target does not serve a kind.
        KindNotServed = "KindNotServed",
        /// Ended at a person's request.
        Cancelled = "Cancelled",
        /// A run could not be carried out; its failure says why.
        RunFailed = "RunFailed",
        /// A run came to its end, but not to all of what it should.
        RunIncomplete = "RunIncomplete",
        /// Retention dropped the data; the record stays for a while.
        Forgotten = "Forgotten",
        /// There is no such machine room, or it does not host the system.
        RoomNotFound = "RoomNotFound",
        /// Something that was found at the source or target stands in the way.
        FindingBlocks = "FindingBlocks",
        /// Something that the system needs has nobody who answers for it.
        DependencyUnowned = "DependencyUnowned",
        /// The grant to land on is not in service.
        TargetNotReady = "TargetNotReady",
        /// It belongs to no wave.
        NoWave = "NoWave",
        /// The waves come after one another in a circle.
        WaveCycle = "WaveCycle",
        /// A wave that comes before is not far enough.
        WaveBefore = "WaveBefore",
        /// As many migrations of the wave are under way as may be.
        WaveFull = "WaveFull",
        /// Too many migrations of the wave were rolled back.
        WaveStopped = "WaveStopped",
        /// Nothing changes on this day.
        FreezeDay = "FreezeDay",
        /// No change window is open, or what is left of it is too short.
        OutsideWindow = "OutsideWindow",
        /// The target is too far behind, or not in step for long enough.
        LagTooLong = "LagTooLong",
        /// No cutover was tried on an isolated copy.
        NotRehearsed = "NotRehearsed",
        /// The rehearsal took longer than the downtime may.
        DowntimeTooLong = "DowntimeTooLong",
        /// There is no verified backup that is fresh enough, or not at enough places.
        BackupTooOld = "BackupTooOld",
        /// The system runs on the cloud on trial.
        TrialRunning = "TrialRunning",
        /// Something went wrong in the parallel run.
        TrialFailed = "TrialFailed",
        /// Somebody has to sign.
        AwaitingSignature = "AwaitingSignature",
        /// What was signed is not what is to be signed now.
        EvidenceChanged = "EvidenceChanged",
        /// It came in while the API server did not hold signatures to their authors.
        NotGuarded = "NotGuarded",
        /// It cannot be proven that the other side is closed.
        NotProvenClosed = "NotProvenClosed",
        /// Traffic was admitted: the way back loses what was written since, and somebody has to sign for that.
        LossNotSigned = "LossNotSigned",
        /// Nobody asked yet to close the source for good.
        SourceKept = "SourceKept",
        /// What the source holds is kept for a stated time.
        RetentionRunning = "RetentionRunning",
        /// The way back was gone; the source is open as it was.
        RolledBack = "RolledBack",
        /// Systems have not left the room.
        SystemsLeft = "SystemsLeft",
        /// A document of the closure is missing.
        RecordMissing = "RecordMissing",
        /// What becomes of it was not decided.
        NotDecided = "NotDecided",
    }
}

/// One observation about an object, in the shape of `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Generation of the spec that was looked at.
    #[serde(default)]
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// Stable code.
    #[schemars(length(min = 1, max = 63))]
    pub reason: String,
    /// What happened, the numbers, and what the reader can do next.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// The conditions of an object: a list keyed by type.
pub type Conditions = Vec<Condition>;

/// Finds a condition by type.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

/// Tells whether a condition holds.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == ConditionStatus::True)
}

/// Schema of a list of conditions: a list-map keyed by `type`, so that field managers do not overwrite each other.
pub(crate) fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let item = Condition::json_schema(generator);
    schemars::json_schema!({
        "type": "array", "maxItems": 24, "items": item,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]
    })
}
