//! The words of the custom resources in the OpenAPI document: each list is read from its type, so the two cannot differ.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zhengyun_crds::department::{DepartmentRole, RoleScope, SubjectKind};
use zhengyun_crds::grant::{GrantClass, RevokeStep};
use zhengyun_crds::migration::{
    CopiedData, EvidenceKind, FreezeStrength, MigrationStage, MigrationStep, MigrationVerb, Party, RollbackLoss,
    RoomPhase, Severity, SignedPurpose, Strategy, SystemOutcome, WaveMark,
};
use zhengyun_crds::quota::UnlistedChildren;
use zhengyun_crds::recovery::{
    BackupPhase, BackupTrigger, Basis, Consistency, CopyState, DrillPartKind, DrillPhase, DrillTrigger, Edition,
    Element, ExistingPolicy, MissedRuns, RestoreMode, RestorePhase, RetentionFate,
};
use zhengyun_crds::request::{Action, Disposition};
use zhengyun_crds::site::{Architecture, NetworkZone};
use zhengyun_crds::system::DataClass;

macro_rules! words {
    ($($name:ident: $source:ty, $doc:literal;)+) => {
        $(
            #[doc = $doc]
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some(<$source>::ALL.iter().map(|word| word.as_str())))
                        .description(Some($doc))
                        .into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+
    };
}

words! {
    ActionWord: Action, "What an order asks for.";
    ArchitectureWord: Architecture, "CPU architecture.";
    BackupPhaseWord: BackupPhase, "Where a backup stands.";
    BackupTriggerWord: BackupTrigger, "Why a backup was made.";
    BasisWord: Basis, "What a judgement on an element rests on.";
    ConditionStatusWord: zhengyun_crds::ConditionStatus, "Whether a condition holds.";
    ConsistencyWord: Consistency, "What may be said about the moment that a captured source shows.";
    CopiedDataWord: CopiedData, "What becomes of the copy of a migration that is given up.";
    CopyStateWord: CopyState, "What is known of a copy.";
    DataClassWord: DataClass, "Class of the data that a system holds.";
    DepartmentRoleWord: DepartmentRole, "What a person may do for a department.";
    DispositionWord: Disposition, "What happens to data when a grant is revoked.";
    DrillPartKindWord: DrillPartKind, "What a source of a backup is, to a drill.";
    DrillPhaseWord: DrillPhase, "Where a drill stands.";
    DrillTriggerWord: DrillTrigger, "Why a drill is held.";
    EditionWord: Edition, "Edition of GB/T 20988.";
    ElementWord: Element, "Element of disaster recovery (灾难恢复资源要素).";
    EvidenceKindWord: EvidenceKind, "What a piece of evidence shows.";
    ExistingPolicyWord: ExistingPolicy, "What becomes of objects that are there already and differ.";
    FreezeStrengthWord: FreezeStrength, "What is known of a source that was closed.";
    GrantClassWord: GrantClass, "How long a grant is meant to live.";
    GrantPhaseWord: zhengyun_crds::GrantPhase, "Where a grant stands.";
    LevelWord: zhengyun_crds::Level, "Administrative level.";
    MigrationStageWord: MigrationStage, "Where a migration stands.";
    MigrationStepWord: MigrationStep, "A step of a cutover, or of the way back.";
    MigrationVerbWord: MigrationVerb, "What a mover does for a workload.";
    MissedRunsWord: MissedRuns, "What becomes of due times that passed while nothing could be started.";
    NetworkZoneWord: NetworkZone, "Network zone of a government system.";
    PartyWord: Party, "On whose behalf somebody acts.";
    RequestPhaseWord: zhengyun_crds::RequestPhase, "Where a request stands.";
    RestoreModeWord: RestoreMode, "What a restore does.";
    RestorePhaseWord: RestorePhase, "Where a restore stands.";
    RetentionFateWord: RetentionFate, "What becomes of a backup's data.";
    RevokeStepWord: RevokeStep, "Step of a revocation.";
    RollbackLossWord: RollbackLoss, "What the way back would cost now.";
    RoleScopeWord: RoleScope, "How far down the tree a role reaches.";
    RoomPhaseWord: RoomPhase, "Where a machine room stands.";
    SeverityWord: Severity, "How much a finding weighs.";
    SignedPurposeWord: SignedPurpose, "What a signature agrees to.";
    StrategyWord: Strategy, "What becomes of a system.";
    SubjectKindWord: SubjectKind, "Person or group.";
    SystemOutcomeWord: SystemOutcome, "What came of a system that a room hosts.";
    UnitTypeWord: zhengyun_crds::UnitType, "What a department is in law.";
    UnlistedChildrenWord: UnlistedChildren, "What departments below without a quota of their own may do.";
    VerdictWord: zhengyun_crds::Verdict, "What was decided.";
    WaveMarkWord: WaveMark, "How far the migrations of a wave must be before another wave begins.";
}
