//! Gives the target to applications, takes it back, and takes away what the migration made.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::runtime::Handle;

use super::fence::{self, Pair, Sides, connect_both};
use super::freeze::still_frozen;
use super::record::{Mode, SourceRecord, TargetRecord};
use super::sql::{SCHEMA, name};
use super::stream::Stream;
use super::{gate, inventory, roles};
use crate::control::Control;
use crate::database::Server;
use crate::error::{Result, WorkerError};
use crate::mover::{Mark, State, Strength};

/// How long sessions may take to end.
const ENDING: Duration = Duration::from_secs(30);

/// What opening came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Opened {
    #[serde(flatten)]
    mark: Mark,
    at: String,
    strength: Strength,
    position: String,
    digest: String,
    /// Roles that may log in and connect.
    applications: Vec<String>,
    evidence: Vec<String>,
}

/// Gives the target to applications.
pub(super) fn open(sides: &Sides, runtime: &Handle, control: &Control) -> Result<Opened> {
    let pair = Pair::open(sides, runtime, control)?;
    control.enter("opening");
    let (target, stream) = (&pair.target.server, Stream::of(&pair));
    let record = pair.target.record()?;
    let not_finished = || {
        WorkerError::moving(
            "NotFinished",
            pair.target.shown(),
            "both sides were not found equal under this freeze",
            "run `finish` first",
        )
    };
    let finished = record.finished.clone().ok_or_else(not_finished)?;
    let (position, mut evidence) = still_frozen(&pair)?;
    if finished.lsn != position {
        // They were equal under a freeze before this one.
        return Err(not_finished());
    }
    if record.mark.state != State::Open {
        if record.mode == Mode::Replication && !record.was_open {
            evidence.push(stream.settle(&pair, &finished.lsn, ENDING, control)?);
        }
        evidence.extend(gate::prove(target, &gate::ours(target, &[])?, true)?);
    }
    let mut statements = admit(target, &record.applications);
    if stream.subscription(target)?.is_some() {
        // Nothing of the source's is written into a target that is open.
        statements.push(stream.unsubscribe());
    }
    let record = pair.target.change(&statements.join("; "), |record| {
        record.mark.state = State::Open;
        (record.was_open, record.known) = (true, None);
    })?;
    let at = Timestamp::now().to_string();
    pair.source.change("", |record| record.mark.state = State::Open)?;
    // Nobody reads it any more.
    stream.drop_slot(&pair.source.server, control)?;
    Ok(Opened {
        mark: record.mark,
        at,
        strength: Strength::Proven,
        position: finished.lsn,
        digest: finished.digest,
        applications: record.applications,
        evidence,
    })
}

fn admit(target: &Server, applications: &[String]) -> Vec<String> {
    let database = name(&target.login.database);
    let each = |role: &String| format!("GRANT CONNECT ON DATABASE {database} TO {0}; ALTER ROLE {0} LOGIN", name(role));
    applications.iter().map(each).collect()
}

/// What closing came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Closed {
    #[serde(flatten)]
    mark: Mark,
    at: String,
    strength: Strength,
    evidence: Vec<String>,
}

/// Takes the target from applications, and proves it.
pub(super) fn close(sides: &Sides, runtime: &Handle, control: &Control) -> Result<Closed> {
    let pair = Pair::open(sides, runtime, control)?;
    control.enter("closing");
    let target = &pair.target.server;
    let ours = gate::ours(target, &[])?;
    let logins = gate::with_login(target, &pair.target.record()?.applications)?;
    let record =
        pair.target.change(&gate::shut(target, &gate::given(target)?, &logins, &ours), |record| record.mark.taken())?;
    let evidence = gate::clear(target, &ours, true, ENDING, control)?;
    pair.source.change("", |record| record.mark.taken())?;
    Ok(Closed { mark: record.mark, at: Timestamp::now().to_string(), strength: Strength::Proven, evidence })
}

/// What to take away.
#[derive(Clone, Debug, Args)]
pub struct DropArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// What was copied too, and roles that nothing else needs.
    #[arg(long)]
    pub data: bool,
}

/// What was taken away.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dropped {
    removed: Vec<String>,
    stays: Vec<String>,
}

