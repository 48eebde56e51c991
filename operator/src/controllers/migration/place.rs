//! Where a workload is in its room and where it goes: what the administrator declared on the room and on the site, and nothing else.

use std::collections::BTreeMap;

use kube::ResourceExt;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{
    Blocker, HostedSystem, MachineRoom, MigrationSource, MigrationTarget, Party, RoomFiles, SystemMigration, Workload,
};
use zhengyun_crds::recovery::FileSource;
use zhengyun_domain::eligibility;
use zhengyun_domain::migration::gate::blocker;
use zhengyun_domain::migration::names::Names;
use zhengyun_domain::recovery::files::{self, Known, NoPlace, Use};
use zhengyun_domain::recovery::run::Fault;

use super::super::recovery::order::Refusal;
use super::super::{Context, department_of};
use crate::controllers::recovery::database::{self, Declared};
use crate::controllers::recovery::{self, Recovery, folders};

/// One side of a workload.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// A folder of this machine.
    Files(String),
    /// A database.
    Database(Declared),
}

impl Side {
    fn named(&self, names: &mut Names, name: &str) {
        match self {
            Self::Files(path) => names.folder(path, name),
            Self::Database(declared) => {
                let (host, port, database) = declared.address();
                names.database(host, port, database, name);
            }
        }
    }
}

/// What stands for where its workloads are when movers say it: the room or site, and the name that it declares.
pub(super) fn names(context: &Context, migration: &SystemMigration) -> Names {
    let mut names = Names::default();
    for workload in &migration.spec.workloads {
        if let Ok(side) = source(context, migration, workload) {
            let name = match &workload.source {
                MigrationSource::Database(from) => from.endpoint.clone(),
                MigrationSource::Files(from) => below(&from.root, &from.subpath),
            };
            side.named(&mut names, &format!("{}:{name}", migration.spec.room));
        }
        if let (Ok(side), Some(to)) = (target(context, migration, workload, false), &workload.target) {
            let (site, name) = match to {
                MigrationTarget::Database(to) => (&to.site, to.endpoint.clone()),
                MigrationTarget::Files(to) => (&to.site, below(&to.root, &to.subpath)),
            };
            side.named(&mut names, &format!("{site}:{name}"));
        }
    }
    names
}

fn below(root: &str, subpath: &str) -> String {
    if subpath.is_empty() { root.to_owned() } else { format!("{root}/{subpath}") }
}

fn refused(owner: Party, reason: Reason, message: impl Into<String>) -> Blocker {
    blocker(reason, owner, message)
}

/// Whether the room hosts the system, and which room that is.
fn room(context: &Context, migration: &SystemMigration) -> Result<std::sync::Arc<MachineRoom>, Blocker> {
    let (namespace, spec) = (migration.namespace().unwrap_or_default(), &migration.spec);
    let department = department_of(&namespace);
    let Some(room) = context.watches.rooms.get(&spec.room) else {
        let message =
            format!("spec.room: there is no machine room {}: the cloud administrator registers it", spec.room);
        return Err(refused(Party::Provider, Reason::SourceRefused, message));
    };
    let hosts = |hosted: &HostedSystem| hosted.department == department && hosted.system == spec.system;
    if !room.spec.systems.iter().any(hosts) {
        let message = format!(
            "spec.room: machine room {} hosts no system {} of department {department}: the cloud administrator adds it to the room's spec.systems",
            spec.room, spec.system
        );
        return Err(refused(Party::Provider, Reason::SourceRefused, message));
    }
    Ok(room)
}

/// Where it is in its room.
pub(super) fn source(context: &Context, migration: &SystemMigration, workload: &Workload) -> Result<Side, Blocker> {
    let room = room(context, migration)?;
    let namespace = migration.namespace().unwrap_or_default();
    let department = department_of(&namespace);
    let at = format!("workload {}", workload.name);
    match &workload.source {
        MigrationSource::Files(from) => files_in_room(context, &room, department, (&at, from)).map(Side::Files),
        MigrationSource::Database(from) => {
            let found = database::declared_in_room(&room, department, (&from.endpoint, &from.database));
            found.map(Side::Database).map_err(|no| told(no, &format!("{at}: source.database: ")))
        }
    }
}

