//! Closes the source to applications first, and then proves it; opens it again as it was.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::runtime::Handle;

use super::copy::same_schema;
use super::fence::{Pair, Sides};
use super::gate::{self, Doors};
use super::record::{Finished, Freeze, Mode, SourceRecord, TargetRecord};
use super::stream::Stream;
use super::watch;
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::mover::{Mark, State, Strength};

/// How to close the source.
#[derive(Clone, Debug, Args)]
pub struct FreezeArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// Role that an application logs in with, besides those that are found; may be given several times.
    #[arg(long, value_name = "ROLE")]
    pub application_role: Vec<String>,
    /// MiB by which the target may be behind for the source to be closed.
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    pub max_lag_mib: u64,
    /// Seconds in which sessions must end and the target must catch up.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub patience_seconds: u64,
}

/// What a freeze came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frozen {
    #[serde(flatten)]
    mark: Mark,
    strength: Strength,
    at: String,
    /// Place in the source's log after the last commit of an application.
    position: String,
    /// Roles that cannot log in any more.
    closed: Vec<String>,
    evidence: Vec<String>,
}

/// Closes the source.
pub(super) fn freeze(args: &FreezeArgs, runtime: &Handle, control: &Control) -> Result<Frozen> {
    let pair = Pair::open(&args.sides, runtime, control)?;
    control.enter("freezing");
    let (source, patience) = (&pair.source.server, Duration::from_secs(args.patience_seconds));
    let record = pair.target.record()?;
    if record.mark.state == State::Open {
        return again(&pair);
    }
    let ours = gate::ours(source, std::slice::from_ref(&record.replication_role))?;
    let stream = Stream::of(&pair);
    let before = pair.source.record()?.freeze;
    if before.is_none() {
        // Everything that can be refused is refused while applications still work.
        may_close(&pair, &record, &stream, args, control)?;
    }
    let applications = gate::applications(source, &args.application_role, &ours)?;
    gate::refuse(source, &applications)?;
    let roles: Vec<String> = applications.into_iter().map(|application| application.role).collect();
    close(&pair, &roles, &ours)?;
    let mut evidence = gate::clear(source, &ours, false, patience, control)?;
    let frozen = fix(&pair)?;
    let position = frozen.freeze.as_ref().and_then(|freeze| freeze.lsn.clone()).unwrap_or_default();
    if record.mode == Mode::Replication {
        evidence.push(stream.settle(&pair, &position, patience, control)?);
    }
    // After everything else was seen, still so.
    gate::prove(source, &ours, false)?;
    pair.target.change("", |record| record.mark.state = State::Frozen)?;
    let freeze = frozen.freeze.unwrap_or_else(|| Freeze { at: String::new(), lsn: None, before: Doors::default() });
    Ok(Frozen {
        mark: frozen.mark,
        strength: Strength::Proven,
        at: freeze.at,
        position,
        closed: freeze.before.logins,
        evidence,
    })
}

/// Applications have the target: nothing is closed anew, the source is held against its freeze once more.
fn again(pair: &Pair) -> Result<Frozen> {
    let (position, evidence) = still_frozen(pair)?;
    let record = pair.source.record()?;
    let freeze = record.freeze.unwrap_or_else(|| Freeze { at: String::new(), lsn: None, before: Doors::default() });
    Ok(Frozen {
        mark: record.mark,
        strength: Strength::Proven,
        at: freeze.at,
        position,
        closed: freeze.before.logins,
        evidence,
    })
}

fn is_open(pair: &Pair) -> WorkerError {
    WorkerError::moving("TargetOpen", pair.target.shown(), "applications have it", "`close` it first, or leave it")
}

fn may_close(pair: &Pair, record: &TargetRecord, stream: &Stream, args: &FreezeArgs, control: &Control) -> Result<()> {
    let told = |problem: String, fix: &str| Err(WorkerError::moving("NotInStep", pair.target.shown(), problem, fix));
    let source = &pair.source.server;
    if record.was_open {
        return told("applications had it, and it is no copy any more".to_owned(), "run `copy --discard-writes`");
    }
    if record.mode == Mode::Replication {
        let not_ready = stream.states(&pair.target.server)?.into_iter().filter(|(_, state)| *state != 'r');
        let not_ready: Vec<String> = not_ready.map(|(name, _)| name).collect();
        if record.complete.is_none() || !not_ready.is_empty() {
            return told(
                format!("not everything was copied yet: {}", gate::first(&not_ready)),
                "run `copy` to its end",
            );
        }
        let slot = stream.slot(source)?.filter(|slot| !slot.lost).ok_or_else(|| stream.gone(source))?;
        if slot.lag > args.max_lag_mib << 20 {
            return told(
                format!("it is {} bytes behind", slot.lag),
                "wait until it is in step, or raise --max-lag-mib",
            );
        }
        if !stream.subscription(&pair.target.server)?.is_some_and(|(_, enabled)| enabled) {
            return told("it does not follow".to_owned(), "run `copy`");
        }
    }
    let prepared = source
        .rows("SELECT format('%L of %s', gid, owner) FROM pg_prepared_xacts WHERE database = current_database()")?;
    if let Some(first) = prepared.into_iter().flatten().next() {
        return Err(WorkerError::moving(
            "PreparedTransaction",
            pair.source.shown(),
            format!("the transaction {first} is prepared and could be committed at any time"),
            "COMMIT PREPARED or ROLLBACK PREPARED it",
        ));
    }
    same_schema(pair, record, control)
}

