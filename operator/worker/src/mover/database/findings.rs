//! What the contents of a database mean for its move.

use super::gate;
use super::inventory::{Counted, Inventory, Rights};
use super::record::Mode;
use super::sql::name;
use crate::mover::{Finding, Severity};

use Severity::{Blocking, Info, Warning};

/// The oldest server whose rows can be compared where they are: those before tell numbers with a floating point otherwise.
const OLDEST: u32 = 12;

fn one(code: &'static str, severity: Severity, subject: &str, evidence: impl Into<String>, remedy: &str) -> Finding {
    Finding { code, severity, subject: subject.to_owned(), evidence: evidence.into(), remedy: remedy.to_owned() }
}

fn some(code: &'static str, severity: Severity, found: &Counted, what: &str, remedy: &str) -> Option<Finding> {
    let subject = found.first.first()?;
    let evidence = format!("{} {what}, first: {}", found.count, found.first.join(", "));
    Some(one(code, severity, subject, evidence, remedy))
}

/// How the rows come over, if nobody says it: large objects and unlogged tables are in no stream of changes.
pub(super) fn mode(found: &Inventory) -> Mode {
    if found.large_objects > 0 || found.unlogged.count > 0 { Mode::Dump } else { Mode::Replication }
}

/// What is to be said of a source by itself.
pub(super) fn of_source(found: &Inventory, mode: Mode) -> Vec<Finding> {
    let mut all = of_applications(found);
    all.extend(of_rights(found, mode));
    all.extend(of_contents(found, mode));
    if mode == Mode::Replication {
        all.extend(of_server(found));
    }
    sorted(all)
}

fn sorted(mut all: Vec<Finding>) -> Vec<Finding> {
    all.sort_by_key(|finding| finding.severity as u8);
    all
}

fn of_applications(found: &Inventory) -> Vec<Finding> {
    let mut all = Vec::new();
    for application in &found.applications {
        let role = &application.role;
        if application.superuser {
            let evidence = format!("{role} is a superuser and has {} sessions here", application.sessions);
            let remedy = format!(
                "give the application a role of its own, or ALTER ROLE {} NOSUPERUSER: nothing keeps a superuser out",
                name(role)
            );
            all.push(one("ApplicationIsSuperuser", Blocking, role, evidence, &remedy));
        }
        if application.owns_database {
            let evidence = format!("{role} owns the database, by itself or as a member of {}", found.owner);
            let remedy =
                "ALTER DATABASE ... OWNER TO a role that no application uses: an owner could let itself in again";
            all.push(one("ApplicationOwnsDatabase", Blocking, role, evidence, remedy));
        }
        if !application.elsewhere.is_empty() {
            let evidence = gate::used_in(role, &application.elsewhere);
            all.push(one("RoleUsedElsewhere", Blocking, role, evidence, gate::OF_ITS_OWN));
        }
    }
    all
}

fn of_rights(found: &Inventory, mode: Mode) -> Vec<Finding> {
    let rights = &found.rights;
    let replication = mode == Mode::Dump || rights.replication;
    let mut all: Vec<Finding> =
        lacking("RightsMissing", rights, (replication, "REPLICATION"), "source").into_iter().collect();
    if !rights.superuser {
        let evidence = format!("{} is no superuser and cannot read pg_authid", rights.user);
        all.push(one(
            "PasswordsUnreadable",
            Warning,
            "passwords of roles",
            evidence,
            "set the passwords of the roles at the target",
        ));
    }
    all
}

/// What the mover's user must be able to do on either side; `stream` is what only that side's end of the stream needs.
fn lacking(code: &'static str, rights: &Rights, stream: (bool, &'static str), side: &str) -> Option<Finding> {
    let missing: Vec<&str> = [
        stream,
        (rights.create_role, "CREATEROLE"),
        (rights.sees_all, "pg_read_all_stats"),
        (rights.signals, "pg_signal_backend"),
        (rights.owns_database, "the role that owns the database"),
    ]
    .into_iter()
    .filter_map(|(has, what)| (!has).then_some(what))
    .collect();
    let evidence = format!("{} lacks {}", rights.user, missing.join(", "));
    let remedy = format!("grant them, or log in as a superuser of the {side}");
    (!missing.is_empty()).then(|| one(code, Blocking, &rights.user, evidence, &remedy))
}

