//! Makes both sides ready: the target closed and with the schema, and what copying needs.

use clap::Args;
use serde::Serialize;
use tokio::runtime::Handle;

use super::fence::{self, Pair, Sides, connect_both, identity};
use super::inventory::{self, Inventory};
use super::load::Load;
use super::record::{Mode, SourceRecord, TargetRecord};
use super::stream::{Stream, Way, tables};
use super::{findings, fingerprint, gate, roles, sql, switch};
use crate::control::Control;
use crate::database::Server;
use crate::database::login::Login;
use crate::error::{Result, WorkerError};
use crate::mover::{Finding, Mark, Severity, State, blocking};

/// How the rows come over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum WantedMode {
    /// Replication, unless there are large objects or unlogged tables.
    #[default]
    Auto,
    /// The source stays in use until the freeze.
    Replication,
    /// Everything is copied under the freeze.
    Dump,
}

/// How the target's server reaches the source.
#[derive(Clone, Debug, Args)]
pub struct WayArgs {
    /// File with the login by which the target's server reaches the source, if that is another one.
    #[arg(long, value_name = "FILE")]
    pub replication_file: Option<std::path::PathBuf>,
    /// File at the target's server with the authority of the source's certificate. Without it the way is encrypted, and the target does
    /// not know whose server answers.
    #[arg(long, value_name = "PATH")]
    pub replication_ca_path: Option<String>,
}

impl WayArgs {
    pub(super) fn way(&self, sides: &Sides) -> Result<Way> {
        let login = match &self.replication_file {
            Some(file) => Login::read("--replication-file", file)?,
            None => Login::read("--source-database-file", &sides.source_database_file)?,
        };
        Ok(Way { login, ca_path: self.replication_ca_path.clone() })
    }
}

/// What to prepare.
#[derive(Clone, Debug, Args)]
pub struct PrepareArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// The way between them.
    #[command(flatten)]
    pub way: WayArgs,
    /// How the rows come over.
    #[arg(long, value_enum, default_value_t = WantedMode::Auto)]
    pub mode: WantedMode,
    /// Role of the target that everything will belong to; the roles and rights of the source are then left out.
    #[arg(long, value_name = "ROLE")]
    pub owner: Option<String>,
    /// Role that an application logs in with, besides those that are found; may be given several times.
    #[arg(long, value_name = "ROLE")]
    pub application_role: Vec<String>,
}

/// What was found and made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "whether it is prepared is what readers of the report look for")]
pub(super) struct Prepared {
    #[serde(flatten)]
    mark: Mark,
    mode: Mode,
    prepared: bool,
    findings: Vec<Finding>,
    inventory: Inventory,
    applications: Vec<String>,
    made: Vec<String>,
    /// What proves that the target is closed.
    closed: Vec<String>,
}

/// Prepares both sides; what blocks is in the report and the error.
pub(super) fn prepare(args: &PrepareArgs, runtime: &Handle, control: &Control) -> Result<(Prepared, Result<()>)> {
    control.enter("preparing");
    let sides = &args.sides;
    let way = args.way.way(sides)?;
    let (source, target) = connect_both(sides, runtime, control)?;
    let inventory =
        inventory::look(&source, &args.application_role, &gate::ours(&source, std::slice::from_ref(&way.login.user))?)?;
    let earlier = fence::read::<TargetRecord>(&target)?;
    let mode = match (args.mode, &earlier) {
        (WantedMode::Replication, _) => Mode::Replication,
        (WantedMode::Dump, _) => Mode::Dump,
        (WantedMode::Auto, Some(record)) => record.mode,
        (WantedMode::Auto, None) => findings::mode(&inventory),
    };
    let mut found = findings::of_source(&inventory, mode);
    found.extend(held_against(&inventory, &target, mode)?);
    found.extend(way_is_known(&way, args));
    if let Some(owner) = &args.owner
        && !gate::has_role(&target, owner)?
    {
        return Err(WorkerError::input(
            "--owner",
            format!("\"{owner}\" is no role of the target"),
            "create it, or name one that exists",
        ));
    }
    let mark = Mark::begun(&sides.ticket);
    let applications: Vec<String> = inventory.applications.iter().map(|application| application.role.clone()).collect();
    let admitted = args.owner.as_ref().map_or(applications.as_slice(), std::slice::from_ref);
    found.extend(cannot_be_kept_out(&target, admitted)?);
    found.extend(used_elsewhere(&target, admitted)?);
    let mut report = Prepared {
        mark: mark.clone(),
        mode,
        prepared: false,
        findings: found,
        inventory,
        applications: applications.clone(),
        made: Vec::new(),
        closed: Vec::new(),
    };
    // Nothing is made where something blocks, unless it is there already.
    if earlier.is_none()
        && let Some(blocked) = blocking(&report.findings)
    {
        return Ok((report, Err(blocked)));
    }
    let record = SourceRecord { mark: mark.clone(), other: identity(&target), freeze: None };
    // A source that belongs to another migration is known before anything is made at the target.
    admit(
        fence::read::<SourceRecord>(&source)?.map(|record| record.mark),
        &format!("source {}", source.login.shown()),
        sides,
    )?;
    admit(earlier.map(|record| record.mark), &format!("target {}", target.login.shown()), sides)?;
    if fence::claim(&source, &record)? {
        report.made.push("record of the source".to_owned());
    }
    let record = TargetRecord {
        mark,
        other: identity(&source),
        mode,
        owner: args.owner.clone(),
        replication_role: way.login.user.clone(),
        loaded: false,
        prepared: false,
        schema: fingerprint::Schema::new(),
        made_roles: Vec::new(),
        applications: Vec::new(),
        copied: (0, 0),
        complete: None,
        was_open: false,
        known: None,
        finished: None,
    };
    if fence::claim(&target, &record)? {
        report.made.push("record of the target".to_owned());
    }
    let pair = Pair::hold(sides, (source, target), control)?;
    // In the freeze nothing is prepared, and nothing may keep `thaw` and `close` from their work.
    still_following(&pair)?;
    if let Some(blocked) = blocking(&report.findings) {
        pair.target.change("", |record| record.prepared = false)?;
        return Ok((report, Err(blocked)));
    }
    make(&pair, args, &way, &applications, &mut report, control)?;
    Ok((report, Ok(())))
}

