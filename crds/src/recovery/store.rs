//! BackupStore: a repository for backups at a site.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::{MissedRuns, Schedule};
use crate::amounts::AmountText;
use crate::condition::{Condition, conditions_schema};
use crate::duration::DurationText;
use crate::names::DisplayNames;
use crate::wire::wire_enum;

wire_enum! {
    /// How firmly an object store keeps what is locked.
    pub enum ObjectLockMode {
        /// Accounts with a special right may unlock.
        Governance = "Governance",
        /// Nobody may unlock before the time is over.
        Compliance = "Compliance",
    }
}

/// How long an object store refuses to delete what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectLock {
    /// How firmly.
    pub mode: ObjectLockMode,
    /// For how many days. Retention cannot free space sooner.
    #[schemars(range(min = 1, max = 3650))]
    pub days: i32,
}

/// A bucket that speaks S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Backend {
    /// Address of the service, such as `https://s3.ulanqab.example:9000`.
    #[schemars(
        length(min = 8, max = 256),
        regex(pattern = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$")
    )]
    pub endpoint: String,
    /// Region that requests are signed for.
    #[serde(default = "S3Backend::any_region")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: String,
    /// Bucket. It must exist.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])$"))]
    pub bucket: String,
    /// What every key begins with; empty for the whole bucket.
    #[serde(default)]
    #[schemars(length(max = 128), regex(pattern = r"^([A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*)?$"))]
    pub prefix: String,
    /// Secret in `zhengyun-system` with the keys `accessKeyId` and `secretAccessKey`, and `ca.crt` where the service has a certificate of its own.
    #[schemars(length(min = 1, max = 63))]
    pub secret_name: String,
    /// Lock on what is written; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
}

impl S3Backend {
    fn any_region() -> String {
        "us-east-1".to_owned()
    }
}

/// A folder on a file system that the worker reaches.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesystemBackend {
    /// Absolute path of the folder.
    #[schemars(length(min = 2, max = 256))]
    #[x_kube(validation = Rule::new(r"self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.matches('/[.]{1,2}(/|$)')")
        .message("path must be absolute, without . or .. elements, doubled or closing slashes, such as /srv/backup"))]
    pub path: String,
}

/// Where the bytes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StoreBackend {
    /// A bucket that speaks S3.
    S3(S3Backend),
    /// A folder on a file system.
    Filesystem(FilesystemBackend),
}

/// When everything in a store is read through: every pack, index and snapshot of each department's repository, and the signed chain of its
/// manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckPolicy {
    /// When a check is due; on Sundays at 01:00, up to six hours later, unless stated.
    #[serde(default = "CheckPolicy::weekly")]
    pub schedule: Schedule,
    /// Begins no further check while set. One that is under way goes on.
    #[serde(default)]
    pub paused: bool,
}

impl CheckPolicy {
    fn weekly() -> Schedule {
        Schedule {
            cron: Some("0 1 * * 0".to_owned()),
            every: None,
            time_zone: "Asia/Shanghai".to_owned(),
            jitter: Some(DurationText::from("6h")),
            missed: MissedRuns::RunOnce,
        }
    }
}

impl Default for CheckPolicy {
    fn default() -> Self {
        Self { schedule: Self::weekly(), paused: false }
    }
}

/// A backup store (备份存储库): a repository at a site. Failure domains and coordinates are the site's.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "BackupStore", plural = "backupstores", singular = "backupstore",
    shortname = "bstore", category = "zhengyun", status = "BackupStoreStatus", derive = "PartialEq",
    doc = "A backup store (备份存储库): a repository for backups at a site. Failure domains and coordinates are the site's.",
    selectable = ".spec.site",
    printcolumn(name = "Site", type_ = "string", json_path = ".spec.site", description = "Where"),
    printcolumn(name = "Used", type_ = "string", json_path = ".status.used", description = "Bytes that backups take up"),
    printcolumn(name = "Checked", type_ = "date", json_path = ".status.lastCheck.finishedAt", description = "Last integrity check"),
    printcolumn(name = "Intact", type_ = "string", json_path = ".status.conditions[?(@.type==\"Intact\")].status", description = "Whether the last check found everything as it was written"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether backups can be written to it and read from it"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 40 characters"),
    validation = Rule::new("self.spec.site == oldSelf.spec.site")
        .message("spec.site cannot change, the data is there: register another store and add it to the plans"),
    validation = Rule::new("has(self.spec.backend.s3) && has(oldSelf.spec.backend.s3) ? self.spec.backend.s3.bucket == oldSelf.spec.backend.s3.bucket && self.spec.backend.s3.prefix == oldSelf.spec.backend.s3.prefix : has(self.spec.backend.filesystem) && has(oldSelf.spec.backend.filesystem) && self.spec.backend.filesystem.path == oldSelf.spec.backend.filesystem.path")
        .message("spec.backend must stay the same bucket and prefix, or the same folder, the data is there: register another store and add it to the plans")
)]
#[serde(rename_all = "camelCase")]
pub struct BackupStoreSpec {
    /// Names for people.
    pub display_names: DisplayNames,
    /// Site that it stands at.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Where the bytes go.
    pub backend: StoreBackend,
    /// When everything in it is read through.
    #[serde(default)]
    pub check: CheckPolicy,
}

wire_enum! {
    /// What came of reading a repository through.
    pub enum CheckOutcome {
        /// Everything is as it was written.
        Intact = "Intact",
        /// Something is not, or is missing.
        Damaged = "Damaged",
        /// It could not be read.
        Unread = "Unread",
    }
}

/// What came of reading the repository of one department through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCheck {
    /// Department.
    #[schemars(length(min = 1, max = 63))]
    pub department: String,
    /// What came of it.
    pub outcome: CheckOutcome,
    /// Bytes that were read and compared.
    #[serde(default)]
    pub bytes_read: i64,
    /// How many objects are damaged or missing.
    #[serde(default)]
    pub damaged_count: i64,
    /// The first of them.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub damaged: Vec<String>,
    /// What is wrong with the first of them, or why it could not be read.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// A check that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningCheck {
    /// When it began.
    pub started_at: Time,
    /// How often the process of the present repository was started after it ended without a word.
    #[serde(default)]
    pub attempt: i32,
    /// Repositories that were read.
    #[serde(default)]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department"]))]
    pub repositories: Vec<RepositoryCheck>,
}

/// The result of reading all repositories of a store through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrityCheck {
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Time,
    /// Whether every repository was read and is as it was written.
    pub passed: bool,
    /// Bytes that were read and compared.
    #[serde(default)]
    pub bytes_read: i64,
    /// How many objects are damaged or missing.
    #[serde(default)]
    pub damaged_count: i64,
    /// The first of them, each with its department.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub damaged: Vec<String>,
    /// By department.
    #[serde(default)]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department"]))]
    pub repositories: Vec<RepositoryCheck>,
}

/// What the operator says about a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStoreStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Identity of the repository, pinned when it was first seen; another one means another repository in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub identity: Option<String>,
    /// Bytes that backups take up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<AmountText>,
    /// How many backups it holds.
    #[serde(default)]
    pub backups: i64,
    /// Last integrity check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<IntegrityCheck>,
    /// The check under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checking: Option<RunningCheck>,
    /// Due time of the last check that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_due: Option<Time>,
    /// When the next check begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check: Option<Time>,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