fn of_contents(found: &Inventory, mode: Mode) -> Vec<Finding> {
    let streamed = mode == Mode::Replication;
    let hard = if streamed { Blocking } else { Info };
    let mut all: Vec<Finding> = [
        some(
            "UnloggedTable",
            if streamed { Blocking } else { Warning },
            &found.unlogged,
            "unlogged tables, which no stream of changes carries",
            "ALTER TABLE ... SET LOGGED, or move with --mode dump: then everything is copied under the freeze",
        ),
        some(
            "TableWithoutKey",
            hard,
            &found.without_key,
            "tables without a primary key or another replica identity; once published they could not be updated",
            "ALTER TABLE ... REPLICA IDENTITY FULL or USING INDEX, or move with --mode dump",
        ),
        some(
            "TriggerFires",
            hard,
            &found.firing_triggers,
            "triggers that fire on replicated rows too (ENABLE ALWAYS or REPLICA)",
            "ALTER TABLE ... ENABLE TRIGGER for the time of the move, or --mode dump: they would run at the target on every copied row",
        ),
        some(
            "SourceSubscribes",
            Blocking,
            &found.subscriptions,
            "subscriptions write into the source",
            "ALTER SUBSCRIPTION ... DISABLE before the freeze, and make them anew at the target",
        ),
        some(
            "WholeRowKey",
            Warning,
            &found.whole_row_key,
            "tables with REPLICA IDENTITY FULL",
            "every update and delete reads the table at the target: see whether it keeps up",
        )
        .filter(|_| streamed),
        some(
            "ExtensionData",
            Warning,
            &found.extension_tables,
            "tables of extensions hold rows of their own",
            "rows that were added to them are not carried by replication: add them at the target, or use --mode dump",
        )
        .filter(|_| streamed),
        some(
            "PreparedTransaction",
            Warning,
            &found.prepared_transactions,
            "prepared transactions",
            "COMMIT PREPARED or ROLLBACK PREPARED: there may be none in the freeze",
        ),
        some("DatabaseSetting", Warning, &found.settings, "settings of the database", "ALTER DATABASE ... SET at the target: they are not carried"),
        some("Publication", Warning, &found.publications, "publications", "make them anew at the target: they are not carried"),
        some("ForeignTable", Info, &found.foreign_tables, "foreign tables", "see that the target reaches what they lead to"),
        some(
            "MaterialisedView",
            Info,
            &found.materialised_views,
            "materialised views",
            "they are refreshed at the target under the freeze; that takes as long as it takes there",
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if found.large_objects > 0 {
        let severity = if streamed { Blocking } else { Warning };
        let evidence = format!("{} large objects, which no stream of changes carries", found.large_objects);
        all.push(one(
            "LargeObject",
            severity,
            "large objects",
            evidence,
            "--mode dump: then everything is copied under the freeze",
        ));
    }
    if found.sequences > 0 && streamed {
        let evidence = format!("{} sequences", found.sequences);
        all.push(one("Sequence", Info, "sequences", evidence, "their values are copied under the freeze"));
    }
    all
}

fn of_server(found: &Inventory) -> Vec<Finding> {
    let mut all = Vec::new();
    let subject = found.database.as_str();
    if found.major < OLDEST {
        let evidence = format!("the source is PostgreSQL {}", found.version);
        all.push(one(
            "ServerTooOld",
            Blocking,
            subject,
            evidence,
            "--mode dump, or upgrade the source to PostgreSQL 12 or later first",
        ));
    }
    if found.wal_level != "logical" {
        let evidence = format!("wal_level is {}", found.wal_level);
        let remedy = "ALTER SYSTEM SET wal_level = logical and restart the source's server, or --mode dump";
        all.push(one("WalLevel", Blocking, subject, evidence, remedy));
    }
    if found.free_slots == 0 || found.free_senders == 0 {
        let evidence = format!("{} free replication slots, {} free senders", found.free_slots, found.free_senders);
        let remedy = "raise max_replication_slots and max_wal_senders, or drop slots that nobody uses";
        all.push(one("NoFreeSlot", Blocking, subject, evidence, remedy));
    }
    if found.slot_limit_mib.is_none() {
        let evidence = "max_slot_wal_keep_size is not set: a slot that nobody reads fills the source's disk";
        let remedy = "set it, or give --wal-budget-mib: the copy ends itself at half of that";
        all.push(one("SlotUnbounded", Warning, subject, evidence, remedy));
    }
    all
}

/// What the target is to a source.
pub(super) fn of_target(source: &Inventory, target: &Inventory, offered: &[String], mode: Mode) -> Vec<Finding> {
    let mut all = Vec::new();
    let subject = target.database.as_str();
    if target.major < source.major {
        let evidence = format!("the target is PostgreSQL {}, the source {}", target.version, source.version);
        all.push(one(
            "VersionDowngrade",
            Blocking,
            subject,
            evidence,
            "use a target of the source's version or a later one",
        ));
    }
    if target.encoding != source.encoding {
        let evidence = format!("its encoding is {}, the source's {}", target.encoding, source.encoding);
        let remedy = format!("create it WITH ENCODING '{}' TEMPLATE template0", source.encoding);
        all.push(one("EncodingMismatch", Blocking, subject, evidence, &remedy));
    }
    let of = |one: &Inventory| format!("{} / {}", one.collation, one.character_type);
    if of(source) != of(target) {
        let evidence = format!("its collation is {}, the source's {}", of(target), of(source));
        all.push(one(
            "CollationMismatch",
            Warning,
            subject,
            evidence,
            "sort orders and cases differ: create it with the source's, or test it",
        ));
    }
    for extension in source.extensions.iter().filter(|extension| !offered.contains(&extension.name)) {
        let evidence = format!("the target's server does not offer {} {}", extension.name, extension.version);
        all.push(one("ExtensionMissing", Blocking, &extension.name, evidence, "install it at the target's server"));
    }
    let rights = &target.rights;
    let subscribes = mode == Mode::Dump || rights.subscribes;
    let stream = (subscribes, "the right to make subscriptions (superuser before PostgreSQL 16)");
    all.extend(lacking("TargetRightsMissing", rights, stream, "target"));
    sorted(all)
}