/// What a target is to a source: whether it can take it, and whether it is empty or of a migration.
pub(super) fn held_against(source: &Inventory, target: &Server, mode: Mode) -> Result<Vec<Finding>> {
    let there = inventory::look(target, &[], &gate::ours(target, &[])?)?;
    let offered: Vec<String> = target.rows("SELECT name FROM pg_available_extensions")?.into_iter().flatten().collect();
    let mut found = findings::of_target(source, &there, &offered, mode);
    let ours = fence::read::<TargetRecord>(target)?.is_some();
    let things = if ours { Vec::new() } else { inventory::things(target)? };
    if !things.is_empty() {
        found.push(Finding {
            code: "TargetNotEmpty",
            severity: Severity::Blocking,
            subject: target.login.shown(),
            evidence: format!("it holds {}", gate::first(&things)),
            remedy: "name an empty database".to_owned(),
        });
    }
    Ok(found)
}

fn admit(mark: Option<Mark>, side: &str, sides: &Sides) -> Result<()> {
    mark.map_or(Ok(()), |mark| mark.admit(side, &sides.ticket))
}

/// Roles that get the target, and that nothing would keep out of it before.
fn cannot_be_kept_out(target: &Server, admitted: &[String]) -> Result<Vec<Finding>> {
    let rows = target
        .rows(&format!("SELECT rolname FROM pg_roles WHERE rolsuper AND rolname = ANY ({})", sql::texts(admitted)))?;
    let of = |role: String| Finding {
        code: "TargetRoleIsSuperuser",
        severity: Severity::Blocking,
        evidence: format!("{role} is a superuser of the target, and nothing keeps a superuser out"),
        remedy: format!("ALTER ROLE {} NOSUPERUSER there, or prepare with another --owner", sql::name(&role)),
        subject: role,
    };
    Ok(rows.into_iter().flatten().map(of).collect())
}

/// Roles that would be closed at the target, and with it in other databases of its server.
fn used_elsewhere(target: &Server, admitted: &[String]) -> Result<Vec<Finding>> {
    let mut closed = gate::of_owner(target, &gate::ours(target, &[])?)?;
    closed.extend_from_slice(admitted);
    let of = |(role, databases): (String, Vec<String>)| Finding {
        code: "TargetRoleUsedElsewhere",
        severity: Severity::Blocking,
        evidence: gate::used_in(&role, &databases),
        remedy: gate::OF_ITS_OWN.to_owned(),
        subject: role,
    };
    Ok(gate::elsewhere(target, &closed)?.into_iter().map(of).collect())
}

fn way_is_known(way: &Way, args: &PrepareArgs) -> Option<Finding> {
    (way.login.ca.is_some() && args.way.replication_ca_path.is_none()).then(|| Finding {
        code: "SourceNotAuthenticated",
        severity: Severity::Warning,
        subject: way.login.shown(),
        evidence: "the target's server reaches the source encrypted, without knowing whose server answers".to_owned(),
        remedy: "put the authority of the source's certificate into a file at the target's server and give --replication-ca-path".to_owned(),
    })
}

fn still_following(pair: &Pair) -> Result<()> {
    if [pair.source.record()?.mark.state, pair.target.record()?.mark.state] == [State::Following; 2] {
        return Ok(());
    }
    Err(WorkerError::moving(
        "NotFollowing",
        pair.target.shown(),
        "the migration is frozen or open, and there is nothing to prepare",
        "run `thaw` first, or go on",
    ))
}

