//! The databases of a drill: made by the process of each part on the server that the site names, and removed by a process of their own
//! before the drill ends.

use kube::ResourceExt;
use zhengyun_crds::site::DrillServer;
use zhengyun_crds::{Reason, RecoveryDrill};
use zhengyun_domain::recovery::drill::{Made, Removal, drill_server, made, made_none, removal, scratch_database};
use zhengyun_domain::recovery::run::Order;

use super::super::Context;
use super::super::recovery::order::{Refusal, refused};
use super::super::recovery::{RESTORER, Recovery, database, reach, run_id};
use super::run_of;
use crate::executor::{RunId, Task};
use crate::runtime::controller::ReconcileError;

/// What became of the databases of a drill.
pub(super) enum Ended {
    /// None of them is there, each with the check that showed it.
    Gone(Vec<String>),
    /// They are being removed; and what stands in the way, if something does.
    Ahead(Option<String>),
}

/// The server for a drill, if its site names one that may be used.
pub(super) fn needed(context: &Context, drill: &RecoveryDrill) -> Result<DrillServer, Refusal> {
    let site = &drill.spec.site;
    let named = named(context, site);
    let server = drill_server(site, named.as_ref(), &reach::declared(context)).cloned().map_err(Refusal::Final)?;
    let before = drill.status.as_ref().map(made).unwrap_or_default();
    if before.iter().any(|made| name(drill, made.part, &server) != made.name) {
        let message = format!(
            "/spec/site: spec.drillServer of site {site} names another server than when the drill began: hold another drill"
        );
        return Err(refused(Reason::Invalid, message));
    }
    Ok(server)
}

fn named(context: &Context, site: &str) -> Option<DrillServer> {
    context.watches.sites.get(site)?.spec.drill_server.clone()
}

/// The database of a part.
pub(super) fn name(drill: &RecoveryDrill, part: usize, server: &DrillServer) -> String {
    scratch_database(&drill.uid().unwrap_or_default(), part, server)
}

/// The process that removes the databases of a drill.
pub(super) fn removal_of(drill: &RecoveryDrill) -> Result<RunId, ReconcileError> {
    run_id(drill.uid().as_deref(), "drill-databases")
}

/// Tells a process how the server is reached; or says what is missing.
pub(super) async fn tell(
    context: &Context,
    recovery: &Recovery,
    site: &str,
    server: &DrillServer,
    task: &mut Task,
) -> Result<Result<(), String>, ReconcileError> {
    let declared = database::of_drill_server(site, server);
    let login = match declared.login(context, recovery.databases()).await? {
        Ok(login) => login,
        Err(message) => return Ok(Err(message)),
    };
    database::policy(recovery, task);
    task.option("--server-named-by", declared.place()).secret("--target-database-file", "target-database", login);
    Ok(Ok(()))
}

/// Removes the databases of a drill, if it made any, one step at a time. Nobody writes to them any more.
pub(super) async fn end(
    context: &Context,
    recovery: &Recovery,
    drill: &RecoveryDrill,
) -> Result<Ended, ReconcileError> {
    let (mut checks, mut standing) = (Vec::new(), Vec::new());
    for Made { part, name } in drill.status.as_ref().map(made).unwrap_or_default() {
        if made_none(&recovery.observe(&run_of(drill, part)?).await?) {
            checks.push(format!("database {name} for drills: never made"));
        } else {
            standing.push((part, name));
        }
    }
    if standing.is_empty() {
        return Ok(Ended::Gone(checks));
    }
    let names: Vec<&str> = standing.iter().map(|(_, name)| name.as_str()).collect();
    let run = removal_of(drill)?;
    let (order, why) = match removal(&names, &recovery.observe(&run).await?) {
        Removal::Gone(gone) => {
            checks.extend(gone);
            return Ok(Ended::Gone(checks));
        }
        Removal::Ahead(order, why) => (order, why),
    };
    match order {
        Order::Start => {
            if let Err(message) = start(context, recovery, drill, &standing, &run).await? {
                return Ok(Ended::Ahead(Some(message)));
            }
        }
        Order::Kill => recovery.kill(&run).await?,
        Order::Wait | Order::StartLater | Order::Cancel | Order::Nothing => {}
    }
    Ok(Ended::Ahead(why))
}

/// Starts the process that removes them, or says why it cannot be.
async fn start(
    context: &Context,
    recovery: &Recovery,
    drill: &RecoveryDrill,
    standing: &[(usize, String)],
    run: &RunId,
) -> Result<Result<(), String>, ReconcileError> {
    let site = &drill.spec.site;
    // What stands in an object decides nothing about what is removed: it must be the name that this server makes.
    let is_there = |server: &DrillServer| standing.iter().all(|(part, made)| name(drill, *part, server) == *made);
    let Some(server) = named(context, site).filter(is_there) else {
        let names: Vec<&str> = standing.iter().map(|(_, name)| name.as_str()).collect();
        return Ok(Err(format!(
            "the database {} of this drill is on another server than spec.drillServer of site {site} names now: the cloud administrator names the one that it was",
            names.join(", ")
        )));
    };
    let mut task = Task::of(RESTORER, "remove-databases");
    for (_, name) in standing {
        task.option("--scratch", name);
    }
    if let Err(message) = tell(context, recovery, site, &server, &mut task).await? {
        return Ok(Err(message));
    }
    recovery.start(run, task).await?;
    Ok(Ok(()))
}