fn files_in_room(
    context: &Context,
    room: &MachineRoom,
    department: &str,
    (at, from): (&str, &RoomFiles),
) -> Result<String, Blocker> {
    let name = room.name_any();
    let declared = BTreeMap::from([(name.clone(), room.spec.sources.clone())]);
    let known = recovery::of(context).map(Recovery::folders).cloned().unwrap_or_default();
    let facts = known.facts();
    let wanted = FileSource { site: name.clone(), root: from.root.clone(), subpath: from.subpath.clone() };
    let asked = Known { department, declared: &declared, folders: &facts };
    let found = files::place(&wanted, &asked, Use::Read).and_then(|place| known.path(&place, Use::Read));
    match found {
        Ok(path) => Ok(path.to_string_lossy().into_owned()),
        Err(NoPlace { field, reason, message }) => {
            let message = of_a_room(&message, &name);
            Err(refused(Party::Provider, reason, format!("{at}: source.files.{field}: {message}")))
        }
    }
}

/// What is said of a site, said of a room: both declare alike.
fn of_a_room(message: &str, room: &str) -> String {
    message
        .replace(&format!("site {room}"), &format!("machine room {room}"))
        .replace("the site's spec.externalSources", "the room's spec.sources")
}

/// A refusal of what backups share, as a blocker.
fn told(refusal: Refusal, at: &str) -> Blocker {
    match refusal {
        Refusal::Final(Fault { reason, message, .. }) => {
            let known = Reason::ALL.iter().copied().find(|known| known.as_str() == reason);
            refused(Party::Provider, known.unwrap_or(Reason::SourceRefused), format!("{at}{message}"))
        }
        Refusal::Waits(message) => refused(Party::Provider, Reason::Pending, format!("{at}{message}")),
    }
}

/// Where it goes: what the site of the grant declares, and may be written to. `lands` is false on the way back, which a grant that is gone
/// meanwhile must not keep from being gone.
pub(super) fn target(
    context: &Context,
    migration: &SystemMigration,
    workload: &Workload,
    lands: bool,
) -> Result<Side, Blocker> {
    let namespace = migration.namespace().unwrap_or_default();
    let department = department_of(&namespace);
    let at = format!("workload {}", workload.name);
    let site = match &workload.target {
        Some(MigrationTarget::Files(to)) => &to.site,
        Some(MigrationTarget::Database(to)) => &to.site,
        None => {
            let message =
                format!("{at}: systems are not retired by this version: no mover closes a source without a target");
            return Err(refused(Party::Provider, Reason::ActionNotAvailable, message));
        }
    };
    if lands {
        may_land(context, migration, &at, site)?;
    }
    match &workload.target {
        Some(MigrationTarget::Files(to)) => {
            let named = format!("{at}: target.files");
            let tree = folders::tree(context, department, to, Use::Write, (&named, "")).map_err(|no| told(no, ""))?;
            Ok(Side::Files(tree.path))
        }
        Some(MigrationTarget::Database(to)) => {
            let found = database::declared_at_site(context, department, (&to.site, &to.endpoint, &to.database));
            found.map(Side::Database).map_err(|no| told(no, &format!("{at}: target.database: ")))
        }
        None => Err(refused(Party::Provider, Reason::ActionNotAvailable, at)),
    }
}

/// The grant must stand at the site, and the site be fit for the system.
fn may_land(context: &Context, migration: &SystemMigration, at: &str, site: &str) -> Result<(), Blocker> {
    let namespace = migration.namespace().unwrap_or_default();
    let grant = migration.spec.grant.as_ref().and_then(|name| context.watches.grants.get_in(&namespace, name));
    let Some(grant) = grant else {
        return Err(refused(Party::Department, Reason::GrantNotFound, "spec.grant names no grant of the department"));
    };
    if grant.spec.site != site {
        let message = format!(
            "{at}: target: {site} is not where grant {} stands: name what site {} declares",
            grant.name_any(),
            grant.spec.site
        );
        return Err(refused(Party::Department, Reason::Invalid, message));
    }
    let system = context.watches.systems.get_in(&namespace, &migration.spec.system);
    let (Some(system), Some(found)) = (system, context.watches.sites.get(site)) else {
        let message = format!("spec.system: the department has no information system {}", migration.spec.system);
        return Err(refused(Party::Department, Reason::SystemNotFound, message));
    };
    match eligibility::unfit(&system.spec, site, &found.spec).into_iter().next() {
        Some((reason, message)) => Err(refused(Party::Department, reason, format!("{at}: {message}"))),
        None => Ok(()),
    }
}
