//! Waves: which of their migrations may begin now, and when the next change window opens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::migration::{MigrationStage, MigrationWave, MigrationWaveStatus, WaveMember, WaveMemberStatus};
use zhengyun_crds::{SystemMigration, marks};
use zhengyun_domain::migration::status;
use zhengyun_domain::migration::wave::{Member, Rules, Standing, admit, last_seen, waits_for_people};
use zhengyun_domain::migration::window::Calendar;

use super::{Context, department_of};
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, Triggers};
use crate::runtime::hub::replace_status;

/// How often a wave is looked at although nothing was seen to change: windows and freeze days come and go by themselves.
const LOOK: Duration = Duration::from_secs(60);

/// What makes a wave be looked at anew: its migrations, and waves that it comes after.
pub fn triggers(context: &Arc<Context>) -> Triggers<MigrationWave> {
    let w = &context.watches;
    let (of_migrations, of_waves) = (Arc::clone(context), Arc::clone(context));
    Triggers::own(&w.waves)
        .on_facts(
            &w.migrations,
            |one| (stage_of(one), waits(one)),
            move |migration| {
                let namespace = migration.namespace().unwrap_or_default();
                let (department, name) = (department_of(&namespace).to_owned(), migration.name_any());
                naming(&of_migrations, |member| member.department == department && member.migration == name)
            },
        )
        .on_facts(
            &w.waves,
            |wave| wave.status.as_ref().map(stages_told),
            move |changed| {
                let name = changed.name_any();
                let all =
                    of_waves.watches.waves.matching(|wave| wave.spec.after.iter().any(|after| after.wave == name));
                all.iter().map(|wave| ObjectRef::from_obj(wave.as_ref())).collect::<Vec<_>>()
            },
        )
}

fn stages_told(status: &MigrationWaveStatus) -> Vec<Option<MigrationStage>> {
    status.members.iter().map(|member| member.stage).collect()
}

fn naming(context: &Context, which: impl Fn(&WaveMember) -> bool) -> Vec<ObjectRef<MigrationWave>> {
    let all = context.watches.waves.matching(|wave| wave.spec.members.iter().any(&which));
    all.iter().map(|wave| ObjectRef::from_obj(wave.as_ref())).collect()
}

fn stage_of(migration: &SystemMigration) -> Option<MigrationStage> {
    migration.status.as_ref().and_then(|status| status.stage)
}

/// Whether it waits for people to decide.
fn waits(migration: &SystemMigration) -> bool {
    let blocker = migration.status.as_ref().and_then(|status| status.blocker.as_ref());
    blocker.is_some_and(|blocker| waits_for_people(&blocker.reason))
}

fn found(context: &Context, member: &WaveMember) -> Option<Arc<SystemMigration>> {
    let namespace = format!("{}{}", marks::DEPARTMENT_NAMESPACE_PREFIX, member.department);
    context.watches.migrations.get_in(&namespace, &member.migration)
}

/// What a wave said of a member.
fn said_of<'a>(wave: &'a MigrationWave, member: &WaveMember) -> Option<&'a WaveMemberStatus> {
    let all = wave.status.as_ref().map(|status| status.members.as_slice()).unwrap_or_default();
    all.iter().find(|known| known.department == member.department && known.migration == member.migration)
}

/// Where a member stands, or where it stood if it is over and was deleted; none if there is no such migration.
fn stage(context: &Context, wave: &MigrationWave, member: &WaveMember) -> Option<MigrationStage> {
    match found(context, member) {
        Some(found) => Some(stage_of(&found).unwrap_or(MigrationStage::Discovered)),
        None => last_seen(said_of(wave, member).and_then(|known| known.stage)),
    }
}

/// Brings a wave up to date.
///
/// # Errors
/// When the hub does not answer, or the wave changed meanwhile.
pub async fn reconcile(context: Arc<Context>, wave: Arc<MigrationWave>) -> Outcome {
    if wave.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let after = plan(&context, &wave);
    if wave.status.as_ref() != Some(&after) {
        replace_status(&context.cluster(), wave.as_ref(), wave.status.as_ref(), &after).await?;
    }
    Ok(Action::requeue(spread(LOOK, &wave.name_any(), 0)))
}

/// What it says next.
fn plan(context: &Context, wave: &MigrationWave) -> MigrationWaveStatus {
    let (name, spec, now) = (wave.name_any(), &wave.spec, context.clock.now());
    let before = wave.status.clone().unwrap_or_default();
    let members: Vec<Member> = spec
        .members
        .iter()
        .map(|member| Member {
            key: (member.department.clone(), member.migration.clone()),
            stage: stage(context, wave, member),
            admitted: said_of(wave, member).is_some_and(|known| known.admitted),
            waits: found(context, member).is_some_and(|found| waits(&found)),
        })
        .collect();
    let waves: BTreeMap<String, Standing> = context
        .watches
        .waves
        .all()
        .iter()
        .map(|wave| {
            let stages = wave.spec.members.iter().map(|member| stage(context, wave, member)).collect();
            (wave.name_any(), Standing { after: wave.spec.after.clone(), stages })
        })
        .collect();
    let calendar = Calendar::read(&spec.time_zone, &spec.windows, &spec.freezes);
    let window = calendar.as_ref().ok().and_then(|calendar| calendar.window(now, SignedDuration::ZERO));
    let said = calendar.map(|calendar| {
        let count = |number: i32| usize::try_from(number).unwrap_or_default();
        let rules = Rules {
            name: &name,
            max_parallel: count(spec.max_parallel),
            max_failures: count(spec.max_failures),
            paused: spec.paused,
            calendar: &calendar,
        };
        admit(&rules, &members, &waves, now)
    });
    status::wave(&before, wave.metadata.generation, &members, &said, window, now)
}
