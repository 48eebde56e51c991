//! When something is due.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DurationText;
use crate::wire::wire_enum;

wire_enum! {
    /// What becomes of due times that passed while nothing could be started.
    pub enum MissedRuns {
        /// One run is started for all of them.
        RunOnce = "RunOnce",
        /// They are left out; the next due time counts.
        Skip = "Skip",
    }
}

/// When something is due: a cron expression or an interval.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.cron) != has(self.every)").message("a schedule has either cron or every, not both and not neither"))]
pub struct Schedule {
    /// Five fields: minute, hour, day of month, month, day of week (0 or 7 is Sunday), such as `30 2 * * *`; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 128))]
    pub cron: Option<String>,
    /// Interval from the creation of the object, such as `15m` or `6h`; at least one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationText>,
    /// IANA time zone in which `cron` is read. A time that daylight saving leaves out is due when the clocks go forward; one that it repeats is due once, unless the hour is `*`.
    #[serde(default = "Schedule::china")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"))]
    pub time_zone: String,
    /// Runs start up to this much later, each plan by its own constant share, so that not all start at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<DurationText>,
    /// What becomes of due times that passed while nothing could be started.
    #[serde(default = "Schedule::run_once")]
    pub missed: MissedRuns,
}

impl Schedule {
    fn china() -> String {
        "Asia/Shanghai".to_owned()
    }
    fn run_once() -> MissedRuns {
        MissedRuns::RunOnce
    }
}