/// Takes the way in from everybody, in the transaction that remembers what it was.
fn close(pair: &Pair, roles: &[String], ours: &[String]) -> Result<()> {
    let source = &pair.source.server;
    let given = gate::given(source)?;
    let logins = gate::with_login(source, roles)?;
    let before = pair.source.record()?.freeze.map(|freeze| freeze.before);
    let remembered = match before {
        None => Doors { connect: given.clone(), logins: logins.clone() },
        // A process before this one closed it; what came since is closed too.
        Some(mut before) => {
            before
                .logins
                .extend(logins.iter().filter(|role| !before.logins.contains(role)).cloned().collect::<Vec<_>>());
            before
        }
    };
    pair.source.change(&gate::shut(source, &given, &logins, ours), |record| {
        record.mark.state = State::Frozen;
        let freeze = record.freeze.get_or_insert_with(|| Freeze {
            at: Timestamp::now().to_string(),
            lsn: None,
            before: Doors::default(),
        });
        freeze.before = remembered;
    })?;
    Ok(())
}

/// Fixes the place in the log after which nothing of applications can come.
fn fix(pair: &Pair) -> Result<SourceRecord> {
    let record = pair.source.record()?;
    if record.freeze.as_ref().is_some_and(|freeze| freeze.lsn.is_some()) {
        return Ok(record);
    }
    // Commits that did not wait for the disk are on it once this one is, and only then are they sent.
    pair.source.change("", |_| {})?;
    let lsn = pair.source.server.one("SELECT pg_current_wal_flush_lsn()")?;
    pair.source.change("", |record| {
        if let Some(freeze) = &mut record.freeze {
            freeze.lsn = Some(lsn);
        }
    })
}

/// The freeze in force, proved again.
pub(super) fn still_frozen(pair: &Pair) -> Result<(String, Vec<String>)> {
    let record = pair.source.record()?;
    let lsn = record.freeze.and_then(|freeze| freeze.lsn).filter(|_| record.mark.state != State::Following);
    let Some(lsn) = lsn else {
        return Err(WorkerError::moving("NotFrozen", pair.source.shown(), "it is in use", "run `freeze` first"));
    };
    let ours = gate::ours(&pair.source.server, &[pair.target.record()?.replication_role])?;
    Ok((lsn, gate::prove(&pair.source.server, &ours, false)?))
}

/// What to open again.
#[derive(Clone, Debug, Args)]
pub struct ThawArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// MiB of its log that the source may keep for a later copy: the slot is kept where its server itself holds it to that.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub wal_budget_mib: Option<u64>,
}

/// What a thaw came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thawed {
    #[serde(flatten)]
    mark: Mark,
    at: String,
    restored: Vec<String>,
    /// What proves that the target is closed.
    closed: Vec<String>,
    /// What applications wrote at the target and the source does not have, if they had it.
    loses: Option<String>,
    /// What was given up of the copy, so that the source's disk does not fill while nothing follows.
    released: Option<String>,
}

/// Opens the source as it was, once the target is proved closed.
pub(super) fn thaw(args: &ThawArgs, runtime: &Handle, control: &Control) -> Result<Thawed> {
    let pair = Pair::open(&args.sides, runtime, control)?;
    control.enter("thawing");
    let (source, target) = (&pair.source.server, &pair.target.server);
    let record = pair.target.record()?;
    if record.mark.state == State::Open {
        return Err(is_open(&pair));
    }
    let closed = gate::prove(target, &gate::ours(target, &[])?, true)?;
    let of_source = pair.source.record()?;
    let mut restored = Vec::new();
    let mut statements = String::new();
    if let Some(freeze) = &of_source.freeze {
        statements = gate::reopen(source, &freeze.before, &gate::given(source)?);
        let given = freeze.before.connect.iter().map(|given| given.to.as_deref().unwrap_or("PUBLIC").to_owned());
        restored.push(format!("CONNECT for {}", gate::first(&given.collect::<Vec<_>>())));
        restored.push(format!("LOGIN for {}", gate::first(&freeze.before.logins)));
    }
    // Nobody opens the target after this: `open` asks the source's record, and both sides are held.
    let frozen_at = of_source.freeze.map(|freeze| freeze.at);
    let of_source = pair.source.change(&statements, |record| {
        record.mark.state = State::Following;
        record.freeze = None;
    })?;
    pair.target.change("", |record| {
        record.mark.state = State::Following;
        record.finished = None;
    })?;
    let loses = record.was_open.then(|| match (&record.finished, frozen_at) {
        (Some(Finished { lsn, .. }), _) => {
            format!("everything that was written at the target since the source's {lsn}")
        }
        (None, Some(at)) => format!("everything that was written at the target since {at}"),
        (None, None) => "what was written at the target".to_owned(),
    });
    let at = Timestamp::now().to_string();
    // Applications are back at work before anything is waited for.
    let released = watch::release(&pair, &Stream::of(&pair), args.wal_budget_mib, control)?;
    Ok(Thawed { mark: of_source.mark, at, restored, closed, loses, released })
}
