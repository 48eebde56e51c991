//! Waves: migrations that go together.

mod get;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::migration as crd;
use zhengyun_crds::migration::MigrationWave as Resource;

use crate::events::Told;
use crate::shapes::{self, Condition, DisplayNames};
use crate::state::AppState;
use crate::words::{MigrationStageWord, WaveMarkWord};

const PLURAL: &str = "migrationwaves";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// Migrations that go together (迁移批次).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wave {
    /// Its name.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// Waves that come before.
    after: Vec<WaveBefore>,
    /// Time zone of windows and freeze days.
    time_zone: String,
    /// When systems may be cut over.
    windows: Vec<WaveWindow>,
    /// Days on which nothing begins and nothing is cut over.
    freezes: Vec<WaveFreeze>,
    /// Migrations that may be under way at once.
    max_parallel: i32,
    /// Migrations that may be rolled back before no other one begins.
    max_failures: i32,
    /// Whether no further migration begins.
    paused: bool,
    /// Migrations in all.
    total: i64,
    /// Migrations whose system runs on the cloud or is retired.
    done: i64,
    /// Migrations under way.
    running: i64,
    /// Migrations that were rolled back.
    failed: i64,
    /// Its migrations, in the order in which they start; of those that the caller may see.
    members: Vec<WaveMember>,
    /// When the next change window opens, or the present one opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_window: Option<String>,
    /// When that window closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    window_ends: Option<String>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A wave that comes before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaveBefore {
    /// Wave.
    wave: String,
    /// How far its migrations must be.
    #[schema(value_type = WaveMarkWord)]
    reached: String,
}

/// A time in which systems may be cut over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaveWindow {
    /// When it opens, as five fields of cron.
    #[schema(example = "0 22 * * 5")]
    opens: String,
    /// How long it is open.
    length: String,
}

/// Days on which nothing changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaveFreeze {
    /// First day.
    #[schema(format = Date)]
    from: String,
    /// Last day.
    #[schema(format = Date)]
    to: String,
    /// Why.
    reason: String,
}

/// A migration of the wave.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaveMember {
    /// Department.
    department: String,
    /// Migration.
    migration: String,
    /// Where it stands; absent while there is no such migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MigrationStageWord>)]
    stage: Option<String>,
    /// Whether it may begin, or has begun.
    admitted: bool,
    /// Why it may not begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why, with the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Wave {
    /// A wave with those of its migrations that whoever asks may see: a department does not learn what others move.
    fn seen(wave: &Resource, may_see: impl Fn(&str) -> bool) -> Self {
        let (spec, status) = (&wave.spec, wave.status.clone().unwrap_or_default());
        let before =
            |after: &crd::AfterWave| WaveBefore { wave: after.wave.clone(), reached: after.reached.to_string() };
        let window = |w: &crd::ChangeWindow| WaveWindow { opens: w.opens.clone(), length: w.length.to_string() };
        let freeze =
            |f: &crd::FreezeDays| WaveFreeze { from: f.from.clone(), to: f.to.clone(), reason: f.reason.clone() };
        let members = spec.members.iter().filter(|member| may_see(&member.department));
        Self {
            name: shapes::name(&wave.metadata),
            display_names: (&spec.display_names).into(),
            after: spec.after.iter().map(before).collect(),
            time_zone: spec.time_zone.clone(),
            windows: spec.windows.iter().map(window).collect(),
            freezes: spec.freezes.iter().map(freeze).collect(),
            max_parallel: spec.max_parallel,
            max_failures: spec.max_failures,
            paused: spec.paused,
            total: status.total,
            done: status.done,
            running: status.running,
            failed: status.failed,
            members: members.map(|member| WaveMember::new(member, &status.members)).collect(),
            next_window: status.next_window.as_ref().map(shapes::moment),
            window_ends: status.window_ends.as_ref().map(shapes::moment),
            conditions: shapes::conditions(Some(&status.conditions)),
            created_at: shapes::created(&wave.metadata),
        }
    }
}

impl WaveMember {
    fn new(member: &crd::WaveMember, statuses: &[crd::WaveMemberStatus]) -> Self {
        let is_it =
            |s: &&crd::WaveMemberStatus| (&s.department, &s.migration) == (&member.department, &member.migration);
        let status = statuses.iter().find(is_it);
        Self {
            department: member.department.clone(),
            migration: member.migration.clone(),
            stage: status.and_then(|s| s.stage).map(|stage| stage.to_string()),
            admitted: status.is_some_and(|s| s.admitted),
            reason: status.and_then(|s| s.reason.clone()),
            message: status.and_then(|s| s.message.clone()),
        }
    }
}

impl Told for Resource {
    const NOUN: &'static str = "waves";

    fn department(&self) -> Option<&str> {
        None
    }

    fn item(&self) -> serde_json::Value {
        // Everyone with a role hears of a wave: its counts and windows, and none of its members.
        shapes::json(&Wave::seen(self, |_| false))
    }
}