/// Makes what is not there yet.
fn make(
    pair: &Pair,
    args: &PrepareArgs,
    way: &Way,
    applications: &[String],
    report: &mut Prepared,
    control: &Control,
) -> Result<()> {
    let (source, target) = (&pair.source.server, &pair.target.server);
    let record = pair.target.record()?;
    if record.loaded && record.mode != report.mode {
        return Err(WorkerError::input(
            "--mode",
            "the migration was prepared with the other one",
            "run `drop --data` first, or keep the mode",
        ));
    }
    // Closed before there is anything in it.
    let ours = gate::ours(target, &[])?;
    let admitted = args.owner.clone().map_or_else(|| applications.to_vec(), |owner| vec![owner]);
    let logins = gate::with_login(target, &admitted)?;
    // One that owns the database could let itself in by way of another one, if it could log in.
    pair.target.change(&gate::shut(target, &gate::given(target)?, &logins, &ours), |record| {
        record
            .applications
            .extend(logins.iter().filter(|role| !record.applications.contains(role)).cloned().collect::<Vec<_>>());
    })?;
    let mut able = gate::able(target, &ours)?;
    if !able.is_empty() {
        // They own it, or are members of whoever does.
        pair.target.change(&gate::shut(target, &[], &able, &ours), |record| {
            able.retain(|role| !record.applications.contains(role));
            record.applications.append(&mut able);
        })?;
    }
    report.closed = gate::clear(target, &ours, true, std::time::Duration::from_secs(30), control)?;
    let schema = fingerprint::read(source, control)?;
    if record.loaded {
        accept(pair, &record, &schema, control)?;
    } else {
        load(pair, args, applications, report, control)?;
        let there = fingerprint::read(target, control)?;
        let different =
            if source.major == target.major { fingerprint::differences(&schema, &there) } else { Vec::new() };
        if !different.is_empty() {
            report.findings.push(Finding {
                code: "SchemaDiffers",
                severity: Severity::Warning,
                subject: pair.target.shown(),
                evidence: different.join(", "),
                remedy: "see whether the application minds".to_owned(),
            });
        }
    }
    if report.mode == Mode::Replication {
        let stream = Stream::of(pair);
        if stream.publish(source, &tables(source)?)? {
            report.made.push(format!("publication {} of the source", stream.name));
        }
        if stream.subscribe(target, way)? {
            report.made.push(format!("subscription {} of the target", stream.name));
        } else if record.schema != schema && stream.subscription(target)?.is_some_and(|(_, enabled)| enabled) {
            stream.refresh(target)?;
        }
    }
    let record = pair.target.change("", |record| {
        if record.schema != schema {
            // What was read of rows that were otherwise says nothing.
            record.known = None;
        }
        (record.loaded, record.prepared, record.mode, record.schema) = (true, true, report.mode, schema);
        record.replication_role.clone_from(&way.login.user);
        let more: Vec<String> = admitted.iter().filter(|role| !record.applications.contains(role)).cloned().collect();
        record.applications.extend(more);
    })?;
    (report.mark, report.prepared, report.applications) = (record.mark, true, record.applications);
    Ok(())
}

fn load(
    pair: &Pair,
    args: &PrepareArgs,
    applications: &[String],
    report: &mut Prepared,
    control: &Control,
) -> Result<()> {
    let (source, target) = (&pair.source.server, &pair.target.server);
    if args.owner.is_none() {
        let (statements, made, found) = roles::make(source, target, applications)?;
        report.made.extend(made.iter().map(|role| format!("role {role} of the target, without login")));
        report.findings.extend(found);
        sql::quiet(target);
        pair.target.change(&statements, |record| record.made_roles.extend(made))?;
    }
    if !inventory::things(target)?.is_empty() {
        // It was empty when the migration came: what is in it now was loaded by a process that was killed. One that had subscribed
        // already holds the tables: while they are to be copied, nobody may drop them.
        let stream = Stream::of(pair);
        if stream.subscription(target)?.is_some() {
            target.rows(&stream.unsubscribe())?;
        }
        switch::wipe(target)?;
    }
    Load::new(source, &pair.sides.databases, control)?.schema(source, target, args.owner.as_deref())?;
    report.made.push("schema of the target".to_owned());
    Ok(())
}

/// A schema that changed since it was loaded is taken as it is once the target has it too.
fn accept(pair: &Pair, record: &TargetRecord, schema: &fingerprint::Schema, control: &Control) -> Result<()> {
    let changed = fingerprint::differences(&record.schema, schema);
    if changed.is_empty() {
        return Ok(());
    }
    let missing = fingerprint::differences(&fingerprint::read(&pair.target.server, control)?, schema);
    if missing.is_empty() {
        return Ok(());
    }
    Err(changed_schema(pair, &changed))
}

/// The schema of the source is not what was loaded.
pub(super) fn changed_schema(pair: &Pair, changed: &[String]) -> WorkerError {
    WorkerError::moving(
        "SchemaChanged",
        pair.source.shown(),
        format!("its schema is not the one that was loaded: {}", changed.join(", ")),
        "undo the change, or make it at the target as well and run `prepare` again; `drop --data` and a new `prepare` do too",
    )
}