/// Takes away everything that the migration made but what it copied.
pub(super) fn drop_all(args: &DropArgs, runtime: &Handle, control: &Control) -> Result<Dropped> {
    let (source, target) = connect_both(&args.sides, runtime, control)?;
    let (of_source, of_target) = (fence::read::<SourceRecord>(&source)?, fence::read::<TargetRecord>(&target)?);
    control.enter("removing");
    let mut dropped = Dropped::default();
    if of_source.is_none() || of_target.is_none() {
        // One of both was taken away by a process that was killed; the other goes now. The target's goes last.
        let marks = of_source.map(|record| record.mark).into_iter().chain(of_target.map(|record| record.mark));
        for mark in marks {
            mark.admit("the migration", &args.sides.ticket)?;
        }
        for server in [&source, &target] {
            forget(server, &mut dropped)?;
        }
        return Ok(dropped);
    }
    let pair = Pair::hold(&args.sides, (source, target), control)?;
    let (source, target, record) = (&pair.source.server, &pair.target.server, pair.target.record()?);
    let freeze = pair.source.record()?;
    may_go(&pair, args, &record, &freeze)?;
    dropped.removed = Stream::of(&pair).remove(source, target, control)?;
    let open = record.mark.state == State::Open;
    if let Some(freeze) = freeze.freeze {
        let given: Vec<String> =
            freeze.before.connect.iter().map(|given| given.to.clone().unwrap_or_else(|| "PUBLIC".to_owned())).collect();
        dropped.stays.push(format!(
            "the source is closed: before, {} had CONNECT, and {} LOGIN",
            gate::first(&given),
            gate::first(&freeze.before.logins)
        ));
    }
    if args.data {
        wipe(target)?;
        dropped.removed.push(format!("everything in {}", target.login.shown()));
        let (gone, stay) = roles::remove(target, &record.made_roles)?;
        dropped.removed.extend(gone.into_iter().map(|role| format!("role {role} of the target")));
        dropped
            .stays
            .extend(stay.into_iter().map(|role| format!("role {role} of the target: another database uses it")));
    } else {
        dropped.stays.push(format!("what was copied, in {}", target.login.shown()));
    }
    if !open {
        // Whoever could come in before, but roles that the migration made.
        let back: Vec<String> =
            record.applications.iter().filter(|role| !record.made_roles.contains(role)).cloned().collect();
        let back = gate::existing(target, &back)?;
        pair.target.change(&admit(target, &back).join("; "), |_| {})?;
    }
    forget(source, &mut dropped)?;
    forget(target, &mut dropped)?;
    Ok(dropped)
}

fn may_go(pair: &Pair, args: &DropArgs, record: &TargetRecord, of_source: &SourceRecord) -> Result<()> {
    if record.mark.state == State::Open && args.data {
        return Err(WorkerError::moving(
            "TargetOpen",
            pair.target.shown(),
            "applications have it, and --data would delete what they work on",
            "close it first, or leave --data out",
        ));
    }
    if of_source.freeze.is_some() && record.mark.state != State::Open {
        return Err(WorkerError::moving(
            "SourceFrozen",
            pair.source.shown(),
            "it was closed by this migration, and nothing would remember how it was",
            "run `thaw` first",
        ));
    }
    Ok(())
}

fn forget(server: &Server, dropped: &mut Dropped) -> Result<()> {
    if server.one(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{SCHEMA}'"))? != "0" {
        server.rows(&format!("DROP SCHEMA {SCHEMA} CASCADE"))?;
        dropped.removed.push(format!("records in {}", server.login.shown()));
    }
    Ok(())
}

/// Takes away everything that is in a database, but extensions that were there.
pub(super) fn wipe(target: &Server) -> Result<()> {
    let schemas = target.rows(
        "SELECT quote_ident(n.nspname), n.nspname = 'public' FROM pg_namespace n WHERE n.nspname !~ '^pg_' \
         AND n.nspname NOT IN ('information_schema', 'zhengyun_move') \
         AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')",
    )?;
    let mut statements = vec!["SELECT lo_unlink(oid) FROM pg_largeobject_metadata".to_owned()];
    for row in &schemas {
        let (schema, is_public) = (super::sql::field(row, 0), super::sql::field(row, 1) == "t");
        statements.push(format!("DROP SCHEMA {schema} CASCADE"));
        if is_public {
            statements.push("CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC".to_owned());
            if target.major >= 15 {
                statements.push("ALTER SCHEMA public OWNER TO pg_database_owner".to_owned());
            } else {
                statements.push("GRANT CREATE ON SCHEMA public TO PUBLIC".to_owned());
            }
        }
    }
    target.rows(&statements.join("; "))?;
    let left = inventory::things(target)?;
    if left.is_empty() { Ok(()) } else { Err(target.failed("NotRemoved", gate::first(&left), "drop what is named")) }
}
