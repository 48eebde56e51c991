//! MigrationWave: which migrations go together, after which others, and when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stage::MigrationStage;
use crate::condition::{Condition, conditions_schema};
use crate::duration::DurationText;
use crate::names::DisplayNames;
use crate::wire::wire_enum;

/// A migration of the wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveMember {
    /// Department.
    #[schemars(length(min = 1, max = 58))]
    pub department: String,
    /// Name of the SystemMigration.
    #[schemars(length(min = 1, max = 40))]
    pub migration: String,
}

wire_enum! {
    /// How far the migrations of a wave must be before another wave begins.
    pub enum WaveMark {
        /// Their systems run on the cloud, or were given up.
        CutOver = "CutOver",
        /// They are signed for, or were given up.
        Accepted = "Accepted",
    }
}

/// A wave that comes before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AfterWave {
    /// Wave.
    #[schemars(length(min = 1, max = 40))]
    pub wave: String,
    /// How far its migrations must be.
    #[serde(default = "AfterWave::cut_over")]
    pub reached: WaveMark,
}

impl AfterWave {
    fn cut_over() -> WaveMark {
        WaveMark::CutOver
    }
}

/// A time in which systems may be cut over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeWindow {
    /// When it opens, as five fields, such as `0 22 * * 5` for Fridays at 22:00.
    #[schemars(length(min = 5, max = 128))]
    pub opens: String,
    /// How long it is open, in elapsed time whatever the clocks do.
    pub length: DurationText,
}

/// Days on which nothing changes, such as holidays and important meetings.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from <= self.to").message("from must not be after to: both are days of the freeze"))]
pub struct FreezeDays {
    /// First day.
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub from: String,
    /// Last day.
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub to: String,
    /// Why.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

/// A wave (迁移批次): migrations that go together.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "MigrationWave", plural = "migrationwaves", singular = "migrationwave",
    shortname = "wave", shortname = "waves", category = "zhengyun", status = "MigrationWaveStatus", derive = "PartialEq",
    doc = "A wave (迁移批次): migrations that go together, after which others, how many at once, and in which change windows.",
    selectable = ".spec.timeZone",
    printcolumn(name = "Done", type_ = "integer", json_path = ".status.done", description = "Migrations whose system runs on the cloud or is retired"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.running", description = "Migrations under way"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failed", description = "Migrations that were rolled back"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.total", description = "Migrations in all"),
    printcolumn(name = "Window", type_ = "date", json_path = ".status.nextWindow", description = "When the next change window opens"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 40 characters"),
    validation = Rule::new("!self.spec.after.exists(a, a.wave == self.metadata.name)").message("spec.after names the wave itself: name the waves that come before it")
)]
#[serde(rename_all = "camelCase")]
pub struct MigrationWaveSpec {
    /// Names for people.
    pub display_names: DisplayNames,
    /// Migrations, in the order in which they start.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department", "migration"]))]
    pub members: Vec<WaveMember>,
    /// Waves that come before.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["wave"]))]
    pub after: Vec<AfterWave>,
    /// Time zone of windows and freeze days.
    #[serde(default = "MigrationWaveSpec::china")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"))]
    pub time_zone: String,
    /// When systems may be cut over.
    #[schemars(length(min = 1, max = 16))]
    pub windows: Vec<ChangeWindow>,
    /// Days on which nothing begins and nothing is cut over.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub freezes: Vec<FreezeDays>,
    /// Migrations that may be under way at once. One that waits for signatures or is paused does not count.
    #[serde(default = "MigrationWaveSpec::one")]
    #[schemars(range(min = 1, max = 64))]
    pub max_parallel: i32,
    /// Migrations that may be rolled back before no other one begins.
    #[serde(default)]
    #[schemars(range(min = 0, max = 256))]
    pub max_failures: i32,
    /// Begins no further migration while set. Those under way go on.
    #[serde(default)]
    pub paused: bool,
}

impl MigrationWaveSpec {
    fn china() -> String {
        "Asia/Shanghai".to_owned()
    }
    fn one() -> i32 {
        1
    }
}

/// How a migration of the wave stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveMemberStatus {
    /// Department.
    #[schemars(length(max = 58))]
    pub department: String,
    /// Name of the SystemMigration.
    #[schemars(length(max = 40))]
    pub migration: String,
    /// Where it stands; absent while there is no such migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<MigrationStage>,
    /// Whether it has one of the places: it may begin, or has begun.
    #[serde(default)]
    pub admitted: bool,
    /// Why it may not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// Why, with the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// What the operator says about a wave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationWaveStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Migrations in all.
    #[serde(default)]
    pub total: i64,
    /// Migrations whose system runs on the cloud or is retired.
    #[serde(default)]
    pub done: i64,
    /// Migrations under way.
    #[serde(default)]
    pub running: i64,
    /// Migrations that were rolled back.
    #[serde(default)]
    pub failed: i64,
    /// By migration, in the order of the spec.
    #[serde(default)]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department", "migration"]))]
    pub members: Vec<WaveMemberStatus>,
    /// When the next change window opens, or the present one opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_window: Option<Time>,
    /// When that window closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ends: Option<Time>,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
